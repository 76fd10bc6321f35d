/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What fastmap.h promises, through the shared library that users link: bad input, failures, sessions,
 * results, who computes, nesting, concurrency, fork(), floating-point state and signals.
 *
 * Where a test needs other threads to take part, elements sleep: that makes room for them on any machine,
 * and nothing is decided by how long it took.
 */
#include <dirent.h>
#include <errno.h>
#include <fastmap.h>
#include <fenv.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "session.h"
#include "test.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* ---- Help -------------------------------------------------------------------------------------- */

static void end_session(struct fastmap_session *session)
{
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

/* A signal's handler may run in between: sleeps on. */
static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static bool is_in(size_t i, size_t n)
{
    return CHECK_TRUE(i < n, "index %zu of %zu elements", i, n);
}

/* Threads of this process, and how many of them are workers (named fastmap-0, fastmap-1, ...). */
static int count_threads(int *workers)
{
    int threads = 0;
    *workers = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (const struct dirent *task; tasks != NULL && (task = readdir(tasks)) != NULL;) {
        if (task->d_name[0] == '.')
            continue;
        threads++;
        char path[300];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL && strncmp(name, "fastmap-", 8) == 0 &&
            name[8] >= '0' && name[8] <= '9')
            ++*workers;
        fclose(file);
    }
    if (tasks != NULL)
        closedir(tasks);
    return threads;
}

/* ---- Bad input --------------------------------------------------------------------------------- */

static _Atomic int calls;

static int counting(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    (void)shared;
    atomic_fetch_add(&calls, 1);
    return 0;
}

static int counting_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)in;
    (void)out;
    (void)first;
    (void)shared;
    atomic_fetch_add(&calls, (int)count);
    return 0;
}

static unsigned char arena[4096];

/* Refused with the code, the sentence has both words, nothing was called, nothing written. */
static void check_refused(const char *name, const struct fastmap_map *map,
                          struct fastmap_report *report, int code, const char *cause,
                          const char *remedy)
{
    unsigned char before[sizeof arena];
    for (size_t i = 0; i < sizeof arena; i++)
        before[i] = arena[i] = (unsigned char)(i * 7);
    atomic_store(&calls, 0);
    const int error = fastmap_run(map, report);
    CHECK_TRUE(error == code, "%s: returned %d, not %d", name, error, code);
    CHECK_TRUE(atomic_load(&calls) == 0, "%s: %d elements were computed", name,
               atomic_load(&calls));
    CHECK_TRUE(strstr(fastmap_last_error(), cause) != NULL, "%s: no \"%s\" in: %s", name, cause,
               fastmap_last_error());
    CHECK_TRUE(strstr(fastmap_last_error(), remedy) != NULL, "%s: no \"%s\" in: %s", name, remedy,
               fastmap_last_error());
    CHECK_EQ_MEM(arena, before, sizeof arena);
}

TEST(bad_arguments_get_a_code_a_cause_and_a_remedy)
{
    unsigned char *const a = arena;
    unsigned char *const b = arena + 1024;
    unsigned char *const last = (unsigned char *)(UINTPTR_MAX - 100); /* NOLINT */
    const struct {
        const char *name;
        struct fastmap_map map;
        int code;
        const char *cause;
        const char *remedy;
    } cases[] = {
        {"no function", FASTMAP_MAP(.in = a, .in_size = 1, .out = b, .out_size = 1, .n = 4),
         FASTMAP_ERR_ARGUMENT, "function is NULL", "pass"},
        {"two functions", FASTMAP_MAP(.func = counting, .block = counting_block, .n = 4),
         FASTMAP_ERR_ARGUMENT, "both set", "set the one"},
        {"in is NULL", FASTMAP_MAP(.func = counting, .in_size = 8, .n = 4), FASTMAP_ERR_ARGUMENT,
         "in is NULL", "pass"},
        {"out is NULL", FASTMAP_MAP(.func = counting, .out_size = 8, .n = 4), FASTMAP_ERR_ARGUMENT,
         "out is NULL", "pass"},
        {"in has no size", FASTMAP_MAP(.func = counting, .in = a, .n = 4), FASTMAP_ERR_ARGUMENT,
         "in_size is 0", "pass"},
        {"out has no size", FASTMAP_MAP(.func = counting, .out = b, .n = 4), FASTMAP_ERR_ARGUMENT,
         "out_size is 0", "pass"},
        {"shared is NULL", FASTMAP_MAP(.func = counting, .n = 4, .shared_size = 8),
         FASTMAP_ERR_ARGUMENT, "shared is NULL", "pass"},
        {"unknown policy", FASTMAP_MAP(.func = counting, .n = 4, .on_error = 2),
         FASTMAP_ERR_ARGUMENT, "on_error is 2", "FASTMAP_ON_ERROR_STOP"},
        {"negative policy", FASTMAP_MAP(.func = counting, .n = 4, .on_error = -1),
         FASTMAP_ERR_ARGUMENT, "on_error is -1", "FASTMAP_ON_ERROR_STOP"},
        {"negative hint", FASTMAP_MAP(.func = counting, .n = 4, .element_seconds = -1e-9),
         FASTMAP_ERR_ARGUMENT, "element_seconds is -1e-09", "pass"},
        {"hint is no number", FASTMAP_MAP(.func = counting, .n = 4, .element_seconds = NAN),
         FASTMAP_ERR_ARGUMENT, "element_seconds is", "pass"},
        {"hint without end", FASTMAP_MAP(.func = counting, .n = 4, .element_seconds = INFINITY),
         FASTMAP_ERR_ARGUMENT, "element_seconds is inf", "pass"},
        {"in is too large", FASTMAP_MAP(.func = counting, .in = a, .in_size = SIZE_MAX / 2, .n = 3),
         FASTMAP_ERR_OVERFLOW, "in: 3 elements", "check n and in_size"},
        {"out is too large",
         FASTMAP_MAP(.func = counting, .out = a, .out_size = 3, .n = SIZE_MAX / 2),
         FASTMAP_ERR_OVERFLOW, "out: ", "check n and out_size"},
        {"half of all memory",
         FASTMAP_MAP(.func = counting, .in = a, .in_size = 2, .n = (size_t)PTRDIFF_MAX / 2 + 1),
         FASTMAP_ERR_OVERFLOW, "in: ", "check n and in_size"},
        {"in past the end of memory",
         FASTMAP_MAP(.func = counting, .in = last, .in_size = 10, .n = 11), FASTMAP_ERR_OVERFLOW,
         "in: 11 elements of 10 bytes", "check n and in_size"},
        {"out past the end of memory",
         FASTMAP_MAP(.func = counting, .out = last, .out_size = 10, .n = 11), FASTMAP_ERR_OVERFLOW,
         "out: 11 elements of 10 bytes", "check n and out_size"},
        {"shared past the end of memory",
         FASTMAP_MAP(.func = counting, .n = 4, .shared = last, .shared_size = 101),
         FASTMAP_ERR_OVERFLOW, "shared: 101 bytes", "check shared_size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_refused(cases[i].name, &cases[i].map, NULL, cases[i].code, cases[i].cause,
                      cases[i].remedy);
    check_refused("no map", NULL, NULL, FASTMAP_ERR_ARGUMENT, "map is NULL", "pass");
}

TEST(structs_of_another_size_are_refused)
{
    const size_t wrong[] = {0, 1, sizeof(struct fastmap_map) - 8, sizeof(struct fastmap_map) + 8};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fastmap_map map = FASTMAP_MAP(.func = counting, .n = 4);
        map.size = wrong[i];
        check_refused("map", &map, NULL, FASTMAP_ERR_ARGUMENT, "size field", "FASTMAP_MAP()");
    }
    const struct fastmap_map map = FASTMAP_MAP(.func = counting, .n = 4);
    struct fastmap_report report = {.elements = 123};
    check_refused("report", &map, &report, FASTMAP_ERR_ARGUMENT, "size field", "FASTMAP_REPORT()");
    CHECK_EQ_SIZE(report.elements, 123);
    struct fastmap_config config = FASTMAP_CONFIG();
    config.size--;
    struct fastmap_session *session = NULL;
    CHECK_EQ_INT(fastmap_init(&config, &session), FASTMAP_ERR_ARGUMENT);
    CHECK_CONTAINS(fastmap_last_error(), "FASTMAP_CONFIG()");
    CHECK_TRUE(session == NULL, "session was set");
}

TEST(the_plain_call_refuses_what_the_full_one_does)
{
    char out[4] = "abc";
    atomic_store(&calls, 0);
    CHECK_EQ_INT(fastmap(NULL, NULL, 0, out, 1, 3, NULL, 0), FASTMAP_ERR_ARGUMENT);
    CHECK_EQ_INT(fastmap(counting, NULL, 4, out, 1, 3, NULL, 0), FASTMAP_ERR_ARGUMENT);
    CHECK_EQ_INT(fastmap(counting, NULL, 0, out, SIZE_MAX, 3, NULL, 0), FASTMAP_ERR_OVERFLOW);
    CHECK_EQ_INT(fastmap(counting, out, 1, out + 1, 1, 3, NULL, 0), FASTMAP_ERR_OVERLAP);
    CHECK_EQ_INT(atomic_load(&calls), 0);
    CHECK_EQ_STR(out, "abc");
}

TEST(arrays_may_touch_but_not_overlap)
{
    const struct {
        const char *name;
        size_t in, in_size, out, out_size, n, shared, shared_size;
        int code;
        const char *what;
    } cases[] = {
        {"in place", 0, 8, 0, 8, 10, 0, 0, 0, ""},
        {"out behind in", 0, 8, 80, 8, 10, 0, 0, 0, ""},
        {"in behind out", 80, 8, 0, 8, 10, 0, 0, 0, ""},
        {"one array, larger inputs", 0, 8, 0, 4, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"one array, larger outputs", 0, 4, 0, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"one element, other sizes", 0, 8, 0, 4, 1, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"out in the middle of in", 0, 8, 40, 2, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"in in the middle of out", 40, 2, 0, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"out one element on", 0, 8, 8, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"out one element back", 8, 8, 0, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"the last byte of in", 0, 8, 79, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"the last byte of out", 79, 8, 0, 8, 10, 0, 0, FASTMAP_ERR_OVERLAP, "in and out"},
        {"shared is out", 0, 8, 80, 8, 10, 80, 80, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"shared ends in out", 0, 8, 180, 8, 10, 150, 31, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"shared begins in out", 0, 8, 100, 8, 10, 179, 31, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"shared inside out", 0, 8, 100, 8, 10, 110, 1, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"out inside shared", 0, 8, 100, 8, 10, 90, 500, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"in place over shared", 0, 8, 0, 8, 10, 40, 4, FASTMAP_ERR_OVERLAP, "shared and out"},
        {"shared before out", 0, 8, 180, 8, 10, 150, 30, 0, ""},
        {"shared behind out", 0, 8, 100, 8, 10, 180, 31, 0, ""},
        {"shared is in", 0, 8, 80, 8, 10, 0, 80, 0, ""},
        {"shared of unknown length in out", 0, 8, 80, 8, 10, 90, 0, 0, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct fastmap_map map =
            FASTMAP_MAP(.func = counting, .in = arena + cases[i].in, .in_size = cases[i].in_size,
                        .out = arena + cases[i].out, .out_size = cases[i].out_size, .n = cases[i].n,
                        .shared = arena + cases[i].shared, .shared_size = cases[i].shared_size);
        if (cases[i].code != 0)
            check_refused(cases[i].name, &map, NULL, cases[i].code, cases[i].what, "");
        else
            CHECK_TRUE(fastmap_run(&map, NULL) == 0, "%s: %s", cases[i].name, fastmap_last_error());
    }
}

TEST(an_empty_map_is_a_success_that_touches_nothing)
{
    char out[4] = "abc";
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_report empty = FASTMAP_REPORT();
    report.elements = 5;
    report.failed = 3;
    report.workers = 7;
    atomic_store(&calls, 0);
    CHECK_EQ_INT(fastmap(counting, NULL, 8, NULL, 8, 0, NULL, 0), 0);
    CHECK_EQ_INT(fastmap(counting, out, 1, out, 2, 0, NULL, 0), 0);
    const struct fastmap_map map = FASTMAP_MAP(.func = counting, .out = out, .out_size = 4, .n = 0);
    CHECK_EQ_INT(fastmap_run(&map, &report), 0);
    CHECK_EQ_MEM(&report, &empty, sizeof report);
    CHECK_EQ_INT(atomic_load(&calls), 0);
    CHECK_EQ_STR(out, "abc");
}

/* ---- Huge maps --------------------------------------------------------------------------------- */

struct coverage {
    _Atomic uint64_t count;
    _Atomic uint64_t sum;
    _Atomic uint64_t squares;
    _Atomic int wrong;
};

/* Sum of i * i below n, modulo 2^64. */
static uint64_t squares_below(uint64_t n)
{
    if (n == 0)
        return 0;
    const unsigned __int128 product = (unsigned __int128)(n - 1) * n * (2 * n - 1);
    return (uint64_t)(product / 6);
}

static uint64_t sum_below(uint64_t n)
{
    return n % 2 ? (n - 1) / 2 * n : n / 2 * (n - 1);
}

static int covering_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    struct coverage *c = (struct coverage *)shared;
    if (in != NULL || out != NULL || count == 0 || fastmap_index() != first)
        atomic_fetch_add(&c->wrong, 1);
    atomic_fetch_add(&c->count, count);
    atomic_fetch_add(&c->sum, sum_below(first + count) - sum_below(first));
    atomic_fetch_add(&c->squares, squares_below(first + count) - squares_below(first));
    return 0;
}

TEST(more_than_2_to_the_32_elements_are_each_computed_once)
{
    const size_t n = ((size_t)1 << 32) + 5;
    struct coverage c = {0};
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map = FASTMAP_MAP(.block = covering_block, .n = n, .shared = &c);
    CHECK_EQ_INT(fastmap_run(&map, &report), 0);
    CHECK_EQ_SIZE(report.elements, n);
    CHECK_EQ_SIZE(atomic_load(&c.count), n);
    CHECK_EQ_SIZE(atomic_load(&c.sum), sum_below(n));
    CHECK_EQ_SIZE(atomic_load(&c.squares), squares_below(n));
    CHECK_EQ_INT(atomic_load(&c.wrong), 0);
}

/* ---- Failures ---------------------------------------------------------------------------------- */

static int fails_now_and_then(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    const size_t i = fastmap_index();
    *(int *)out = (int)i + 1;
    return i % 97 == 5 ? -(int)i : 0;
}

TEST(failing_elements_are_reported_in_order_and_the_others_are_computed)
{
    const int widths[] = {1, 2, 8};
    int out[1000];
    for (int w = 0; w < 3; w++) {
        struct fastmap_session *session = session_of(widths[w]);
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map =
            FASTMAP_MAP(.func = fails_now_and_then, .out = out, .out_size = sizeof *out, .n = 1000,
                        .element_seconds = 1e-3);
        memset(out, 0, sizeof out);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        CHECK_CONTAINS(fastmap_last_error(), "11 of 1000 elements failed");
        CHECK_CONTAINS(fastmap_last_error(), "the first is 5");
        CHECK_CONTAINS(fastmap_last_error(), "returned -5");
        CHECK_EQ_SIZE(report.elements, 1000);
        CHECK_EQ_SIZE(report.failed, 11);
        CHECK_EQ_SIZE(report.failures_listed, FASTMAP_REPORT_FAILURES);
        for (size_t k = 0; k < FASTMAP_REPORT_FAILURES; k++) {
            CHECK_EQ_SIZE(report.failures[k].index, 97 * k + 5);
            CHECK_EQ_INT(report.failures[k].code, -(int)(97 * k + 5));
            CHECK_EQ_INT(report.failures[k].tier, FASTMAP_TIER_LOCAL);
            CHECK_EQ_INT(report.failures[k].rank, 0);
        }
        for (int i = 0; i < 1000; i++)
            CHECK_EQ_INT(out[i], i + 1);
        end_session(session);
    }
}

TEST(the_plain_call_says_that_elements_failed)
{
    int out[10];
    CHECK_EQ_INT(fastmap(fails_now_and_then, NULL, 0, out, sizeof *out, 10, NULL, 0),
                 FASTMAP_ERR_ELEMENT);
    CHECK_CONTAINS(fastmap_last_error(), "1 of 10 elements failed");
    CHECK_CONTAINS(fastmap_last_error(), "fastmap_run()");
    CHECK_EQ_INT(out[9], 10);
}

static int block_with_a_7_fails(const void *in, void *out, size_t first, size_t count,
                                const void *shared)
{
    (void)in;
    (void)shared;
    for (size_t i = 0; i < count; i++)
        ((int *)out)[i] = (int)(first + i);
    return first <= 7 && 7 < first + count ? 42 : 0;
}

TEST(a_failing_block_counts_all_its_elements)
{
    int out[1000];
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.block = block_with_a_7_fails, .out = out, .out_size = sizeof *out, .n = 1000);
    CHECK_EQ_INT(fastmap_run(&map, &report), FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(report.elements, 1000);
    CHECK_EQ_SIZE(report.failures_listed, 1);
    CHECK_TRUE(report.failures[0].index <= 7 && report.failures[0].index + report.failed > 7,
               "%zu elements from %zu on", report.failed, report.failures[0].index);
    CHECK_EQ_INT(report.failures[0].code, 42);
    for (int i = 0; i < 1000; i++)
        CHECK_EQ_INT(out[i], i);
}

struct stopping {
    size_t fails; /* element */
    _Atomic size_t begun;
};

static int stopping_element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct stopping *s = (struct stopping *)shared;
    const size_t i = fastmap_index();
    atomic_fetch_add(&s->begun, 1);
    if (i == s->fails)
        return 3;
    sleep_ms(2);
    return 0;
}

TEST(on_error_stop_begins_no_more_elements_and_counts_those_begun)
{
    const int widths[] = {1, 2, 8};
    enum { MANY = 1000000 }; /* half an hour of sleep */
    for (int w = 0; w < 3; w++) {
        struct fastmap_session *session = session_of(widths[w]);
        struct fastmap_report report = FASTMAP_REPORT();
        struct stopping s = {.fails = 10};
        const struct fastmap_map map =
            FASTMAP_MAP(.func = stopping_element, .n = MANY, .shared = &s,
                        .on_error = FASTMAP_ON_ERROR_STOP, .element_seconds = 2e-3);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        CHECK_EQ_SIZE(report.elements, atomic_load(&s.begun));
        CHECK_TRUE(report.elements < MANY, "all %zu elements were computed", report.elements);
        CHECK_EQ_SIZE(report.failed, 1);
        CHECK_EQ_SIZE(report.failures_listed, 1);
        CHECK_EQ_SIZE(report.failures[0].index, 10);
        CHECK_EQ_INT(report.failures[0].code, 3);
        if (widths[w] == 1)
            CHECK_EQ_SIZE(report.elements, 11);
        end_session(session);
    }
}

TEST(a_map_that_stopped_leaves_nothing_behind_for_the_next)
{
    struct stopping s = {.fails = 0};
    const struct fastmap_map stops = FASTMAP_MAP(.func = stopping_element, .n = 1000, .shared = &s,
                                                 .on_error = FASTMAP_ON_ERROR_STOP);
    struct fastmap_report report = FASTMAP_REPORT();
    CHECK_EQ_INT(fastmap_run(&stops, &report), FASTMAP_ERR_ELEMENT);
    const struct fastmap_map counts = FASTMAP_MAP(.func = counting, .n = 1000);
    atomic_store(&calls, 0);
    CHECK_EQ_INT(fastmap_run(&counts, &report), 0);
    CHECK_EQ_INT(atomic_load(&calls), 1000);
    CHECK_EQ_SIZE(report.elements, 1000);
    CHECK_EQ_SIZE(report.failed, 0);
}

/* ---- Sessions ---------------------------------------------------------------------------------- */

TEST(the_process_wide_session_is_made_once_until_it_is_ended)
{
    const struct fastmap_config config = FASTMAP_CONFIG(.max_local_workers = 2);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    CHECK_EQ_INT(fastmap_global_init(&config), 0);
    CHECK_EQ_INT(fastmap_global_init(NULL), FASTMAP_ERR_STATE);
    CHECK_CONTAINS(fastmap_last_error(), "exists already");
    CHECK_CONTAINS(fastmap_last_error(), "fastmap_global_finalize()");
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    CHECK_EQ_INT(fastmap(counting, NULL, 0, NULL, 0, 10, NULL, 0), 0); /* makes one by itself */
    CHECK_EQ_INT(fastmap_global_init(NULL), FASTMAP_ERR_STATE);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

static int finalizing(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct fastmap_session *session = *(struct fastmap_session *const *)shared;
    sleep_ms(1); /* others come in, so that threads look at this map meanwhile */
    CHECK_EQ_INT(session == NULL ? fastmap_global_finalize() : fastmap_finalize(session),
                 FASTMAP_ERR_STATE);
    CHECK_CONTAINS(fastmap_last_error(), "running");
    return 0;
}

TEST(a_session_cannot_be_ended_while_one_of_its_maps_runs)
{
    for (int global = 0; global < 2; global++)
        for (int round = 0; round < 10; round++) {
            struct fastmap_session *session = global ? NULL : session_of(2);
            struct fastmap_report report = FASTMAP_REPORT();
            const struct fastmap_map map = FASTMAP_MAP(.func = finalizing, .n = 20,
                                                       .shared = &session, .element_seconds = 1e-3);
            CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
            CHECK_EQ_SIZE(report.elements, 20);
            CHECK_EQ_INT(global ? fastmap_global_finalize() : fastmap_finalize(session), 0);
        }
}

static int sleeping(const void *in, void *out, const void *shared)
{
    (void)in;
    if (shared != NULL)
        sleep_ms(*(const int *)shared);
    if (out != NULL)
        *(int *)out = (int)fastmap_index();
    return 0;
}

/* Maps of sleeping elements until the pool has come that far. */
static void warm_up(struct fastmap_session *session, int workers)
{
    const int ms = 5;
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map = FASTMAP_MAP(.func = sleeping, .n = 2 * (size_t)workers,
                                               .shared = &ms, .element_seconds = 5e-3);
    for (int i = 0; i < 100 && report.workers < workers; i++)
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
    CHECK_TRUE(report.workers == workers, "%d workers, waited for %d", report.workers, workers);
}

TEST(sessions_may_begin_and_end_often)
{
    for (int i = 0; i < 50; i++) {
        struct fastmap_session *session = session_of(1 + i % 8);
        if (i % 10 == 9)
            warm_up(session, 1 + i % 8);
        atomic_store(&calls, 0);
        const struct fastmap_map map = FASTMAP_MAP(.func = counting, .n = 100);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        CHECK_EQ_INT(atomic_load(&calls), 100);
        end_session(session);
    }
    CHECK_EQ_INT(fastmap_finalize(NULL), 0);
}

TEST(two_sessions_share_the_pool_and_one_may_end_before_the_other)
{
    struct fastmap_session *narrow = session_of(2);
    struct fastmap_session *wide = session_of(8);
    warm_up(wide, 8);
    for (int i = 0; i < 20; i++) {
        const int ms = 2;
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map =
            FASTMAP_MAP(.func = sleeping, .n = 10, .shared = &ms, .element_seconds = 2e-3);
        CHECK_EQ_INT(fastmap_session_run(narrow, &map, &report), 0);
        CHECK_TRUE(report.workers <= 2, "%d workers of 2", report.workers);
        CHECK_EQ_INT(fastmap_session_run(wide, &map, &report), 0);
        CHECK_TRUE(report.workers <= 8, "%d workers of 8", report.workers);
    }
    end_session(wide);
    warm_up(narrow, 2);
    end_session(narrow);
}

TEST(with_one_local_worker_no_thread_is_made)
{
    int workers;
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    struct fastmap_session *session = session_of(1);
    const int before = count_threads(&workers);
    CHECK_EQ_INT(workers, 0);
    for (int ms = 0; ms < 3; ms++) {
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map =
            FASTMAP_MAP(.func = sleeping, .n = 20, .shared = &ms, .element_seconds = 1e-3 * ms);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
        CHECK_EQ_INT(report.workers, 1);
    }
    CHECK_EQ_INT(count_threads(&workers), before);
    end_session(session);
}

TEST(the_last_session_takes_its_threads_with_it)
{
    int workers;
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    const int before = count_threads(&workers);
    struct fastmap_session *session = session_of(4);
    warm_up(session, 4);
    const int during = count_threads(&workers);
    CHECK_EQ_INT(workers, 4);
    CHECK_EQ_INT(during, before + 5); /* and the keeper */
    end_session(session);
    CHECK_EQ_INT(count_threads(&workers), before);
}

static int tiny(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

/* A thread of the test that loses its processor for long makes an element look dear: tried again. */
TEST(tiny_maps_wake_nobody)
{
    int workers = 0;
    if (UNDER_SANITIZER)
        SKIP("no map is tiny under a sanitizer: missed gains add up until the pool is made");
    for (int attempt = 0; attempt < 5; attempt++) {
        CHECK_EQ_INT(fastmap_global_finalize(), 0);
        const int before = count_threads(&workers);
        for (int map = 0; map < 2000; map++) {
            int x[4] = {map, 2, 3, 4};
            CHECK_EQ_INT(fastmap(tiny, x, sizeof *x, x, sizeof *x, 4, NULL, 0), 0);
            CHECK_EQ_INT(x[0], map + 1);
        }
        const int after = count_threads(&workers);
        CHECK_TRUE(after <= before + 1 + workers, "%d threads, %d workers, %d before", after,
                   workers, before);
        if (workers == 0)
            break;
    }
    CHECK_EQ_INT(workers, 0);
}

/* ---- Results ----------------------------------------------------------------------------------- */

enum { N_MOST = 5000, SIZE_MOST = 100, SHAPES = 6 };

struct recipe {
    size_t in_size;
    size_t out_size;
    size_t n;
    int shape;
    uint64_t salt;
    _Atomic unsigned char *times;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static unsigned steps_of(const struct recipe *r, size_t i)
{
    switch (r->shape) {
    case 1: return (unsigned)(2000 * i / r->n);          /* ramp up */
    case 2: return (unsigned)(2000 * (r->n - i) / r->n); /* ramp down */
    case 3: return i >= r->n - r->n / 16 ? 20000 : 10;   /* heavy block at the end */
    case 4: return i < r->n / 16 ? 20000 : 10;           /* ... at the front */
    case 5: return i == r->salt % r->n ? 3000000 : 100;  /* one giant element */
    default: return 1;
    }
}

static void cook(const struct recipe *r, size_t i, const unsigned char *in, unsigned char *out)
{
    uint64_t x = r->salt + i;
    for (size_t j = 0; j < r->in_size; j++)
        x = mix(x + in[j]);
    for (unsigned step = steps_of(r, i); step > 0; step--)
        x = x * 6364136223846793005u + 1442695040888963407u;
    for (size_t j = 0; j < r->out_size; j++)
        out[j] = (unsigned char)(mix(x + j) >> 56);
}

static int cook_element(const void *in, void *out, const void *shared)
{
    const struct recipe *r = shared;
    const size_t i = fastmap_index();
    if (!is_in(i, r->n))
        return 1;
    atomic_fetch_add_explicit(&r->times[i], 1, memory_order_relaxed);
    cook(r, i, in, out);
    return 0;
}

static int cook_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    const struct recipe *r = shared;
    if (!is_in(first, r->n) || !is_in(count - 1, r->n - first))
        return 1;
    for (size_t k = 0; k < count; k++) {
        atomic_fetch_add_explicit(&r->times[first + k], 1, memory_order_relaxed);
        cook(r, first + k, (const unsigned char *)in + k * r->in_size,
             (unsigned char *)out + k * r->out_size);
    }
    return 0;
}

struct kitchen {
    unsigned char in[N_MOST * SIZE_MOST];
    unsigned char expected[N_MOST * SIZE_MOST];
    unsigned char out[N_MOST * SIZE_MOST];
    _Atomic unsigned char times[N_MOST];
};

static bool check_meal(struct kitchen *k, struct recipe *r, const struct fastmap_map *map,
                       struct fastmap_session *session, int width)
{
    const bool in_place = map->in == map->out;
    memset(k->times, 0, sizeof k->times);
    if (in_place)
        memcpy(k->out, k->in, r->n * r->in_size);
    struct fastmap_report report = FASTMAP_REPORT();
    bool good = CHECK_EQ_INT(fastmap_session_run(session, map, &report), 0);
    good = CHECK_EQ_MEM(k->out, k->expected, r->n * r->out_size) && good;
    good = CHECK_TRUE(report.workers <= width, "%d workers of %d", report.workers, width) && good;
    for (size_t i = 0; i < r->n && good; i++)
        good = CHECK_TRUE(atomic_load(&k->times[i]) == 1, "element %zu was computed %d times", i,
                          atomic_load(&k->times[i]));
    if (!good)
        printf("# n %zu, in %zu, out %zu, in place %d, block %d, shape %d, width %d\n", r->n,
               r->in_size, r->out_size, in_place, map->block != NULL, r->shape, width);
    return good;
}

/* Each way to ask for it: element or block function, in place or not, with and without a hint. */
static bool check_ways(struct kitchen *k, struct recipe *r, struct fastmap_session *session,
                       int width)
{
    bool good = true;
    for (int way = 0; way < 8 && good; way++) {
        struct fastmap_map map =
            FASTMAP_MAP(.in = k->in, .in_size = r->in_size, .out = k->out, .out_size = r->out_size,
                        .n = r->n, .shared = r, .element_seconds = way & 4 ? 1e-4 : 0);
        if (way & 1)
            map.block = cook_block;
        else
            map.func = cook_element;
        if (way & 2 && r->in_size != r->out_size)
            continue;
        if (way & 2)
            map.in = map.out;
        good = check_meal(k, r, &map, session, width);
    }
    return good;
}

TEST(results_are_those_of_the_plain_loop_byte_for_byte)
{
    static const int widths[] = {1, 2, 3, 8};
    static const size_t sizes[] = {1, 2, 3, 4, 7, 8, 9, 16, 31, 64, 77, 100};
    static const size_t ns[] = {0, 1, 2, 3, 5, 8, 31, 64, 100, 333, 1000, 2048, 4999, 5000};
    enum { SIZES = sizeof sizes / sizeof *sizes, NS = sizeof ns / sizeof *ns };
    const int rounds = UNDER_SANITIZER ? 40 : 160;
    struct kitchen *k = malloc(sizeof *k);
    struct fastmap_session *sessions[4];
    uint64_t chance = 5;
    for (int w = 0; w < 4; w++)
        sessions[w] = session_of(widths[w]);
    for (size_t i = 0; i < sizeof k->in; i++)
        k->in[i] = (unsigned char)(mix(i) >> 40);
    bool good = true;
    for (int round = 0; round < rounds && good; round++) {
        struct recipe r = {.times = k->times, .salt = chance, .shape = round % SHAPES};
        chance = mix(chance + 1);
        r.in_size = sizes[chance % SIZES];
        r.out_size = chance >> 60 < 8 ? r.in_size : sizes[(chance >> 8) % SIZES];
        r.n = ns[(chance >> 16) % NS];
        for (size_t i = 0; i < r.n; i++)
            cook(&r, i, k->in + i * r.in_size, k->expected + i * r.out_size);
        good = check_ways(k, &r, sessions[round / SHAPES % 4], widths[round / SHAPES % 4]);
    }
    for (int w = 0; w < 4; w++)
        end_session(sessions[w]);
    free(k);
}

/* ---- Who computes ------------------------------------------------------------------------------ */

static int asleep_two(const void *in, void *out, const void *shared)
{
    return sleeping(in, out, shared);
}

static int asleep_eight(const void *in, void *out, const void *shared)
{
    return sleeping(in, out, shared);
}

static int asleep_known(const void *in, void *out, const void *shared)
{
    return sleeping(in, out, shared);
}

static void check_sleepers(fastmap_func *func, size_t n, int width)
{
    const int ms = 300;
    int out[8] = {0};
    struct fastmap_session *session = session_of(width);
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = func, .out = out, .out_size = sizeof *out, .n = n, .shared = &ms);
    CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
    CHECK_EQ_INT(report.workers, (int)n);
    for (int i = 0; i < (int)n; i++)
        CHECK_EQ_INT(out[i], i);
    end_session(session);
}

TEST(the_second_of_two_long_elements_of_an_unknown_function_gets_a_thread)
{
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    check_sleepers(asleep_two, 2, 2);
}

TEST(eight_long_elements_of_an_unknown_function_get_eight_threads)
{
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
    check_sleepers(asleep_eight, 8, 8);
}

TEST(an_element_that_turns_out_long_does_not_hold_up_the_next)
{
    struct fastmap_session *session = session_of(2);
    const struct fastmap_map quick = FASTMAP_MAP(.func = asleep_known, .n = 100);
    for (int i = 0; i < 100; i++) /* known as cheap */
        CHECK_EQ_INT(fastmap_session_run(session, &quick, NULL), 0);
    end_session(session);
    check_sleepers(asleep_known, 2, 2);
}

/* ---- Nesting ----------------------------------------------------------------------------------- */

enum { OUTER = 12, MIDDLE = 9, INNER = 30 };

struct levels {
    struct fastmap_session *session;
    size_t outer;
    size_t middle;
};

static int inner_level(const void *in, void *out, const void *shared)
{
    const struct levels *l = shared;
    (void)in;
    *(uint64_t *)out = mix(l->outer * 1000000 + l->middle * 1000 + fastmap_index());
    return 0;
}

static uint64_t sum_of(const uint64_t *values, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = mix(sum + values[i]);
    return sum;
}

static int middle_level(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)in;
    for (size_t k = 0; k < count; k++) {
        uint64_t values[INNER];
        struct levels l = *(const struct levels *)shared;
        l.middle = first + k;
        const struct fastmap_map map =
            FASTMAP_MAP(.func = inner_level, .out = values, .out_size = sizeof *values, .n = INNER,
                        .shared = &l, .element_seconds = 1e-5);
        CHECK_EQ_SIZE(fastmap_index(), first);
        CHECK_EQ_INT(fastmap_session_run(l.session, &map, NULL), 0);
        CHECK_EQ_SIZE(fastmap_index(), first);
        ((uint64_t *)out)[k] = sum_of(values, INNER);
    }
    return 0;
}

static int outer_level(const void *in, void *out, const void *shared)
{
    (void)in;
    uint64_t values[MIDDLE];
    struct levels l = *(const struct levels *)shared;
    const size_t i = l.outer = fastmap_index();
    const struct fastmap_map map =
        FASTMAP_MAP(.block = middle_level, .out = values, .out_size = sizeof *values, .n = MIDDLE,
                    .shared = &l, .element_seconds = 1e-4);
    CHECK_EQ_INT(fastmap_session_run(l.session, &map, NULL), 0);
    CHECK_EQ_SIZE(fastmap_index(), i);
    *(uint64_t *)out = sum_of(values, MIDDLE);
    return 0;
}

static uint64_t expected_of_outer(size_t outer)
{
    uint64_t middle[MIDDLE];
    for (size_t m = 0; m < MIDDLE; m++) {
        uint64_t inner[INNER];
        for (size_t i = 0; i < INNER; i++)
            inner[i] = mix(outer * 1000000 + m * 1000 + i);
        middle[m] = sum_of(inner, INNER);
    }
    return sum_of(middle, MIDDLE);
}

static bool check_nested(struct fastmap_session *session)
{
    uint64_t values[OUTER];
    const struct levels l = {.session = session};
    const struct fastmap_map map =
        FASTMAP_MAP(.func = outer_level, .out = values, .out_size = sizeof *values, .n = OUTER,
                    .shared = &l, .element_seconds = 1e-3);
    bool good = CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    for (size_t i = 0; i < OUTER; i++)
        good =
            CHECK_TRUE(values[i] == expected_of_outer(i), "element %zu is %llx, not %llx", i,
                       (unsigned long long)values[i], (unsigned long long)expected_of_outer(i)) &&
            good;
    return good;
}

TEST(maps_nest_three_deep_in_functions_and_blocks)
{
    const int widths[] = {1, 2, 3, 8};
    CHECK_EQ_SIZE(fastmap_index(), SIZE_MAX);
    for (int w = 0; w < 4; w++) {
        struct fastmap_session *session = session_of(widths[w]);
        for (int round = 0; round < (UNDER_SANITIZER ? 10 : 50) && check_nested(session); round++)
            ;
        end_session(session);
    }
    CHECK_EQ_SIZE(fastmap_index(), SIZE_MAX);
}

static int nested_failure(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    int inner[100];
    *(int *)out = 5;
    if (fastmap(fails_now_and_then, NULL, 0, inner, sizeof *inner, 100, NULL, 0) !=
        FASTMAP_ERR_ELEMENT)
        return 99;
    return fastmap_index() == 2 ? 11 : 0;
}

TEST(a_failure_inside_a_nested_map_stays_there)
{
    int out[4];
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = nested_failure, .out = out, .out_size = sizeof *out, .n = 4);
    CHECK_EQ_INT(fastmap_run(&map, &report), FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(report.failed, 1);
    CHECK_EQ_SIZE(report.failures[0].index, 2);
    CHECK_EQ_INT(report.failures[0].code, 11);
}

/* ---- Several application threads --------------------------------------------------------------- */

enum { CALLERS = 8 };

static void *nesting_caller(void *session)
{
    for (int round = 0; round < (UNDER_SANITIZER ? 3 : 20); round++)
        if (!check_nested(session))
            break;
    return NULL;
}

TEST(maps_of_many_threads_run_at_once_and_threads_come_and_go)
{
    struct fastmap_session *sessions[] = {session_of(2), session_of(4)};
    for (int generation = 0; generation < 5; generation++) {
        pthread_t callers[CALLERS];
        for (int i = 0; i < CALLERS; i++)
            pthread_create(&callers[i], NULL, nesting_caller, sessions[i % 2]);
        for (int i = 0; i < CALLERS; i++)
            pthread_join(callers[i], NULL);
    }
    end_session(sessions[0]);
    end_session(sessions[1]);
}

/* ---- fork() ------------------------------------------------------------------------------------ */

enum { CHILD_GOOD = 17 };

/* A child that hangs is ended by a signal, which its parent sees. */
static void limit_child(void)
{
    signal(SIGALRM, SIG_DFL);
    alarm(UNDER_SANITIZER ? 60 : 20);
}

static void check_child(pid_t child)
{
    int status = 0;
    CHECK_TRUE(child > 0, "fork: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    CHECK_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_GOOD,
               "the child ended with status 0x%x (exit %d, signal %d)", (unsigned)status,
               WEXITSTATUS(status), WTERMSIG(status));
}

/* ThreadSanitizer does not know threads that a child makes. */
static void run_child_in_line(struct fastmap_session *session)
{
    struct fastmap_session *own = session_of(1);
    int out[2];
    const struct fastmap_map map =
        FASTMAP_MAP(.func = tiny, .in = (int[]){1, 2}, .in_size = sizeof(int), .out = out,
                    .out_size = sizeof *out, .n = 2);
    const bool good = fastmap_session_run(own, &map, NULL) == 0 && out[1] == 3 &&
                      fastmap_finalize(session) == 0 && fastmap_finalize(own) == 0 &&
                      fastmap_global_finalize() == 0;
    _exit(good ? CHILD_GOOD : 1);
}

/* What a child does: maps in line and with a pool of its own, then ends its sessions. */
static void run_child(struct fastmap_session *session)
{
    limit_child();
    if (UNDER_TSAN)
        run_child_in_line(session);
    int out[8] = {0};
    const int ms = 20;
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = sleeping, .out = out, .out_size = sizeof *out, .n = 8, .shared = &ms,
                    .element_seconds = 2e-2);
    bool good = fastmap(tiny, (int[]){1, 2}, sizeof(int), out, sizeof(int), 2, NULL, 0) == 0;
    for (int i = 0; i < 100 && report.workers < 4 && good; i++)
        good = fastmap_session_run(session, &map, &report) == 0 && out[7] == 7;
    good = good && report.workers == 4;
    good = good && fastmap_finalize(session) == 0 && fastmap_global_finalize() == 0;
    _exit(good ? CHILD_GOOD : 1);
}

TEST(a_child_has_maps_and_a_pool_of_its_own_and_the_parent_goes_on)
{
    struct fastmap_session *session = session_of(4);
    warm_up(session, 4);
    for (int round = 0; round < 5; round++) {
        const pid_t child = fork();
        if (child == 0)
            run_child(session);
        warm_up(session, 4);
        check_child(child);
    }
    end_session(session);
}

struct busy {
    struct fastmap_session *session;
    _Atomic bool over;
    sem_t started;
};

static void *busy_main(void *argument)
{
    struct busy *busy = argument;
    const int ms = 1;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = sleeping, .n = 20, .shared = &ms, .element_seconds = 1e-3);
    sem_post(&busy->started);
    while (!atomic_load(&busy->over))
        CHECK_EQ_INT(fastmap_session_run(busy->session, &map, NULL), 0);
    return NULL;
}

TEST(a_child_is_not_troubled_by_maps_of_threads_that_it_does_not_have)
{
    struct busy busy = {.session = session_of(4)};
    pthread_t threads[2];
    sem_init(&busy.started, 0, 0);
    warm_up(busy.session, 4);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, busy_main, &busy);
    for (int i = 0; i < 2; i++)
        sem_wait(&busy.started);
    for (int round = 0; round < 10; round++) {
        sleep_ms(3);
        const pid_t child = fork();
        if (child == 0)
            run_child(busy.session);
        check_child(child);
    }
    atomic_store(&busy.over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    end_session(busy.session);
}

static int forking(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    const pid_t child = fork();
    if (child == 0)
        _exit(CHILD_GOOD);
    check_child(child);
    *(int *)out = (int)fastmap_index();
    return 0;
}

TEST(an_element_may_fork_a_child_that_ends_at_once)
{
    int out[20] = {0};
    struct fastmap_session *session = session_of(4);
    const struct fastmap_map map = FASTMAP_MAP(.func = forking, .out = out, .out_size = sizeof *out,
                                               .n = 20, .element_seconds = 1e-3);
    CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ_INT(out[i], i);
    end_session(session);
}

/* While the keeper makes the pool: the child must not inherit what is half made. */
TEST(a_fork_may_come_while_the_pool_is_made)
{
    for (int round = 0; round < 10; round++) {
        struct fastmap_session *session = session_of(4);
        const int ms = 1;
        const struct fastmap_map map =
            FASTMAP_MAP(.func = sleeping, .n = 2, .shared = &ms, .element_seconds = 1e-2);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        sleep_ms(round % 4);
        const pid_t child = fork();
        if (child == 0)
            run_child(session);
        check_child(child);
        end_session(session);
    }
}

/* ---- Floating-point state ---------------------------------------------------------------------- */

enum { SLEEPERS = 16 };

struct float_state {
    int rounding;
    unsigned control; /* MXCSR without its flags, where there is one */
    double third;
    bool helper;
};

static unsigned control_bits(void)
{
#if defined(__x86_64__)
    return _mm_getcsr() & ~0x3fu;
#else
    return 0;
#endif
}

static struct float_state float_state(void)
{
    const volatile double one = 1;
    const volatile double three = -3;
    return (struct float_state){
        .rounding = fegetround(), .control = control_bits(), .third = one / three};
}

static int note_float_state(const void *in, void *out, const void *shared)
{
    (void)in;
    struct float_state *state = out;
    sleep_ms(5);
    *state = float_state();
    state->helper = (pid_t)syscall(SYS_gettid) != *(const pid_t *)shared;
    return 0;
}

static size_t check_float_states(struct fastmap_session *session, const char *name)
{
    struct float_state states[SLEEPERS];
    const pid_t caller = (pid_t)syscall(SYS_gettid);
    const struct float_state own = float_state();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = note_float_state, .out = states, .out_size = sizeof *states,
                    .n = SLEEPERS, .shared = &caller, .element_seconds = 5e-3);
    CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    size_t helped = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        helped += states[i].helper;
        CHECK_TRUE(states[i].rounding == own.rounding && states[i].control == own.control &&
                       memcmp(&states[i].third, &own.third, sizeof own.third) == 0,
                   "%s, element %d: rounding %d, control %x, 1/-3 = %a; the caller: %d, %x, %a",
                   name, i, states[i].rounding, states[i].control, states[i].third, own.rounding,
                   own.control, own.third);
    }
    const struct float_state after = float_state();
    CHECK_TRUE(after.rounding == own.rounding && after.control == own.control,
               "%s: the caller's state changed", name);
    return helped;
}

TEST(every_element_sees_the_callers_rounding_mode_and_later_maps_see_theirs)
{
    const struct {
        const char *name;
        int mode;
    } modes[] = {{"up", FE_UPWARD},
                 {"to nearest", FE_TONEAREST},
                 {"down", FE_DOWNWARD},
                 {"towards zero", FE_TOWARDZERO},
                 {"to nearest again", FE_TONEAREST}};
    struct fastmap_session *session = session_of(4);
    warm_up(session, 4);
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        fesetround(modes[m].mode);
        const size_t helped = check_float_states(session, modes[m].name);
        fesetround(FE_TONEAREST);
        CHECK_TRUE(helped > 0, "%s: nobody helped", modes[m].name);
    }
    end_session(session);
}

TEST(every_element_sees_the_callers_denormal_modes)
{
#if defined(__x86_64__)
    const unsigned modes[] = {0x8000, 0x0040, 0x8040, 0}; /* flush to zero, denormals are zero */
    struct fastmap_session *session = session_of(4);
    const unsigned old = _mm_getcsr();
    warm_up(session, 4);
    for (int m = 0; m < 4; m++) {
        char name[32];
        snprintf(name, sizeof name, "MXCSR 0x%x", modes[m]);
        _mm_setcsr((old & ~0x8040u) | modes[m]);
        const size_t helped = check_float_states(session, name);
        _mm_setcsr(old);
        CHECK_TRUE(helped > 0, "%s: nobody helped", name);
    }
    end_session(session);
#else
    SKIP("flush-to-zero is set in another way on this processor");
#endif
}

struct raising {
    pid_t caller;
    int flag;
    _Atomic int raised;
};

static int raise_in_helpers(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct raising *r = (struct raising *)shared;
    sleep_ms(5);
    if ((pid_t)syscall(SYS_gettid) == r->caller)
        return 0;
    feraiseexcept(r->flag);
    atomic_fetch_add(&r->raised, 1);
    return 0;
}

TEST(exceptions_raised_by_helpers_are_raised_in_the_caller)
{
    const int flags[] = {FE_DIVBYZERO, FE_OVERFLOW, FE_INVALID};
    struct fastmap_session *session = session_of(4);
    warm_up(session, 4);
    for (int f = 0; f < 3; f++) {
        struct raising r = {.caller = (pid_t)syscall(SYS_gettid), .flag = flags[f]};
        const struct fastmap_map map = FASTMAP_MAP(.func = raise_in_helpers, .n = SLEEPERS,
                                                   .shared = &r, .element_seconds = 5e-3);
        feclearexcept(FE_ALL_EXCEPT);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        const int raised = fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID);
        CHECK_TRUE(atomic_load(&r.raised) > 0, "nobody helped");
        CHECK_EQ_INT(raised, flags[f]);
    }
    feclearexcept(FE_ALL_EXCEPT);
    warm_up(session, 4); /* the flags that helpers raised then are not raised again */
    CHECK_EQ_INT(fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID), 0);
    end_session(session);
}

/* ---- Signals ----------------------------------------------------------------------------------- */

static _Atomic int signals;

static void count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

/* The caller waits for helpers, asleep in the kernel, while signals come. */
TEST(signals_with_handlers_do_no_harm)
{
    struct fastmap_session *session = session_of(4);
    struct sigaction action = {.sa_handler = count_signal}; /* no SA_RESTART */
    struct sigaction old;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    const struct itimerspec often = {{0, 500000}, {0, 500000}};
    timer_t timer;
    warm_up(session, 4);
    sigaction(SIGUSR1, &action, &old);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &often, NULL);
    for (int round = 0; round < 10; round++) {
        int out[64] = {0};
        const int ms = 1 + round;
        const struct fastmap_map map =
            FASTMAP_MAP(.func = sleeping, .out = out, .out_size = sizeof *out,
                        .n = round % 2 ? 5 : 64, .shared = &ms, .element_seconds = 1e-3 * ms);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        for (int i = 0; i < (int)map.n; i++)
            CHECK_EQ_INT(out[i], i);
    }
    timer_delete(timer);
    sigaction(SIGUSR1, &old, NULL);
    CHECK_TRUE(atomic_load(&signals) > 0, "no signal came");
    end_session(session);
}

static int check_signal_mask(const void *in, void *out, const void *shared)
{
    (void)in;
    sigset_t blocked;
    sleep_ms(2);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    *(int *)out =
        (pid_t)syscall(SYS_gettid) == *(const pid_t *)shared || sigismember(&blocked, SIGUSR1) == 1;
    return 0;
}

TEST(the_applications_signals_are_not_delivered_to_helpers)
{
    int out[SLEEPERS];
    const pid_t caller = (pid_t)syscall(SYS_gettid);
    struct fastmap_session *session = session_of(4);
    const struct fastmap_map map =
        FASTMAP_MAP(.func = check_signal_mask, .out = out, .out_size = sizeof *out, .n = SLEEPERS,
                    .shared = &caller, .element_seconds = 2e-3);
    warm_up(session, 4);
    CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK_TRUE(out[i], "the thread of element %d takes SIGUSR1", i);
    end_session(session);
}
