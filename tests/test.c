/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the tests that TEST() registered, under CUnit, and prints one TAP line for each. It decides how
 * results are shown and when a program is taken to hang; what is tested is up to the test files.
 *
 * The exit status is 0 whenever all tests ran to their end: failures are in the TAP lines, where the
 * harness counts each once. A crash, a hang or a leak found at exit gives another status.
 */
#include "test.h"

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TESTS_MAX = 256, DEFAULT_SECONDS = 300 };

struct registered {
    const char *name;
    void (*run)(void);
};

static struct registered registry[TESTS_MAX];
static int registered_count;

/* CUnit's counters and the output are not made for threads: every check takes this lock. */
static pthread_mutex_t check_lock = PTHREAD_MUTEX_INITIALIZER;

/* Of the running test; only touched by the main thread. */
static int tests_done;
static char skip_reason[256];
static const char *volatile running = "none";

void test_register(const char *name, void (*run)(void))
{
    if (registered_count == TESTS_MAX) {
        fprintf(stderr, "test.c: more than %d tests in one program; raise TESTS_MAX\n", TESTS_MAX);
        exit(EXIT_FAILURE);
    }
    registry[registered_count++] = (struct registered){name, run};
}

/* ---- Checks ------------------------------------------------------------------------------------ */

bool test_pass(void)
{
    pthread_mutex_lock(&check_lock);
    CU_assertImplementation(CU_TRUE, 0, "", "", "", CU_FALSE);
    pthread_mutex_unlock(&check_lock);
    return true;
}

bool test_fail(const char *file, int line, const char *what, const char *values, ...)
{
    va_list arguments;

    pthread_mutex_lock(&check_lock);
    CU_assertImplementation(CU_FALSE, (unsigned)line, what, file, "", CU_FALSE);
    printf("# %s:%d: %s: expected %s: ", file, line, running, what);
    va_start(arguments, values);
    vprintf(values, arguments);
    va_end(arguments);
    putchar('\n');
    pthread_mutex_unlock(&check_lock);
    return false;
}

bool test_eq_int(const char *file, int line, const char *what, intmax_t found, intmax_t expected)
{
    if (found == expected)
        return test_pass();
    return test_fail(file, line, what, "found %jd, not %jd", found, expected);
}

bool test_eq_size(const char *file, int line, const char *what, size_t found, size_t expected)
{
    if (found == expected)
        return test_pass();
    return test_fail(file, line, what, "found %zu, not %zu", found, expected);
}

bool test_eq_str(const char *file, int line, const char *what, const char *found,
                 const char *expected)
{
    if (found == expected || (found != NULL && expected != NULL && strcmp(found, expected) == 0))
        return test_pass();
    return test_fail(file, line, what, "found \"%s\", not \"%s\"", found != NULL ? found : "(NULL)",
                     expected != NULL ? expected : "(NULL)");
}

bool test_eq_mem(const char *file, int line, const char *what, const void *found,
                 const void *expected, size_t bytes)
{
    const unsigned char *a = found;
    const unsigned char *b = expected;

    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            return test_fail(file, line, what, "byte %zu of %zu is 0x%02x, not 0x%02x", i, bytes,
                             a[i], b[i]);
    return test_pass();
}

bool test_contains(const char *file, int line, const char *what, const char *sentence,
                   const char *part)
{
    if (sentence != NULL && strstr(sentence, part) != NULL)
        return test_pass();
    return test_fail(file, line, what, "found \"%s\"", sentence != NULL ? sentence : "(NULL)");
}

/* ---- Skips ------------------------------------------------------------------------------------- */

static void set_skip_reason(const char *reason, va_list arguments)
{
    vsnprintf(skip_reason, sizeof(skip_reason), reason, arguments);
}

void test_skip(const char *reason, ...)
{
    va_list arguments;

    va_start(arguments, reason);
    set_skip_reason(reason, arguments);
    va_end(arguments);
}

void test_skip_promised(const char *reason, ...)
{
    const char *ci = getenv("CI");
    va_list arguments;

    va_start(arguments, reason);
    set_skip_reason(reason, arguments);
    va_end(arguments);
    if (ci != NULL && strcmp(ci, "true") == 0) {
        test_fail(__FILE__, __LINE__, "what quickstart installs, in CI", "%s", skip_reason);
        skip_reason[0] = '\0';
    }
}

/* ---- Running ----------------------------------------------------------------------------------- */

static void begin_test(const CU_pTest test, const CU_pSuite suite)
{
    (void)suite;
    running = test->pName;
    skip_reason[0] = '\0';
}

static void end_test(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
    (void)suite;
    printf("%s %d - %s", failure != NULL ? "not ok" : "ok", ++tests_done, test->pName);
    if (failure == NULL && skip_reason[0] != '\0')
        printf(" # SKIP %s", skip_reason);
    putchar('\n');
}

/* Only async-signal-safe calls: the hanging test may hold any lock. */
static void end_hanging_program(int signal_number)
{
    static const char before[] = "Bail out! this test hangs: ";
    const char *name = running;

    (void)signal_number;
    if (write(STDOUT_FILENO, before, sizeof(before) - 1) < 0 ||
        write(STDOUT_FILENO, name, strlen(name)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(EXIT_FAILURE);
    abort();
}

static void limit_time(void)
{
    const char *seconds = getenv("FM_TEST_SECONDS");

    signal(SIGALRM, end_hanging_program);
    alarm(seconds != NULL ? (unsigned)strtoul(seconds, NULL, 10) : DEFAULT_SECONDS);
}

static void require(bool condition, const char *what)
{
    if (!condition) {
        printf("Bail out! CUnit cannot %s: %s\n", what, CU_get_error_msg());
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    CU_pSuite suite;

    /* Whole lines at once, so that a child made by fork() inherits no half-written buffer. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    limit_time();
    require(CU_initialize_registry() == CUE_SUCCESS, "start");
    suite = CU_add_suite("tests", NULL, NULL);
    require(suite != NULL, "add the suite");
    for (int i = 0; i < registered_count; i++)
        require(CU_add_test(suite, registry[i].name, registry[i].run) != NULL,
                "add a test (are two of one name?)");
    printf("1..%d\n", registered_count);
    CU_set_test_start_handler(begin_test);
    CU_set_test_complete_handler(end_test);
    require(CU_run_all_tests() == CUE_SUCCESS, "run the tests");
    CU_cleanup_registry();
    return EXIT_SUCCESS;
}
