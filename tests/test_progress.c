/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a person is told: the sentences by themselves, and what arrives on a terminal (whose other end the
 * test holds), on a pipe, and at each verbosity, while and after a map runs.
 */
#include <errno.h>
#include <fastmap.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "engine/progress.h"
#include "test.h"

/* ---- Sentences --------------------------------------------------------------------------------- */

TEST(a_progress_line_says_done_total_rate_and_time_left)
{
    const struct {
        struct fm_engine_progress progress;
        const char *text;
    } cases[] = {
        {{"align", 1234, 5000, 3}, "align: 1,234 of 5,000 (24%), 411/s, about 9.2 s left"},
        {{NULL, 0, 5000, 3}, "map: 0 of 5,000 (0%)"},
        {{NULL, 0, 5000, 0}, "map: 0 of 5,000 (0%)"},
        {{"x", 1, 3, 10}, "x: 1 of 3 (33%), 0.1/s, about 20.0 s left"},
        {{"x", 4999, 5000, 10}, "x: 4,999 of 5,000 (99%), 500/s, about 2.0 ms left"},
        {{"x", 5000, 5000, 10}, "x: 5,000 of 5,000 (100%), 500/s, about 0 s left"},
        {{"x", 10000000000u, 40000000000u, 3600},
         "x: 10.0 G of 40.0 G (25%), 2.8 M/s, about 3 h 00 min left"},
        {{"slow", 1, 2, 86400}, "slow: 1 of 2 (50%), 0.0/h, about 1 d 00 h left"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        fm_engine_progress_text(&cases[i].progress, text, sizeof text);
        CHECK_EQ_STR(text, cases[i].text);
    }
}

TEST(a_progress_line_that_does_not_fit_is_cut_inside_its_buffer)
{
    const struct fm_engine_progress progress = {"a label that is longer than the line", 5, 10, 1};
    char whole[256];
    fm_engine_progress_text(&progress, whole, sizeof whole);
    for (size_t size = 1; size < strlen(whole); size++) {
        char text[256];
        memset(text, '#', sizeof text);
        fm_engine_progress_text(&progress, text, size);
        CHECK_EQ_SIZE(strlen(text), size - 1);
        CHECK_TRUE(strncmp(text, whole, size - 1) == 0, "size %zu: \"%s\"", size, text);
        CHECK_TRUE(text[size] == '#', "size %zu: byte %zu was written", size, size);
    }
}

static struct fastmap_report report_of(size_t elements, size_t failed, double seconds,
                                       double loop_seconds, int workers)
{
    struct fastmap_report report = FASTMAP_REPORT();
    report.elements = elements;
    report.failed = failed;
    report.seconds = seconds;
    report.loop_seconds = loop_seconds;
    report.workers = workers;
    return report;
}

TEST(a_closing_line_says_honestly_what_was_gained)
{
    const struct {
        const char *label;
        struct fastmap_report report;
        const char *text;
    } cases[] = {
        {"align", report_of(5000, 0, 10, 38, 4),
         "align: 5,000 elements in 10.0 s on 4 threads: 28.0 s saved against the plain loop, "
         "3.80 times as fast"},
        {NULL, report_of(1, 0, 2, 2, 1),
         "map: 1 element in 2.0 s on 1 thread: about the same speed as the plain loop"},
        {NULL, report_of(10, 3, 2, 2.09, 2),
         "map: 10 elements (3 failed) in 2.0 s on 2 threads: about the same speed as the plain "
         "loop"},
        {NULL, report_of(10, 0, 2, 1.91, 2),
         "map: 10 elements in 2.0 s on 2 threads: about the same speed as the plain loop"},
        {NULL, report_of(10, 0, 2, 1.5, 2),
         "map: 10 elements in 2.0 s on 2 threads: slower by 500 ms, consider the plain loop"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        fm_engine_closing_text(cases[i].label, &cases[i].report, text, sizeof text);
        CHECK_EQ_STR(text, cases[i].text);
    }
}

TEST(lines_come_often_on_a_terminal_and_rarely_elsewhere)
{
    const struct fastmap_session terminal = {.terminal = true};
    const struct fastmap_session pipe = {.terminal = false};
    const double first = fm_engine_progress_due(&terminal, 0);
    CHECK_TRUE(first == 1.0, "first line after %g s", first);
    CHECK_TRUE(fm_engine_progress_due(&terminal, 5) == 5.2, "next after 5 s at %g s",
               fm_engine_progress_due(&terminal, 5));
    CHECK_TRUE(fm_engine_progress_due(&pipe, 0) == 10, "first line after %g s",
               fm_engine_progress_due(&pipe, 0));
    CHECK_TRUE(fm_engine_progress_due(&pipe, 10) == 70, "next after 10 s at %g s",
               fm_engine_progress_due(&pipe, 10));
}

TEST(progress_is_wanted_unless_switched_off_or_quiet)
{
    for (int verbosity = FASTMAP_VERBOSITY_SILENT; verbosity <= FASTMAP_VERBOSITY_LOUD; verbosity++)
        for (int progress = FASTMAP_PROGRESS_AUTO; progress <= FASTMAP_PROGRESS_OFF; progress++) {
            struct fastmap_session session = {0};
            session.settings.verbosity = verbosity;
            session.settings.progress = progress;
            const bool expected =
                verbosity >= FASTMAP_VERBOSITY_NORMAL && progress == FASTMAP_PROGRESS_AUTO;
            CHECK_TRUE(fm_engine_progress_wanted(&session) == expected,
                       "verbosity %d, progress %d: wanted %d", verbosity, progress, !expected);
        }
}

/* ---- Standard error in the test's hands -------------------------------------------------------- */

enum { OUTPUT_BYTES = 65536 };

struct listener {
    int reader;
    int saved_stderr;
};

static void listen_on(struct listener *listener, int reader, int writer)
{
    listener->reader = reader;
    fflush(stderr);
    listener->saved_stderr = dup(STDERR_FILENO);
    dup2(writer, STDERR_FILENO);
    close(writer);
    fcntl(reader, F_SETFL, O_NONBLOCK);
}

static bool listen_on_terminal(struct listener *listener, unsigned short columns)
{
    const int reader = posix_openpt(O_RDWR | O_NOCTTY);
    const char *name =
        reader >= 0 && grantpt(reader) == 0 && unlockpt(reader) == 0 ? ptsname(reader) : NULL;
    const int writer = name != NULL ? open(name, O_RDWR | O_NOCTTY) : -1;
    if (!CHECK_TRUE(writer >= 0, "no pseudo-terminal: %s", strerror(errno)))
        return false;
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    ioctl(writer, TIOCSWINSZ, &size);
    setenv("TERM", "xterm", 1);
    listen_on(listener, reader, writer);
    return true;
}

static bool listen_on_pipe(struct listener *listener)
{
    int ends[2];
    if (!CHECK_TRUE(pipe(ends) == 0, "no pipe: %s", strerror(errno)))
        return false;
    listen_on(listener, ends[0], ends[1]);
    return true;
}

/* All that was written since; standard error is as before. */
static void stop_listening(struct listener *listener, char output[OUTPUT_BYTES])
{
    size_t length = 0;
    ssize_t got;
    while (length < OUTPUT_BYTES - 1 &&
           (got = read(listener->reader, output + length, OUTPUT_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    dup2(listener->saved_stderr, STDERR_FILENO);
    close(listener->saved_stderr);
    close(listener->reader);
}

/* What is left on the screen: carriage returns, erasures of a line and new lines, nothing else. */
static void render(const char *output, char screen[OUTPUT_BYTES])
{
    size_t line = 0;
    size_t at = 0;
    size_t end = 0;
    for (const char *c = output; *c != '\0'; c++) {
        if (*c == '\r') {
            at = line;
        } else if (strncmp(c, "\033[K", 3) == 0) {
            end = at;
            c += 2;
        } else if (*c == '\n') {
            screen[end++] = '\n';
            line = at = end;
        } else {
            screen[at++] = *c;
            end = at > end ? at : end;
        }
    }
    screen[end] = '\0';
}

static int count_of(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

/* ---- Maps that last ------------------------------------------------------------------------------ */

static int sleeping(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct timespec left = {.tv_nsec = *(const long *)shared * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
    return 0;
}

struct telling {
    int width;
    enum fastmap_verbosity verbosity;
    enum fastmap_progress progress;
    const char *label;
    long ms; /* an element */
    size_t n;
};

static void run_telling(const struct telling *telling)
{
    const struct fastmap_config config =
        FASTMAP_CONFIG(.max_local_workers = telling->width, .verbosity = telling->verbosity,
                       .progress = telling->progress);
    struct fastmap_session *session = NULL;
    CHECK_EQ_INT(fastmap_init(&config, &session), 0);
    const struct fastmap_map map = FASTMAP_MAP(.func = sleeping, .n = telling->n,
                                               .shared = &telling->ms, .label = telling->label);
    CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static char output[OUTPUT_BYTES];
static char screen[OUTPUT_BYTES];

static bool tell_terminal(const struct telling *telling, unsigned short columns)
{
    struct listener listener;
    if (!listen_on_terminal(&listener, columns))
        return false;
    run_telling(telling);
    stop_listening(&listener, output);
    render(output, screen);
    return true;
}

static bool tell_pipe(const struct telling *telling)
{
    struct listener listener;
    if (!listen_on_pipe(&listener))
        return false;
    run_telling(telling);
    stop_listening(&listener, output);
    return true;
}

TEST(on_a_terminal_one_line_is_updated_and_only_the_closing_line_stays)
{
    for (int width = 1; width <= 2; width++) {
        const struct telling telling = {
            .width = width, .label = "nap", .ms = 50, .n = 36 * (size_t)width};
        if (!tell_terminal(&telling, 80))
            return;
        const int drawn = count_of(output, "\r\033[Knap: ");
        CHECK_TRUE(drawn >= 2, "width %d: drawn %d times in: %s", width, drawn, output);
        CHECK_CONTAINS(output, width == 1 ? " of 36 (" : " of 72 (");
        CHECK_CONTAINS(output, "%), ");
        CHECK_CONTAINS(output, " left");
        CHECK_CONTAINS(screen, width == 1 ? "fastmap: nap: 36 elements in "
                                          : "fastmap: nap: 72 elements in ");
        CHECK_TRUE(count_of(screen, "\n") == 1, "width %d: on the screen: %s", width, screen);
        CHECK_TRUE(strstr(screen, " left") == NULL, "width %d: left over: %s", width, screen);
    }
}

TEST(a_narrow_terminal_gets_a_line_that_fits)
{
    const struct telling telling = {.width = 1, .label = "nap", .ms = 50, .n = 30};
    if (!tell_terminal(&telling, 20))
        return;
    CHECK_TRUE(count_of(output, "\r\033[Knap: ") > 0, "no status in: %s", output);
    for (const char *at = output; (at = strstr(at, "\r\033[Knap: ")) != NULL; at++) {
        const size_t length = strcspn(at + 4, "\r");
        CHECK_TRUE(length < 20, "%zu columns: %.*s", length, (int)length, at + 4);
    }
}

TEST(control_characters_of_a_label_do_not_reach_a_terminal)
{
    const struct telling telling = {.width = 1, .label = "a\033[2Jb\nc", .ms = 50, .n = 30};
    if (!tell_terminal(&telling, 80))
        return;
    CHECK_TRUE(strstr(output, "\033[2J") == NULL, "found in: %s", output);
    CHECK_CONTAINS(output, "\r\033[Ka?[2Jb?c: ");
    CHECK_CONTAINS(screen, "fastmap: a?[2Jb?c: 30 elements");
}

TEST(progress_off_leaves_only_the_closing_line)
{
    const struct telling telling = {
        .width = 1, .progress = FASTMAP_PROGRESS_OFF, .ms = 50, .n = 22};
    if (!tell_terminal(&telling, 80))
        return;
    CHECK_TRUE(strncmp(output, "fastmap: map: 22 elements in ", 29) == 0, "found: %s", output);
    CHECK_TRUE(count_of(output, "\n") == 1, "found: %s", output);
}

TEST(a_pipe_gets_the_closing_line_of_a_map_that_lasts_and_no_control_characters)
{
    const struct telling telling = {.width = 1, .label = "nap", .ms = 50, .n = 22};
    if (!tell_pipe(&telling))
        return;
    CHECK_TRUE(strncmp(output, "fastmap: nap: 22 elements in ", 29) == 0, "found: %s", output);
    CHECK_TRUE(count_of(output, "\n") == 1 && strpbrk(output, "\r\033") == NULL, "found: %s",
               output);
}

TEST(a_map_that_does_not_last_is_mentioned_only_loudly)
{
    struct telling telling = {.width = 1, .label = "wink", .ms = 1, .n = 3};
    if (!tell_pipe(&telling))
        return;
    CHECK_EQ_STR(output, "");
    telling.verbosity = FASTMAP_VERBOSITY_LOUD;
    if (!tell_pipe(&telling))
        return;
    CHECK_CONTAINS(output, "fastmap: wink: 3 elements in ");
}

TEST(quiet_and_silent_say_nothing_about_maps)
{
    for (int verbosity = FASTMAP_VERBOSITY_SILENT; verbosity <= FASTMAP_VERBOSITY_QUIET;
         verbosity++) {
        const struct telling telling = {.width = 1, .verbosity = verbosity, .ms = 50, .n = 22};
        if (!tell_terminal(&telling, 80))
            return;
        CHECK_EQ_STR(output, "");
    }
}
