/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What maps over ranks cost where there is little or nothing to gain: calls with nothing to move, maps of
 * some milliseconds, and ranks that wait. Beside the plain loop over the own elements, in turn with it, the
 * time being from when the first rank begins to when the last one is through; and beside MPI_Barrier, which
 * any collective call contains.
 *
 *     mpirun -n 4 bench/mpi_small [--rounds N]
 */
#include <fastmap.h>
#include <mpi.h>

#include "clock.h"
#include "stats.h"
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS 50 /* of a call that does nothing, in a row */
#define ELEMENTS 10000
#define WAIT_S 1.0

static int rank;
static int size;
static int rounds = 21;

static double over_ranks(double value, MPI_Op op)
{
    double all;
    MPI_Allreduce(&value, &all, 1, MPI_DOUBLE, op, MPI_COMM_WORLD);
    return all;
}

static void check(int error)
{
    if (error == 0)
        return;
    fprintf(stderr, "bench/mpi_small: %s\n", fastmap_last_error());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- Nothing to move ---- */

static int copy(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(char *)out = *(const char *)in;
    return 0;
}

static void barrier_call(size_t n)
{
    (void)n;
    MPI_Barrier(MPI_COMM_WORLD);
}

static void map_call(size_t n)
{
    char in[1] = {1};
    char out[1];
    check(fastmap(copy, in, 1, out, 1, n, NULL, 0));
}

/* Microseconds a call. */
static double time_calls(void (*call)(size_t n), size_t n)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = bench_now();
    for (int i = 0; i < CALLS; i++)
        call(n);
    return 1e6 * (over_ranks(bench_now(), MPI_MAX) - over_ranks(start, MPI_MIN)) / CALLS;
}

static void measure_calls(void)
{
    double barrier[BENCH_ROUNDS_MAX], none[BENCH_ROUNDS_MAX], one[BENCH_ROUNDS_MAX];
    for (int round = 0; round < rounds; round++) {
        barrier[round] = time_calls(barrier_call, 0);
        none[round] = time_calls(map_call, 0);
        one[round] = time_calls(map_call, 1);
    }
    const size_t count = (size_t)rounds;
    if (rank == 0)
        printf("nothing to move, us a call: MPI_Barrier %.1f, no element %.1f, one each %.1f\n",
               bench_quantile(barrier, count, 0.5), bench_quantile(none, count, 0.5),
               bench_quantile(one, count, 0.5));
}

/* ---- Little to gain ---- */

struct job {
    struct bench_element *in;
    bench_value *out;
    size_t n;
};

static struct job make_job(const struct bench_cost *cost, size_t n)
{
    struct job job = {calloc(n + 1, sizeof *job.in), calloc(n + 1, sizeof *job.out), n};
    if (job.in == NULL || job.out == NULL)
        MPI_Abort(MPI_COMM_WORLD, 1);
    if (n > 0)
        bench_fill(cost, BENCH_UNIFORM, 1000, n, job.in);
    return job;
}

static void free_job(struct job *job)
{
    free(job->in);
    free(job->out);
}

static void run_loop(const struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        bench_element_func(&job->in[i], &job->out[i], NULL);
}

static void run_map(const struct job *job)
{
    check(fastmap(bench_element_func, job->in, sizeof *job->in, job->out, sizeof *job->out, job->n,
                  NULL, 0));
}

static double time_job(void (*run)(const struct job *job), const struct job *job)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = bench_now();
    run(job);
    const double end = bench_now();
    return over_ranks(end, MPI_MAX) - over_ranks(start, MPI_MIN);
}

static void measure_jobs(const struct bench_cost *cost, const char *name, size_t n)
{
    double loop[BENCH_ROUNDS_MAX], map[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];
    struct job job = make_job(cost, n);
    for (int round = 0; round < rounds; round++) {
        loop[round] = time_job(run_loop, &job);
        map[round] = time_job(run_map, &job);
        ratio[round] = map[round] / loop[round];
    }
    const size_t count = (size_t)rounds;
    if (rank == 0)
        printf(
            "%-34s loop %7.3f ms (longest %.1f), map %7.3f ms (%.1f); ratio %.3f, quartiles %.3f "
            "to %.3f\n",
            name, 1e3 * bench_quantile(loop, count, 0.5), 1e3 * bench_quantile(loop, count, 1),
            1e3 * bench_quantile(map, count, 0.5), 1e3 * bench_quantile(map, count, 1),
            bench_quantile(ratio, count, 0.5), bench_quantile(ratio, count, 0.25),
            bench_quantile(ratio, count, 0.75));
    free_job(&job);
}

/* ---- Waiting ---- */

static int lasting(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    bench_sleep(WAIT_S);
    *(char *)out = 1;
    return 0;
}

/* One rank is inside a long element, and the others wait for it. */
static void measure_waiting(void)
{
    char out[1];
    MPI_Barrier(MPI_COMM_WORLD);
    const double wall = bench_now();
    const double cpu = bench_read_clock(CLOCK_PROCESS_CPUTIME_ID);
    check(fastmap(lasting, NULL, 0, out, 1, rank == 0 ? 1 : 0, NULL, 0));
    const double share = (bench_read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (bench_now() - wall);
    const double most = over_ranks(share, MPI_MAX);
    if (rank == 0)
        printf("waiting for an element of %.0f s: at most %.1f%% of a core\n", WAIT_S, 100 * most);
}

int main(int argc, char **argv)
{
    int level;
    struct bench_cost cost = {0};
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc == 3 && strcmp(argv[1], "--rounds") == 0)
        rounds = atoi(argv[2]);
    if ((argc != 1 && argc != 3) || rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
        fprintf(stderr, "usage: mpirun -n RANKS bench/mpi_small [--rounds 1..%d]\n",
                BENCH_ROUNDS_MAX);
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    if (rank == 0)
        cost = bench_calibrate();
    MPI_Bcast(&cost, 2, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    map_call(0); /* finds the ranks */
    measure_calls();
    measure_jobs(&cost, "root owns 10^4 of 1 us:", rank == 0 ? ELEMENTS : 0);
    measure_jobs(&cost, "10^4 of 1 us in equal parts:", ELEMENTS / (size_t)size);
    measure_jobs(&cost, "1 ms a rank, in equal parts:", 1000);
    measure_jobs(&cost, "1 ms a rank, 2 ms on the last:", rank == size - 1 ? 2000 : 1000);
    measure_waiting();
    MPI_Finalize();
    return 0;
}
