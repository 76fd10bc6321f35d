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
 * This file decides what is run and printed; bench/mpi.sh how it is launched.
 */
#include <mpi.h>

#include "clock.h"
#include "mpi.h"
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
    double median;
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
        const struct way more[] = {{MASTER, {chunks[c], 1, false}, {0}, 0},
                                   {MASTER, {chunks[c], 1, true}, {0}, 0},
                                   {MASTER, {chunks[c], 2, true}, {0}, 0},
                                   {SELF, {chunks[c], 0, false}, {0}, 0}};
        memcpy(&ways[count], more, sizeof more);
        count += sizeof more / sizeof *more;
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
static double run_once(const struct mpi_job *job, const struct way *way)
{
    memset(job->out, 0, (size_t)job->own_count * sizeof *job->out);
    mpi_self_reset();
    const double start = bench_now();
    families[way->family].run(job, &way->tuning);
    return over_ranks(bench_now() - start, MPI_MAX);
}

/* Fills the ways' times; what all elements took, the median over the rounds. That is taken from the static
   blocks, in which ranks do nothing beside. */
static double measure(const struct mpi_job *job, struct way *ways, size_t count,
                      const bench_value *expected)
{
    double spent[BENCH_ROUNDS_MAX];
    for (int round = 0; round < plan.rounds; round++) {
        for (size_t k = 0; k < count; k++) {
            struct way *way = &ways[(k + (size_t)round) % count];
            mpi_take_spent();
            way->seconds[round] = run_once(job, way);
            if (way->family == STATIC)
                spent[round] = over_ranks(mpi_take_spent(), MPI_SUM);
            compare(job, way, expected);
        }
    }
    for (size_t w = 0; w < count; w++)
        ways[w].median = bench_quantile(ways[w].seconds, (size_t)plan.rounds, 0.5);
    return bench_quantile(spent, (size_t)plan.rounds, 0.5);
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

/* The median over the rounds of a way's time to another's in the same round. */
static double ratio(const struct way *a, const struct way *b)
{
    double ratios[BENCH_ROUNDS_MAX];
    for (int round = 0; round < plan.rounds; round++)
        ratios[round] = a->seconds[round] / b->seconds[round];
    return bench_quantile(ratios, (size_t)plan.rounds, 0.5);
}

static void print_way(const struct way *way, const struct way *to, double ideal, int n)
{
    char tuning[60] = "";
    if (way->family == MASTER)
        (void)snprintf(tuning, sizeof tuning, "  chunk %d, %d ahead, root %s", way->tuning.chunk,
                       way->tuning.ahead, way->tuning.root_computes ? "computes" : "serves");
    if (way->family == SELF)
        (void)snprintf(tuning, sizeof tuning, "  chunk %d", way->tuning.chunk);
    printf("  %-20s %8.4f %11.1f %11.3f %11.3f%s\n", families[way->family].name, way->median,
           1e6 * way->median / n, ideal / way->median, ratio(way, to), tuning);
}

static struct {
    struct bench_geomean best_peer, master, efficiency;
} means;

static void report(const struct mpi_cell *cell, const struct mpi_job *job, const struct way *ways,
                   size_t count, double ideal, double stretch)
{
    const struct way *ours = best_of(ways, count, FASTMAP);
    const struct way *best_peer = NULL;
    printf("%s: %d elements on %d ranks, ideal %.4f s; an element took %.3f of its nominal cost\n",
           title_of(cell), job->n, job->size, ideal, stretch);
    printf("  %-20s %8s %11s %11s %11s\n", "", "seconds", "us/element", "efficiency", "to fastmap");
    for (int family = 0; family < FAMILIES; family++) {
        const struct way *way = best_of(ways, count, (enum family)family);
        print_way(way, ours, ideal, job->n);
        if (family != FASTMAP && (best_peer == NULL || way->median < best_peer->median))
            best_peer = way;
    }
    (void)fflush(stdout);
    bench_geomean_add(&means.best_peer, ratio(best_peer, ours));
    bench_geomean_add(&means.master, ratio(best_of(ways, count, MASTER), ours));
    bench_geomean_add(&means.efficiency, ideal / ours->median);
}

static void print_means(void)
{
    if (means.best_peer.count == 0)
        return;
    printf("%zu cells on %d ranks, geometric means:\n", means.best_peer.count, plan.size);
    printf("  best peer to fastmap           %6.3f\n", bench_geomean_get(&means.best_peer));
    printf("  master and workers to fastmap  %6.3f\n", bench_geomean_get(&means.master));
    printf("  efficiency of fastmap          %6.3f\n", bench_geomean_get(&means.efficiency));
}

/* ---- Cells ---- */

/* No runner can be done before the work is, nor before the longest element: the nominal one, times what
   elements really took. */
static double ideal_of(const struct mpi_cell *cell, const struct bench_cost *cost,
                       const struct mpi_job *job, double spent)
{
    const struct bench_cost nanosecond = {.call_ns = 0, .step_ns = 1};
    const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const bool sleep = cell->kind == ELEMENTS_SLEEP;
    const double longest =
        bench_longest_share(sleep ? &nanosecond : cost, job->all, (size_t)job->n);
    return spent * fmax(longest, 1.0 / (sleep || job->size < cores ? job->size : cores));
}

static void run_cell(const struct mpi_cell *cell, const struct bench_cost *cost)
{
    static struct way ways[ways_most];
    struct mpi_job job = mpi_make_job(cell, cost, plan.seconds, plan.rank, plan.size);
    bench_value *expected = mpi_alloc((size_t)job.own_count, sizeof *expected);
    const size_t count = list_ways(&job, ways);
    alarm(cell_limit_s); /* a runner that hangs ends the job */
    mpi_expect(cell, &job, expected);
    const double spent = measure(&job, ways, count, expected);
    const double nominal = cell->mean_s * job.n;
    if (plan.rank == 0)
        report(cell, &job, ways, count, ideal_of(cell, cost, &job, spent), spent / nominal);
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
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &plan.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &plan.size);
    read_arguments(argc, argv);
    alarm(cell_limit_s);
    const struct bench_cost cost = prepare();
    mpi_self_start();
    run_cells(&cost);
    mpi_self_end();
    if (plan.rank == 0)
        print_means();
    MPI_Allreduce(&wrong_results, &anywhere, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    MPI_Finalize();
    return anywhere;
}
