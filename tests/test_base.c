/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Error sentences, quantities, and what reaches standard error: through a pipe, and on a terminal whose
 * other end the test holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "test.h"

/* ---- Errors --------------------------------------------------------------------------------------- */

static void *last_error_of_new_thread(void *copy)
{
    strcpy(copy, fm_base_last_error());
    fm_base_fail(FASTMAP_ERR_STATE, "of the other thread");
    return NULL;
}

TEST(an_error_returns_its_code_and_keeps_its_sentence_in_its_own_thread)
{
    char elsewhere[FM_BASE_SENTENCE_BYTES] = "not set";
    pthread_t thread;
    errno = ENOENT;
    CHECK_EQ_INT(fm_base_fail(FASTMAP_ERR_CONFIG, "line %d: %s", 7, "wrong"), FASTMAP_ERR_CONFIG);
    CHECK_EQ_INT(errno, ENOENT);
    pthread_create(&thread, NULL, last_error_of_new_thread, elsewhere);
    pthread_join(thread, NULL);
    CHECK_EQ_STR(fm_base_last_error(), "line 7: wrong");
    CHECK_EQ_STR(elsewhere, "");
}

TEST(an_error_may_be_made_from_the_last_one)
{
    fm_base_fail(FASTMAP_ERR_CONFIG, "inner");
    fm_base_fail(FASTMAP_ERR_CONFIG, "outer: %s", fm_base_last_error());
    CHECK_EQ_STR(fm_base_last_error(), "outer: inner");
}

TEST(a_sentence_that_is_too_long_ends_in_dots_and_whole_characters)
{
    char text[2 * FM_BASE_SENTENCE_BYTES];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    fm_base_fail(FASTMAP_ERR_CONFIG, "%s", text);
    CHECK_EQ_SIZE(strlen(fm_base_last_error()), FM_BASE_SENTENCE_BYTES - 1);
    CHECK_EQ_STR(fm_base_last_error() + FM_BASE_SENTENCE_BYTES - 5, "a...");
    memcpy(text + FM_BASE_SENTENCE_BYTES - 5, "\xC3\xB6", 2); /* would be cut between its bytes */
    fm_base_fail(FASTMAP_ERR_CONFIG, "%s", text);
    CHECK_EQ_STR(fm_base_last_error() + FM_BASE_SENTENCE_BYTES - 6, "a...");
    text[FM_BASE_SENTENCE_BYTES - 1] = '\0';
    fm_base_fail(FASTMAP_ERR_CONFIG, "%s", text);
    CHECK_EQ_STR(fm_base_last_error(), text);
}

TEST(control_characters_do_not_reach_a_sentence)
{
    fm_base_fail(FASTMAP_ERR_CONFIG, "%s", "a\033[2Jb\nc\x7F");
    CHECK_EQ_STR(fm_base_last_error(), "a?[2Jb?c?");
}

TEST(every_code_has_a_sentence_of_its_own)
{
    CHECK_EQ_STR(fm_base_strerror(0), "success");
    CHECK_EQ_STR(fm_base_strerror(1), "unknown error");
    CHECK_EQ_STR(fm_base_strerror(FASTMAP_ERR_VERIFY - 1), "unknown error");
    for (int code = FASTMAP_ERR_VERIFY; code <= FASTMAP_ERR_ARGUMENT; code++)
        for (int other = code + 1; other <= 1; other++)
            CHECK_TRUE(strcmp(fm_base_strerror(code), fm_base_strerror(other)) != 0,
                       "%d and %d: %s", code, other, fm_base_strerror(code));
}

/* ---- Words ---------------------------------------------------------------------------------------- */

TEST(the_distance_of_words_counts_edits_regardless_of_case)
{
    CHECK_EQ_SIZE(fm_base_text_distance("", ""), 0);
    CHECK_EQ_SIZE(fm_base_text_distance("", "abc"), 3);
    CHECK_EQ_SIZE(fm_base_text_distance("LOUD", "loud"), 0);
    CHECK_EQ_SIZE(fm_base_text_distance("kitten", "sitting"), 3);
    CHECK_EQ_SIZE(fm_base_text_distance("sitting", "kitten"), 3);
}

/* ---- Quantities ----------------------------------------------------------------------------------- */

TEST(times_have_the_unit_that_fits)
{
    static const struct {
        double seconds;
        const char *text;
    } rows[] = {
        {0.0, "0 s"},
        {1e-12, "0 s"},
        {0.5e-9, "0.5 ns"},
        {850e-9, "850 ns"},
        {999.6e-9, "1.0 us"},
        {12.34e-6, "12.3 us"},
        {12.3e-3, "12.3 ms"},
        {99.96e-3, "100 ms"},
        {0.9994, "999 ms"},
        {0.9996, "1.0 s"},
        {4.2, "4.2 s"},
        {59.94, "59.9 s"},
        {59.96, "1 min 00 s"},
        {200, "3 min 20 s"},
        {3599.4, "59 min 59 s"},
        {3599.6, "1 h 00 min"},
        {3725, "1 h 02 min"},
        {86369, "23 h 59 min"},
        {86399, "1 d 00 h"},
        {273600, "3 d 04 h"},
        {-1.0, "?"},
        {NAN, "?"},
        {INFINITY, "?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[FM_BASE_UNITS_BYTES];
        CHECK_EQ_STR(fm_base_units_seconds(rows[i].seconds, text), rows[i].text);
    }
}

TEST(counts_are_exact_below_a_million)
{
    char text[FM_BASE_UNITS_BYTES];
    CHECK_EQ_STR(fm_base_units_count(0, text), "0");
    CHECK_EQ_STR(fm_base_units_count(999, text), "999");
    CHECK_EQ_STR(fm_base_units_count(12345, text), "12,345");
    CHECK_EQ_STR(fm_base_units_count(1002, text), "1,002");
    CHECK_EQ_STR(fm_base_units_count(999999, text), "999,999");
    CHECK_EQ_STR(fm_base_units_count(1234567, text), "1.2 M");
    CHECK_EQ_STR(fm_base_units_count(999600000, text), "1.0 G");
    CHECK_EQ_STR(fm_base_units_count(UINT64_MAX, text), "18.4 E");
}

TEST(rates_are_per_second_unless_that_is_too_slow)
{
    char text[FM_BASE_UNITS_BYTES];
    CHECK_EQ_STR(fm_base_units_rate(0.0, text), "0.0/s");
    CHECK_EQ_STR(fm_base_units_rate(850.0, text), "850/s");
    CHECK_EQ_STR(fm_base_units_rate(3400.0, text), "3.4 k/s");
    CHECK_EQ_STR(fm_base_units_rate(2.5e8, text), "250 M/s");
    CHECK_EQ_STR(fm_base_units_rate(0.05, text), "3.0/min");
    CHECK_EQ_STR(fm_base_units_rate(1.0 / 1800.0, text), "2.0/h");
    CHECK_EQ_STR(fm_base_units_rate(NAN, text), "?");
    CHECK_EQ_STR(fm_base_units_rate(INFINITY, text), "?");
}

TEST(bytes_go_by_1024)
{
    char text[FM_BASE_UNITS_BYTES];
    CHECK_EQ_STR(fm_base_units_bytes(0, text), "0 B");
    CHECK_EQ_STR(fm_base_units_bytes(1023, text), "1023 B");
    CHECK_EQ_STR(fm_base_units_bytes(1536, text), "1.5 KiB");
    CHECK_EQ_STR(fm_base_units_bytes(200u << 20, text), "200 MiB");
    CHECK_EQ_STR(fm_base_units_bytes((1u << 20) - 1, text), "1.0 MiB");
    CHECK_EQ_STR(fm_base_units_bytes(UINT64_MAX, text), "16.0 EiB");
}

/* ---- Standard error ------------------------------------------------------------------------------- */

/* Standard error of this process, exchanged for an end that the test reads from. */
struct capture {
    int kept;
    int reader;
    char text[65536];
};

static struct capture captured;

static void capture_to(int writer, int reader)
{
    fcntl(reader, F_SETFL, O_NONBLOCK);
    captured.reader = reader;
    captured.kept = dup(STDERR_FILENO);
    dup2(writer, STDERR_FILENO);
    close(writer);
}

static void capture_pipe(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        abort();
    capture_to(ends[1], ends[0]);
}

/* A raw terminal: what is written comes out unchanged. */
static bool capture_terminal(unsigned short columns)
{
    const int reader = posix_openpt(O_RDWR | O_NOCTTY);
    if (reader < 0 || grantpt(reader) != 0 || unlockpt(reader) != 0)
        return false;
    const int writer = open(ptsname(reader), O_RDWR | O_NOCTTY);
    if (writer < 0)
        return false;
    struct termios mode;
    tcgetattr(writer, &mode);
    cfmakeraw(&mode);
    tcsetattr(writer, TCSANOW, &mode);
    ioctl(writer, TIOCSWINSZ, &(struct winsize){.ws_row = 24, .ws_col = columns});
    capture_to(writer, reader);
    return true;
}

/* Since the last call. */
static const char *written(void)
{
    size_t length = 0;
    ssize_t got;
    while ((got = read(captured.reader, captured.text + length,
                       sizeof captured.text - 1 - length)) > 0)
        length += (size_t)got;
    captured.text[length] = '\0';
    return captured.text;
}

static void capture_end(void)
{
    dup2(captured.kept, STDERR_FILENO);
    close(captured.kept);
    close(captured.reader);
}

TEST(a_line_is_printed_if_the_verbosity_includes_it)
{
    capture_pipe();
    errno = ENOENT;
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_QUIET, "a warning of %d", 1);
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "a line");
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_LOUD, "a detail");
    fm_base_log(FASTMAP_VERBOSITY_SILENT, FASTMAP_VERBOSITY_QUIET, "silenced");
    const int kept_errno = errno;
    const char *text = written();
    capture_end();
    CHECK_EQ_STR(text, "fastmap: a warning of 1\nfastmap: a line\n");
    CHECK_EQ_INT(kept_errno, ENOENT);
}

TEST(a_line_is_one_line_and_ends)
{
    char label[4000];
    memset(label, 'x', sizeof label);
    label[sizeof label - 1] = '\0';
    memcpy(label, "a\nb\033", 4);
    capture_pipe();
    fm_base_log(FASTMAP_VERBOSITY_LOUD, FASTMAP_VERBOSITY_LOUD, "%s", label);
    const char *text = written();
    capture_end();
    CHECK_TRUE(strncmp(text, "fastmap: a?b?xxx", 16) == 0, "%.20s", text);
    CHECK_EQ_STR(text + strlen(text) - 5, "x...\n");
    CHECK_TRUE(strlen(text) <= 1024, "%zu bytes", strlen(text));
}

enum { WRITERS = 4, LINES = 100 };

static void *write_lines(void *letter)
{
    char text[65];
    memset(text, *(const char *)letter, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "%s", text);
    return NULL;
}

/* "fastmap: " and 64 times the same letter. */
static bool is_whole(const char *line)
{
    const char letter = line[9];
    return strncmp(line, "fastmap: ", 9) == 0 && strlen(line) == 73 &&
           strspn(line + 9, (const char[]){letter, '\0'}) == 64;
}

TEST(lines_of_several_threads_do_not_mix)
{
    static char letters[] = "abcd";
    pthread_t threads[WRITERS];
    capture_pipe();
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_lines, &letters[i]);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    written();
    capture_end();
    int lines = 0;
    for (char *line = strtok(captured.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        CHECK_TRUE(is_whole(line), "%s", line);
        lines++;
    }
    CHECK_EQ_INT(lines, WRITERS * LINES);
}

TEST(a_closed_standard_error_is_no_failure)
{
    capture_pipe();
    close(STDERR_FILENO);
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "unheard");
    fm_base_status_show("unseen");
    fm_base_status_clear();
    const bool is_terminal = fm_base_status_is_terminal();
    capture_end();
    CHECK_TRUE(!is_terminal, "a closed descriptor is taken for a terminal");
}

TEST(no_status_line_without_a_terminal)
{
    setenv("TERM", "xterm", 1);
    capture_pipe();
    const bool is_terminal = fm_base_status_is_terminal();
    fm_base_status_show("half done");
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "a line");
    fm_base_status_clear();
    const char *text = written();
    capture_end();
    CHECK_TRUE(!is_terminal, "a pipe is taken for a terminal");
    CHECK_EQ_STR(text, "fastmap: a line\n");
}

TEST(a_terminal_must_be_able_to_erase_a_line)
{
    if (!capture_terminal(80))
        SKIP("no pseudo-terminals here");
    setenv("TERM", "dumb", 1);
    const bool dumb = fm_base_status_is_terminal();
    unsetenv("TERM");
    const bool unknown = fm_base_status_is_terminal();
    setenv("TERM", "xterm", 1);
    const bool capable = fm_base_status_is_terminal();
    capture_end();
    CHECK_TRUE(!dumb && !unknown && capable, "dumb %d, unknown %d, xterm %d", dumb, unknown,
               capable);
}

TEST(a_status_line_is_redrawn_below_lines_and_leaves_nothing)
{
    if (!capture_terminal(80))
        SKIP("no pseudo-terminals here");
    fm_base_status_show("10%");
    fm_base_status_show("20%");
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "a line");
    fm_base_status_clear();
    fm_base_status_clear();
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "another");
    const char *text = written();
    capture_end();
    CHECK_EQ_STR(text,
                 "\r\033[K10%\r\033[K20%\r\033[Kfastmap: a line\n20%\r\033[Kfastmap: another\n");
}

TEST(a_question_stands_until_it_is_answered_whatever_else_is_said)
{
    if (!capture_terminal(80))
        SKIP("no pseudo-terminals here");
    fm_base_status_show("10%");
    fm_base_question_show("yes? ");
    fm_base_status_show("20%");
    fm_base_status_clear();
    fm_base_question_show("yes? ");
    fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "a line");
    fm_base_question_show("now? ");
    fm_base_question_end(true);
    fm_base_status_show("30%");
    fm_base_status_clear();
    const char *text = written();
    capture_end();
    CHECK_EQ_STR(text, "\r\033[K10%\r\033[Kyes? \r\033[Kfastmap: a line\nyes? \r\033[Know? "
                       "\r\033[K30%\r\033[K");
}

TEST(of_a_question_that_nobody_need_answer_nothing_is_left)
{
    if (!capture_terminal(80))
        SKIP("no pseudo-terminals here");
    fm_base_question_show("yes? ");
    fm_base_question_end(false);
    fm_base_question_end(false);
    fm_base_status_show("10%");
    fm_base_status_clear();
    const char *text = written();
    capture_end();
    CHECK_EQ_STR(text, "\r\033[Kyes? \r\033[K\r\033[K10%\r\033[K");
}

TEST(a_status_line_is_cut_to_the_terminal)
{
    if (!capture_terminal(10))
        SKIP("no pseudo-terminals here");
    fm_base_status_show("0123456789abcdef");
    fm_base_status_show("a\tb\n");
    fm_base_status_clear();
    const char *text = written();
    capture_end();
    CHECK_EQ_STR(text, "\r\033[K012345678\r\033[Ka?b?\r\033[K");
}

TEST(a_terminal_of_unknown_width_is_taken_to_have_80_columns)
{
    char line[201];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    if (!capture_terminal(0))
        SKIP("no pseudo-terminals here");
    fm_base_status_show(line);
    const size_t length = strlen(written());
    fm_base_status_clear();
    capture_end();
    CHECK_EQ_SIZE(length, 4 + 79);
}

TEST(a_forked_child_logs_without_its_parents_status_line)
{
    if (!capture_terminal(80))
        SKIP("no pseudo-terminals here");
    fm_base_status_show("10%");
    const pid_t child = fork();
    if (child == 0) {
        fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "child");
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    fm_base_status_clear();
    const char *text = written();
    capture_end();
    CHECK_EQ_INT(status, 0);
    CHECK_EQ_STR(text, "\r\033[K10%fastmap: child\n\r\033[K");
}

/* Logs in a child of a process with two threads; false if the child had to be ended. */
static bool log_in_child(void)
{
    const pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a child that waits for a lock ends by a signal */
        fm_base_log(FASTMAP_VERBOSITY_NORMAL, FASTMAP_VERBOSITY_NORMAL, "child");
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return WIFEXITED(status);
}

static int count_lines(const char *text, const char *line)
{
    int count = 0;
    for (const char *found = strstr(text, line); found != NULL; found = strstr(found + 1, line))
        count++;
    return count;
}

TEST(a_fork_while_another_thread_logs_leaves_the_child_able_to)
{
    if (UNDER_TSAN)
        SKIP("ThreadSanitizer's own locks are not kept over fork(): its child may hang at exit");
    enum { FORKS = 20 };
    static char letter = 'a';
    pthread_t thread;
    int ended = 0;
    capture_pipe();
    pthread_create(&thread, NULL, write_lines, &letter);
    for (int i = 0; i < FORKS; i++)
        ended += log_in_child();
    pthread_join(thread, NULL);
    const char *text = written();
    capture_end();
    CHECK_EQ_INT(ended, FORKS);
    CHECK_EQ_INT(count_lines(text, "fastmap: child\n"), FORKS);
    CHECK_EQ_INT(count_lines(text, "fastmap: aaaa"), LINES);
}
