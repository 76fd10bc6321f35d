/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/mpi: fastmap over the ranks of an MPI job, against what people write by hand: static blocks, a master
 * with workers, and self-scheduling by a shared counter. All run in the same process, on the same data, by
 * the same function, and take turns in rounds; a ratio is taken within a round, and the median over the
 * rounds is shown. The hand-written ones are tuned: of all their chunk sizes and variants the one with the
 * smallest median is shown. Each run's results are compared with the plain loop's.
 *
 *     mpirun -n 4 bench/mpi [--rounds N] [--seconds S] [--kind sleep|compute] [--cell TEXT]
 *
 * S is how long a cell lasts where nothing is lost; --cell takes the cells whose title contains TEXT.
 *
 * "stretch" is what elements took to their nominal cost: a sleeper on an idle core wakes later than on one
 * where somebody polls. Efficiency is the time spent in elements to that of all ranks (of all cores, where
 * elements compute), so the stretch is not counted against a runner there; in "to fastmap" it is.
 *
 * This file decides what is run and printed; bench/mpi.sh how it is launched.
 */
#include <mpi.h>

#include "clock.h"
#include "mpi_job.h"
#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { ways_most = 24, cell_limit_s = 300 };

static struct {
    int rank, size, rounds;
    double seconds;
    const char *kind, *cell;
    bool self; /* there is a counter to schedule by */
} plan = {.rounds = 3, .seconds = 0.2};

static int wrong_results;

/* ---- The ways to run a cell ---- */

enum family { FASTMAP, STATIC, MASTER, SELF, FAMILIES };

static const struct {
    const char *name;
    mpi_runner *run;
} families[FAMILIES] = {{"fastmap", mpi_run_fastmap},
                        {"static blocks", mpi_run_static},
                        {"master and workers", mpi_run_master},
                        {"fetch and op", mpi_run_self}};

struct way {
    enum family family;
    struct mpi_tuning tuning;
    double seconds[BENCH_ROUNDS_MAX];
    double spent[BENCH_ROUNDS_MAX]; /* by all elements, in them */
    double median;                  /* of the seconds */
};

static const int chunks[] = {1, 4, 16, 64};
#define CHUNKS (sizeof chunks / sizeof *chunks)

/* Chunks of which a rank gets less than eight are left out, but for single elements. */
static size_t list_ways(const struct mpi_job *job, struct way *ways)
{
    size_t count = 0;
    ways[count++].family = FASTMAP;
    ways[count++].family = STATIC;
    for (size_t c = 0; c < CHUNKS && (c == 0 || chunks[c] * 8 * job->size <= job->n); c++) {
        const struct way more[] = {{MASTER, {chunks[c], 1, false}, {0}, {0}, 0},
                                   {MASTER, {chunks[c], 1, true}, {0}, {0}, 0},
                                   {MASTER, {chunks[c], 2, true}, {0}, {0}, 0},
                                   {SELF, {chunks[c], 0, false}, {0}, {0}, 0}};
        const size_t taken = sizeof more / sizeof *more - (plan.self ? 0 : 1);
        memcpy(&ways[count], more, taken * sizeof *more);
        count += taken;
    }
    return count;
}

static const struct way *best_of(const struct way *ways, size_t count, enum family family)
{
    const struct way *best = NULL;
    for (size_t w = 0; w < count; w++)
        if (ways[w].family == family && (best == NULL || ways[w].median < best->median))
            best = &ways[w];
    return best;
}

/* ---- Measuring ---- */

static double over_ranks(double value, MPI_Op op)
{
    double all;
    MPI_Allreduce(&value, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
    return all;
}

static void compare(const struct mpi_job *job, const struct way *way, const bench_value *expected)
{
    const size_t bytes = (size_t)job->own_count * sizeof *expected;
    if (memcmp(job->out, expected, bytes) == 0)
        return;
    wrong_results = 1;
    (void)fprintf(stderr, "bench/mpi: rank %d: the results of %s (chunk %d) are wrong\n", job->rank,
                  families[way->family].name, way->tuning.chunk);
}

/* The longest time of any rank, from the moment when all are there. */
static void run_once(const struct mpi_job *job, struct way *way, int round)
{
    memset(job->out, 0, (size_t)job->own_count * sizeof *job->out);
    if (way->family == SELF)
        mpi_self_reset();
    mpi_take_spent();
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = bench_now();
    families[way->family].run(job, &way->tuning);
    way->seconds[round] = over_ranks(bench_now() - start, MPI_MAX);
    way->spent[round] = over_ranks(mpi_take_spent(), MPI_SUM);
}

static void measure(const struct mpi_job *job, struct way *ways, size_t count,
                    const bench_value *expected)
{
    for (int round = 0; round < plan.rounds; round++)
        for (size_t k = 0; k < count; k++) {
            struct way *way = &ways[(k + (size_t)round) % count];
            run_once(job, way, round);
            compare(job, way, expected);
        }
    for (size_t w = 0; w < count; w++)
        ways[w].median = bench_quantile(ways[w].seconds, (size_t)plan.rounds, 0.5);
}

/* ---- Printing ---- */

static const char *title_of(const struct mpi_cell *cell)
{
    static char title[100];
    (void)snprintf(title, sizeof title, "%s %g ms, %s, %s",
                   cell->kind == ELEMENTS_SLEEP ? "sleep" : "compute", 1e3 * cell->mean_s,
                   bench_shape_name(cell->shape),
                   cell->distributed ? "distributed, costliest on the last rank" : "root-owned");
    return title;
}

/* The median over the rounds of a quotient within each. */
static double median_of(const double *over, const double *under, double times)
{
    double quotients[BENCH_ROUNDS_MAX];
    for (int round = 0; round < plan.rounds; round++)
        quotients[round] = times * over[round] / under[round];
    return bench_quantile(quotients, (size_t)plan.rounds, 0.5);
}

static double ratio(const struct way *a, const struct way *b)
{
    return median_of(a->seconds, b->seconds, 1);
}

/* What all elements took cannot be over sooner than this part of it, if all ranks work. */
static double least_share;

static double efficiency(const struct way *way)
{
    return median_of(way->spent, way->seconds, least_share);
}

static void print_way(const struct way *way, const struct way *to, const struct mpi_cell *cell,
                      int n)
{
    char tuning[60] = "";
    if (way->family == MASTER)
        (void)snprintf(tuning, sizeof tuning, "  chunk %d, %d ahead, root %s", way->tuning.chunk,
                       way->tuning.ahead, way->tuning.root_computes ? "computes" : "serves");
    if (way->family == SELF)
        (void)snprintf(tuning, sizeof tuning, "  chunk %d", way->tuning.chunk);
    printf("  %-20s %8.4f %8.4f %11.1f %9.2f %11.3f %11.3f%s\n", families[way->family].name,
           way->median, bench_quantile(way->seconds, (size_t)plan.rounds, 1), 1e6 * way->median / n,
           bench_quantile(way->spent, (size_t)plan.rounds, 0.5) / (cell->mean_s * n),
           efficiency(way), ratio(way, to), tuning);
}

static struct bench_geomean mean_efficiency[FAMILIES], mean_best_peer, mean_master;

static void report(const struct mpi_cell *cell, const struct mpi_job *job, const struct way *ways,
                   size_t count)
{
    const struct way *ours = best_of(ways, count, FASTMAP);
    const struct way *best_peer = NULL;
    printf("%s: %d elements on %d ranks, ideal by nominal costs %.4f s\n", title_of(cell), job->n,
           job->size, cell->mean_s * job->n * least_share);
    printf("  %-20s %8s %8s %11s %9s %11s %11s\n", "", "seconds", "longest", "us/element",
           "stretch", "efficiency", "to fastmap");
    for (int family = 0; family < FAMILIES; family++) {
        const struct way *way = best_of(ways, count, (enum family)family);
        if (way == NULL)
            continue;
        print_way(way, ours, cell, job->n);
        bench_geomean_add(&mean_efficiency[family], efficiency(way));
        if (family != FASTMAP && (best_peer == NULL || way->median < best_peer->median))
            best_peer = way;
    }
    (void)fflush(stdout);
    bench_geomean_add(&mean_best_peer, ratio(best_peer, ours));
    bench_geomean_add(&mean_master, ratio(best_of(ways, count, MASTER), ours));
}

static void print_means(void)
{
    if (mean_best_peer.count == 0)
        return;
    printf("%zu cells on %d ranks, geometric means:\n", mean_best_peer.count, plan.size);
    printf("  time of the best peer to fastmap's           %6.3f\n",
           bench_geomean_get(&mean_best_peer));
    printf("  time of master and workers to fastmap's      %6.3f\n",
           bench_geomean_get(&mean_master));
    for (int family = 0; family < FAMILIES; family++)
        if (mean_efficiency[family].count > 0)
            printf("  efficiency of %-20s           %6.3f\n", families[family].name,
                   bench_geomean_get(&mean_efficiency[family]));
}

/* ---- Cells ---- */

/* No runner can be done before the work is, nor before the longest element. */
static double share_of(const struct mpi_cell *cell, const struct bench_cost *cost,
                       const struct mpi_job *job)
{
    const struct bench_cost nanosecond = {.call_ns = 0, .step_ns = 1};
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const bool sleep = cell->kind == ELEMENTS_SLEEP;
    const double longest =
        bench_longest_share(sleep ? &nanosecond : cost, job->all, (size_t)job->n);
    return fmax(longest, 1.0 / (sleep || job->size < cores ? job->size : cores));
}

static void run_cell(const struct mpi_cell *cell, const struct bench_cost *cost)
{
    static struct way ways[ways_most];
    struct mpi_job job = mpi_make_job(cell, cost, plan.seconds, plan.rank, plan.size);
    bench_value *expected = mpi_alloc((size_t)job.own_count, sizeof *expected);
    const size_t count = list_ways(&job, ways);
    alarm(cell_limit_s); /* a runner that hangs ends the job */
    mpi_expect(cell, &job, expected);
    measure(&job, ways, count, expected);
    least_share = share_of(cell, cost, &job);
    if (plan.rank == 0)
        report(cell, &job, ways, count);
    free(expected);
    mpi_free_job(&job);
}

static bool wanted(const struct mpi_cell *cell)
{
    const char *title = title_of(cell);
    return (plan.kind == NULL || strncmp(title, plan.kind, strlen(plan.kind)) == 0) &&
           (plan.cell == NULL || strstr(title, plan.cell) != NULL);
}

static void run_cells(const struct bench_cost *cost)
{
    static const struct {
        enum bench_shape shape;
        bool distributed;
    } forms[] = {{BENCH_UNIFORM, false}, {BENCH_LOGNORMAL, false}, {BENCH_RAMP_UP, false},
                 {BENCH_UNIFORM, true},  {BENCH_LOGNORMAL, true},  {BENCH_END, true}};
    for (int k = 0; k < 4; k++)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
            const struct mpi_cell cell = {.kind = k < 2 ? ELEMENTS_SLEEP : ELEMENTS_COMPUTE,
                                          .mean_s = k % 2 == 0 ? 1e-3 : 1e-4,
                                          .shape = forms[i].shape,
                                          .distributed = forms[i].distributed};
            if (wanted(&cell))
                run_cell(&cell, cost);
        }
}

/* ---- The program ---- */

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--rounds") == 0)
            plan.rounds = atoi(value);
        else if (strcmp(argv[i], "--seconds") == 0)
            plan.seconds = atof(value);
        else if (strcmp(argv[i], "--kind") == 0)
            plan.kind = value;
        else if (strcmp(argv[i], "--cell") == 0)
            plan.cell = value;
        else
            plan.rounds = 0;
    }
    if (plan.rounds >= 1 && plan.rounds <= BENCH_ROUNDS_MAX && plan.seconds >= 0.01 &&
        plan.seconds <= 100 && plan.size > 1)
        return;
    if (plan.rank == 0)
        (void)fprintf(stderr,
                      "usage: mpirun -n RANKS (at least 2) bench/mpi [--rounds 1..%d] "
                      "[--seconds 0.01..100] [--kind sleep|compute] [--cell TEXT]\n",
                      BENCH_ROUNDS_MAX);
    MPI_Finalize();
    exit(2);
}

/* The same steps on all ranks, or they would compute different things. Sleeps end when they should: the
   kernel's slack of 50 us is half of the shorter elements. */
static struct bench_cost prepare(void)
{
    struct bench_cost cost = {0};
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (plan.rank == 0)
        cost = bench_calibrate();
    MPI_Bcast(&cost, 2, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    return cost;
}

int main(int argc, char **argv)
{
    int level;
    int anywhere;
    /* A rank computes with one thread, as the peers' do: more of them would sleep at the same time. */
    (void)setenv("FASTMAP_MAX_LOCAL_WORKERS", "1", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &plan.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &plan.size);
    read_arguments(argc, argv);
    alarm(cell_limit_s);
    const struct bench_cost cost = prepare();
    plan.self = mpi_self_start();
    if (!plan.self && plan.rank == 0)
        printf("fetch and op left out: this MPI makes no window here\n");
    run_cells(&cost);
    mpi_self_end();
    if (plan.rank == 0)
        print_means();
    MPI_Allreduce(&wrong_results, &anywhere, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return anywhere;
}
