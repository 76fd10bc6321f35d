/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/process: what worker processes cost against threads: the start of a worker, handing a span over,
 * the throughput of longer elements, and moving large ones. bench/process_mpi is the same program linked
 * with Open MPI, for the start.
 */
#include "clock.h"
#include "stats.h"

#include <fastmap.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { starts = 21, rounds = 15, moves = 15, BLOCK = 100, BLOCKS = 20 };

#define BYTES ((size_t)64 << 20)

static void check(int code)
{
    if (code == 0)
        return;
    fprintf(stderr, "process: %s\n", fastmap_last_error());
    exit(2);
}

static struct fastmap_session *session_of(int threads)
{
    const struct fastmap_config config =
        FASTMAP_CONFIG(.max_local_workers = threads, .verbosity = FASTMAP_VERBOSITY_QUIET);
    struct fastmap_session *session = NULL;
    check(fastmap_init(&config, &session));
    return session;
}

/* ---- Start and span ---- */

static int copy(const void *in, void *out, const void *shared)
{
    (void)shared;
    memcpy(out, in, sizeof(double));
    return 0;
}

static double seconds_of(struct fastmap_session *session, const struct fastmap_map *map)
{
    const double begun = bench_now();
    check(fastmap_session_run(session, map, NULL));
    return bench_now() - begun;
}

static void print_start(double *span_seconds)
{
    double first[starts], second[starts];
    double in = 1;
    double out = 0;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = copy, .in = &in, .in_size = sizeof in, .out = &out,
                    .out_size = sizeof out, .n = 1, .workers = FASTMAP_WORKERS_PROCESSES);
    for (int i = 0; i < starts; i++) {
        struct fastmap_session *session = session_of(1); /* the last session's workers have ended */
        first[i] = seconds_of(session, &map);
        second[i] = 1;
        for (int k = 0; k < 20; k++) {
            const double again = seconds_of(session, &map);
            second[i] = again < second[i] ? again : second[i];
        }
        check(fastmap_finalize(session));
    }
    *span_seconds = bench_quantile(second, starts, 0.5);
    printf("  start of a worker, to its first result   %8.2f ms",
           1e3 * (bench_quantile(first, starts, 0.5) - *span_seconds));
}

/* Where the thread is that waits for the worker: free, as an application's threads are, or bound to a
   processor, as those of the pool are; and what it does between spans. */
static const struct {
    const char *name;
    int blocks;
    double pause; /* seconds of computing */
    bool bound;
} placements[] = {
    {"thread free", 20, 0, false},
    {"thread free, 1 ms apart", 10, 1e-3, false},
    {"thread bound", 20, 0, true},
    {"thread bound, 1 ms apart", 10, 1e-3, true},
};

static void compute_for(double seconds)
{
    for (const double begun = bench_now(); bench_now() - begun < seconds;)
        ;
}

static void bind_here(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static double block_median(struct fastmap_session *session, double pause)
{
    double took[BLOCK];
    double in = 1;
    double out = 0;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = copy, .in = &in, .in_size = sizeof in, .out = &out,
                    .out_size = sizeof out, .n = 1, .workers = FASTMAP_WORKERS_PROCESSES);
    for (int i = 0; i < BLOCK; i++) {
        compute_for(pause);
        took[i] = seconds_of(session, &map);
    }
    return bench_quantile(took, BLOCK, 0.5);
}

/* Medians of blocks of spans: what a single span takes at most says more of the machine. */
static void print_spans(void)
{
    cpu_set_t own;
    (void)sched_getaffinity(0, sizeof own, &own);
    for (size_t p = 0; p < sizeof placements / sizeof *placements; p++) {
        double medians[BLOCKS];
        const int blocks = placements[p].blocks;
        if (placements[p].bound)
            bind_here();
        struct fastmap_session *session = session_of(1);
        (void)block_median(session, 0);
        for (int i = 0; i < blocks; i++)
            medians[i] = block_median(session, placements[p].pause);
        check(fastmap_finalize(session));
        (void)sched_setaffinity(0, sizeof own, &own);
        printf("  an empty span, %-25s %8.2f us   (to reach: 30; medians of 100: %.2f to %.2f)\n",
               placements[p].name, 1e6 * bench_quantile(medians, blocks, 0.5),
               1e6 * bench_quantile(medians, blocks, 0), 1e6 * bench_quantile(medians, blocks, 1));
    }
}

/* ---- Throughput ---- */

static int chain(const void *in, void *out, const void *shared)
{
    (void)shared;
    unsigned long long x = 1;
    const unsigned steps = *(const unsigned *)in;
    for (unsigned i = 0; i < steps; i++)
        x = x * 6364136223846793005ull + 1442695040888963407ull;
    *(unsigned long long *)out = x;
    return 0;
}

static double step_seconds(void)
{
    const unsigned steps = 20000000;
    volatile unsigned long long sink; /* else nothing is computed */
    unsigned long long x;
    const double begun = bench_now();
    (void)chain(&steps, &x, NULL);
    sink = x;
    (void)sink;
    return (bench_now() - begun) / steps;
}

static void print_throughput(double element_seconds, double step)
{
    const size_t n = (size_t)(0.1 / element_seconds) + 8;
    unsigned *in = malloc(n * sizeof *in);
    unsigned long long *out = malloc(n * sizeof *out);
    double ratios[rounds], threads_took[rounds];
    if (in == NULL || out == NULL)
        exit(2);
    for (size_t i = 0; i < n; i++)
        in[i] = (unsigned)(element_seconds / step);
    struct fastmap_map map = FASTMAP_MAP(.func = chain, .in = in, .in_size = sizeof *in, .out = out,
                                         .out_size = sizeof *out, .n = n);
    struct fastmap_session *session = session_of(0);
    for (int i = -2; i < rounds; i++) {
        map.workers = FASTMAP_WORKERS_THREADS;
        const double threads = seconds_of(session, &map);
        map.workers = FASTMAP_WORKERS_PROCESSES;
        const double processes = seconds_of(session, &map);
        if (i >= 0) {
            ratios[i] = processes / threads;
            threads_took[i] = threads;
        }
    }
    check(fastmap_finalize(session));
    printf("  %6.0f us elements, processes / threads   %8.3f      (to reach: 1.03; %.3f to %.3f, "
           "quartiles "
           "%.3f and %.3f; threads %.0f ms)\n",
           1e6 * element_seconds, bench_quantile(ratios, rounds, 0.5),
           bench_quantile(ratios, rounds, 0), bench_quantile(ratios, rounds, 1),
           bench_quantile(ratios, rounds, 0.25), bench_quantile(ratios, rounds, 0.75),
           1e3 * bench_quantile(threads_took, rounds, 0.5));
    free(in);
    free(out);
}

/* ---- Large elements ---- */

static int touch(const void *in, void *out, const void *shared)
{
    (void)shared;
    if (in != NULL && out != NULL)
        *(char *)out = *(const char *)in;
    return 0;
}

static void print_moves(void)
{
    char *large = malloc(BYTES);
    char *other = malloc(BYTES);
    char small = 0;
    if (large == NULL || other == NULL)
        exit(2);
    memset(large, 1, BYTES);
    memset(other, 2, BYTES);
    struct fastmap_map in =
        FASTMAP_MAP(.func = touch, .in = large, .in_size = BYTES, .out = &small, .out_size = 1,
                    .n = 1, .workers = FASTMAP_WORKERS_PROCESSES);
    struct fastmap_map out =
        FASTMAP_MAP(.func = touch, .in = &small, .in_size = 1, .out = large, .out_size = BYTES,
                    .n = 1, .workers = FASTMAP_WORKERS_PROCESSES);
    double in_took[moves], out_took[moves], copy_took[moves];
    struct fastmap_session *session = session_of(1);
    for (int i = -2; i < moves; i++) {
        const double begun = bench_now();
        memcpy(other, large, BYTES);
        const double copied = bench_now() - begun;
        const double one = seconds_of(session, &in);
        const double two = seconds_of(session, &out);
        if (i >= 0) {
            copy_took[i] = copied;
            in_took[i] = one;
            out_took[i] = two;
        }
    }
    check(fastmap_finalize(session));
    const double gb = (double)BYTES / 1e9;
    printf("  64 MiB of inputs                         %8.2f GB/s (to reach: 3; memcpy %.2f)\n",
           gb / bench_quantile(in_took, moves, 0.5), gb / bench_quantile(copy_took, moves, 0.5));
    printf("  64 MiB of outputs, there and back        %8.2f GB/s each way (to reach: 3)\n",
           2 * gb / bench_quantile(out_took, moves, 0.5));
    free(large);
    free(other);
}

int main(int argc, char **argv)
{
    double span = 0;
    (void)argv;
    if (argc > 1) { /* the start alone: of a program linked with more */
        print_start(&span);
        printf("   (to reach: 10; linked with MPI)\n");
        return 0;
    }
    printf("\nWorker processes\n");
    print_start(&span);
    printf("   (to reach: 5)\n");
    print_spans();
    const double step = step_seconds();
    print_throughput(1e-4, step);
    print_throughput(1e-3, step);
    print_throughput(1e-2, step);
    print_moves();
    return 0;
}
