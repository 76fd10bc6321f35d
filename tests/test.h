/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a C test sees: TEST() to declare one, CHECK_*() to look at values, SKIP() to stand aside.
 * CUnit runs the tests and keeps the score behind it; test.c holds main() and prints one TAP line per
 * test, so a test file is nothing but tests:
 *
 *     #include "test.h"
 *
 *     TEST(an_empty_map_touches_nothing)
 *     {
 *         CHECK_EQ_INT(fastmap(f, NULL, 0, NULL, 0, 0, NULL, 0), 0);
 *     }
 *
 * TEST() registers the test by itself, in the order of the file. The name is the behaviour it pins.
 * A check that fails prints file, line, expression and both values, and the test goes on; each check
 * is also an expression that is true where it passed: `if (!CHECK_TRUE(p != NULL, "%s", why)) return;`.
 * Checks may be made from any thread. A program that hangs is ended, and named, after
 * FM_TEST_SECONDS (environment; 300 by default).
 */
#ifndef FM_TEST_H
#define FM_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST(name)                                                      \
    static void name(void);                                             \
    __attribute__((constructor)) static void test_register_##name(void) \
    {                                                                   \
        test_register(#name, name);                                     \
    }                                                                   \
    static void name(void)

/* The condition, and a printf-like sentence that shows the values it was decided on. */
#define CHECK_TRUE(condition, ...) \
    ((condition) ? test_pass() : test_fail(__FILE__, __LINE__, #condition, __VA_ARGS__))

/* The value found, then the value expected. */
#define CHECK_EQ_INT(found, expected) \
    test_eq_int(__FILE__, __LINE__, #found " == " #expected, (found), (expected))
#define CHECK_EQ_SIZE(found, expected) \
    test_eq_size(__FILE__, __LINE__, #found " == " #expected, (found), (expected))
#define CHECK_EQ_STR(found, expected) \
    test_eq_str(__FILE__, __LINE__, #found " == " #expected, (found), (expected))
#define CHECK_EQ_MEM(found, expected, bytes) \
    test_eq_mem(__FILE__, __LINE__, #found " == " #expected, (found), (expected), (bytes))

/* That a sentence mentions something. */
#define CHECK_CONTAINS(sentence, part) \
    test_contains(__FILE__, __LINE__, #sentence " contains " #part, (sentence), (part))

/* Leaves the test: this machine cannot run it, for the reason given (printf-like). */
#define SKIP(...)               \
    do {                        \
        test_skip(__VA_ARGS__); \
        return;                 \
    } while (0)

/* The same for something that quickstart installs or builds: in CI its absence is a failure. */
#define SKIP_PROMISED(...)               \
    do {                                 \
        test_skip_promised(__VA_ARGS__); \
        return;                          \
    } while (0)

/* What a sanitizer cannot follow: ThreadSanitizer, threads that are made after fork(); any of them, times. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER true
#else
#define UNDER_SANITIZER false
#endif

void test_register(const char *name, void (*run)(void));
void test_skip(const char *reason, ...) __attribute__((format(printf, 1, 2)));
void test_skip_promised(const char *reason, ...) __attribute__((format(printf, 1, 2)));

bool test_pass(void);
bool test_fail(const char *file, int line, const char *what, const char *values, ...)
    __attribute__((format(printf, 4, 5)));
bool test_eq_int(const char *file, int line, const char *what, intmax_t found, intmax_t expected);
bool test_eq_size(const char *file, int line, const char *what, size_t found, size_t expected);
bool test_eq_str(const char *file, int line, const char *what, const char *found,
                 const char *expected);
bool test_eq_mem(const char *file, int line, const char *what, const void *found,
                 const void *expected, size_t bytes);
bool test_contains(const char *file, int line, const char *what, const char *sentence,
                   const char *part);

#endif
