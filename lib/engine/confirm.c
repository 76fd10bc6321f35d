/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question before money is spent. It stands on standard error, the answer comes from standard input, and
 * both must be a terminal. The line is written anew as the estimate changes; what is not yes or no is asked
 * again; the end of input is a no.
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
        (void)snprintf(text, bytes, "%.0f s", seconds);
    else if (seconds < 6000)
        (void)snprintf(text, bytes, "%.0f min", seconds / 60);
    else
        (void)snprintf(text, bytes, "%.1f h", seconds / 3600);
}

static void put_question(const struct fastmap_forecast *now, bool again)
{
    char time[32];
    char line[256];
    put_time(time, sizeof time, now->local_seconds - now->adaptive_seconds);
    const int length = snprintf(
        line, sizeof line,
        "%sEstimate: $%.4f (%.4f-%.4f) of $%.4f, saves about %s. Continue? (y/n) ",
        again ? "\r" : "", now->dollars, now->dollars_least, now->dollars_most, now->balance, time);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* the terminal is gone: the end of input will say so */
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
    bool again = false;
    while (!atomic_load(give_up) && appraise(context, &now)) {
        put_question(&now, again);
        const enum answer answer = await_answer(give_up);
        again = answer == NONE;
        if (answer == NO)
            (void)snprintf(why, 256, "you said no");
        if (answer == YES || answer == NO)
            return answer == YES;
    }
    if (again)
        (void)!write(STDERR_FILENO, "\n", 1);
    return false;
}

static bool is_asked(const struct fastmap_session *session)
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
    if (!is_asked(session))
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
