/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/overhead: what fastmap adds to functions that do next to nothing. Three tables: the added
 * time of an element on one thread, the time of a call of a map of few elements, and the time of a
 * warm parallel region, beside OpenMP's and oneTBB's. All are medians over rounds in which the
 * runners take turns.
 */
#include "measure.h"
#include "meeting.h"
#include "stats.h"

#include <stdint.h>
#include <stdio.h>

enum { rounds = 31, most_elements = 20000 };
static const double batch_s = 1e-3;

static int64_t inputs[most_elements];
static int64_t outputs[most_elements];

static int increment(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int64_t *)out = *(const int64_t *)in + 1;
    return 0;
}

static int increment_block(const void *in, void *out, size_t first, size_t count,
                           const void *shared)
{
    const int64_t *from = in;
    int64_t *to = out;
    (void)first, (void)shared;
    for (size_t i = 0; i < count; i++)
        to[i] = from[i] + 1;
    return 0;
}

static struct bench_map increments(size_t n)
{
    return (struct bench_map){.func = increment,
                              .block = increment_block,
                              .in = (const char *)inputs,
                              .out = (char *)outputs,
                              .in_size = sizeof inputs[0],
                              .out_size = sizeof outputs[0],
                              .n = n};
}

/* Turns of all runners in all rounds: seconds[runner][round] of one call. */
static void measure(const struct bench_runner *runners, size_t count, const struct bench_map *map,
                    double seconds[][rounds])
{
    size_t repeats[BENCH_RUNNERS_MAX];
    for (size_t r = 0; r < count; r++)
        repeats[r] = bench_repeats(&runners[r], map, batch_s);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t k = 0; k < count; k++) {
            const size_t r = (k + round) % count;
            seconds[r][round] = bench_turn(&runners[r], map, repeats[r]);
        }
    }
}

/* The median over rounds of the difference of two runners. */
static double added(double mine[rounds], double base[rounds])
{
    double differences[rounds];
    for (size_t i = 0; i < rounds; i++)
        differences[i] = mine[i] - base[i];
    return bench_quantile(differences, rounds, 0.5);
}

/* ---- One thread -------------------------------------------------------------------------------- */

static struct fastmap_session *one_thread;

static void run_session(const struct bench_map *m, fastmap_func *func, fastmap_block_func *block)
{
    const struct fastmap_map map =
        FASTMAP_MAP(.func = func, .block = block, .in = m->in, .in_size = m->in_size, .out = m->out,
                    .out_size = m->out_size, .n = m->n, .shared = m->shared);
    bench_expect(fastmap_session_run(one_thread, &map, NULL), "fastmap_session_run");
}

static void run_one_thread(const struct bench_map *m)
{
    run_session(m, m->func, NULL);
}

static void run_one_thread_block(const struct bench_map *m)
{
    run_session(m, NULL, m->block);
}

static void print_added(void)
{
    struct bench_runner runners[BENCH_RUNNERS_MAX];
    const size_t loops = bench_runners("", runners);
    const struct bench_map map = increments(most_elements);
    double seconds[5][rounds];
    if (loops != 3)
        bench_expect(-1, "the list of loops");
    runners[3] = (struct bench_runner){"fastmap", BENCH_LOOP, run_one_thread, NULL};
    runners[4] = (struct bench_runner){"block", BENCH_LOOP, run_one_thread_block, NULL};
    measure(runners, 5, &map, seconds);
    const double loop = bench_quantile(seconds[0], rounds, 0.5);
    const double block_loop = bench_quantile(seconds[2], rounds, 0.5);
    printf("\nOne thread, %d elements of out = in + 1: ns an element\n", most_elements);
    printf("  plain loop through a pointer   %7.3f\n", 1e9 * loop / most_elements);
    printf("  the same again, difference     %+7.3f   (noise)\n",
           1e9 * added(seconds[1], seconds[0]) / most_elements);
    printf("  fastmap_func adds              %+7.3f   (to reach: 1)\n",
           1e9 * added(seconds[3], seconds[0]) / most_elements);
    printf("  block function, called once    %7.3f\n", 1e9 * block_loop / most_elements);
    printf("  fastmap_block_func adds        %+7.3f   (to reach: 0.05)\n",
           1e9 * added(seconds[4], seconds[2]) / most_elements);
}

/* ---- Few elements ------------------------------------------------------------------------------ */

static void print_tiny(void)
{
    static const size_t ns[] = {0, 1, 2, 3, 4, 8, 16, 32, 64};
    struct bench_runner runners[BENCH_RUNNERS_MAX];
    double seconds[BENCH_RUNNERS_MAX][rounds];
    const size_t count = bench_runners("fastmap,block-fastmap", runners);
    printf("\nA call with few elements, default settings: ns a call\n%6s", "n");
    for (size_t r = 0; r < count; r++)
        printf(" %14s", runners[r].name);
    printf(" %14s %14s\n", "fastmap adds", "block adds");
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
        const struct bench_map map = increments(ns[i]);
        measure(runners, count, &map, seconds);
        printf("%6zu", ns[i]);
        for (size_t r = 0; r < count; r++)
            printf(" %14.1f", 1e9 * bench_quantile(seconds[r], rounds, 0.5));
        printf(" %+14.1f %+14.1f\n", 1e9 * added(seconds[2], seconds[0]),
               1e9 * added(seconds[4], seconds[3]));
    }
}

/* ---- A region that is shared ------------------------------------------------------------------- */

static void run_hinted(const struct bench_map *m)
{
    const struct fastmap_map map = FASTMAP_MAP(.func = m->func, .in = m->in, .in_size = m->in_size,
                                               .out = m->out, .out_size = m->out_size, .n = m->n,
                                               .shared = m->shared, .element_seconds = 1e-5);
    bench_expect(fastmap_run(&map, NULL), "fastmap_run");
}

static void print_nanoseconds(const double seconds[rounds])
{
    static const double quantiles[] = {0.5, 0.25, 0.75, 0};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        printf(" %10.0f", 1e9 * bench_quantile(seconds, rounds, quantiles[i]));
}

/* The runners that a region is timed with; returns how many. */
static size_t region_runners(struct bench_runner runners[3])
{
    size_t count = 0;
    runners[count++] = (struct bench_runner){"fastmap", BENCH_FASTMAP, run_hinted, NULL};
    if (bench_openmp_runners[0].name != NULL)
        runners[count++] = bench_openmp_runners[0];
    if (bench_tbb_region[0].name != NULL)
        runners[count++] = bench_tbb_region[0];
    return count;
}

static void print_region(void)
{
    static struct meeting meeting = {.patience_s = 0.02};
    static struct meeting *const pointer = &meeting;
    const struct bench_map map = {.func = bench_meet, .n = 2, .shared = &pointer};
    struct bench_runner runners[3];
    const size_t count = region_runners(runners);
    size_t repeats[3];
    double seconds[3][rounds];
    unsigned missed[3] = {0};
    for (size_t r = 0; r < count; r++)
        repeats[r] = bench_repeats(&runners[r], &map, batch_s);
    for (size_t round = 0; round < rounds; round++) {
        for (size_t k = 0; k < count; k++) {
            const size_t r = (k + round) % count;
            const unsigned before = atomic_load(&meeting.missed);
            seconds[r][round] = bench_turn(&runners[r], &map, repeats[r]);
            missed[r] += atomic_load(&meeting.missed) - before;
        }
    }
    printf("\nA warm parallel region: two elements that wait for each other, on %d cores: ns\n",
           bench_cores());
    printf("%14s %10s %10s %10s %10s\n", "", "median", "quartile 1", "quartile 3", "least");
    for (size_t r = 0; r < count; r++) {
        printf("  %-12s", runners[r].name);
        print_nanoseconds(seconds[r]);
        if (missed[r] > 0)
            printf("  %u times no second thread came within %g ms", missed[r],
                   1e3 * meeting.patience_s);
        printf("\n");
    }
}

int main(void)
{
    const struct bench_cost cost = bench_calibrate();
    bench_measure_init(&cost);
    bench_expect(fastmap_global_init(&FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_QUIET)),
                 "fastmap_global_init");
    bench_expect(
        fastmap_init(&FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_QUIET, .max_local_workers = 1),
                     &one_thread),
        "fastmap_init");
    bench_print_setting();
    print_added();
    print_tiny();
    print_region();
    bench_expect(fastmap_finalize(one_thread), "fastmap_finalize");
    return 0;
}
