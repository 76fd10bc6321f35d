/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question before money is spent. It stands on standard error, the answer comes from standard input, and
 * both must be a terminal. The line is written anew as the estimate changes, and stands in the place of the
 * progress line until there is an answer; what is not yes or no is asked again; the end of input is a no.
 */
#include "engine/confirm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/log.h"

#define REFRESH_MS 1000
#define SLICE_MS 50

static void put_time(char *text, size_t bytes, double seconds)
{
    if (seconds < 100)
        (void)snprintf(text, bytes, seconds < 9.95 ? "%.1f s" : "%.0f s", seconds);
    else if (seconds < 6000)
        (void)snprintf(text, bytes, "%.0f min", seconds / 60);
    else
        (void)snprintf(text, bytes, "%.1f h", seconds / 3600);
}

/* Three digits that mean something, cents at least. */
static int decimals(double dollars)
{
    int places = 2;
    while (places < 9 && dollars > 0 && dollars < 1) {
        dollars *= 10;
        places++;
    }
    return places;
}

/* In as many words as the line has room for. */
static void put_question(const struct fastmap_forecast *now)
{
    char time[32];
    char line[256];
    const int d = decimals(now->dollars);
    const size_t room = fm_base_status_columns();
    put_time(time, sizeof time, now->local_seconds - now->adaptive_seconds);
    int length = snprintf(
        line, sizeof line, "Estimate: $%.*f (%.*f-%.*f) of $%.2f, saves about %s. Continue? (y/n) ",
        d, now->dollars, d, now->dollars_least, d, now->dollars_most, now->balance, time);
    if (length > 0 && (size_t)length > room)
        length = snprintf(line, sizeof line,
                          "Estimate: $%.*f (%.*f-%.*f), saves about %s. Continue? (y/n) ", d,
                          now->dollars, d, now->dollars_least, d, now->dollars_most, time);
    if (length > 0 && (size_t)length > room)
        (void)snprintf(line, sizeof line, "Pay up to $%.*f, save %s? (y/n) ", d, now->dollars_most,
                       time);
    fm_base_question_show(line);
}

enum answer { YES, NO, UNCLEAR, NONE };

static enum answer read_answer(void)
{
    char text[64];
    const ssize_t got = read(STDIN_FILENO, text, sizeof text - 1);
    if (got < 0 && errno == EINTR)
        return NONE;
    if (got <= 0)
        return NO;
    text[got] = '\0';
    text[strcspn(text, " \t\r\n")] = '\0';
    if (strcasecmp(text, "y") == 0 || strcasecmp(text, "yes") == 0)
        return YES;
    return strcasecmp(text, "n") == 0 || strcasecmp(text, "no") == 0 ? NO : UNCLEAR;
}

/* Waits for an answer until it is time for a new estimate. */
static enum answer await_answer(const _Atomic bool *give_up)
{
    for (int waited = 0; waited < REFRESH_MS && !atomic_load(give_up); waited += SLICE_MS) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, SLICE_MS) > 0)
            return read_answer();
    }
    return NONE;
}

static bool ask(bool (*appraise)(void *context, struct fastmap_forecast *to), void *context,
                const _Atomic bool *give_up, char why[256])
{
    struct fastmap_forecast now;
    while (!atomic_load(give_up) && appraise(context, &now)) {
        put_question(&now);
        const enum answer answer = await_answer(give_up);
        if (answer != NONE)
            fm_base_question_end(true);
        if (answer == NO)
            (void)snprintf(why, 256, "you said no");
        if (answer == YES || answer == NO)
            return answer == YES;
    }
    fm_base_question_end(false);
    return false;
}

bool fm_engine_confirm_is_asked(const struct fastmap_session *session)
{
    const enum fastmap_confirm confirm = session->settings.confirm_charges;
    return confirm == FASTMAP_CONFIRM_ON ||
           (confirm == FASTMAP_CONFIRM_AUTO && session->settings.max_charge < 0);
}

static bool ask_program(const struct fastmap_session *session,
                        bool (*appraise)(void *context, struct fastmap_forecast *to), void *context,
                        char why[256])
{
    struct fastmap_forecast now;
    if (!appraise(context, &now))
        return false;
    if (session->confirm(&now, session->confirm_context) != 0)
        return true;
    (void)snprintf(why, 256, "the program said no");
    return false;
}

bool fm_engine_confirm(const struct fastmap_session *session,
                       bool (*appraise)(void *context, struct fastmap_forecast *to), void *context,
                       const _Atomic bool *give_up, char why[256])
{
    if (!fm_engine_confirm_is_asked(session))
        return true;
    if (session->confirm != NULL)
        return ask_program(session, appraise, context, why);
    if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
        return ask(appraise, context, give_up, why);
    (void)snprintf(
        why, 256,
        "charges are to be confirmed and there is no terminal to ask on, which counts as "
        "no; set max_charge, or confirm_charges = OFF");
    return false;
}
