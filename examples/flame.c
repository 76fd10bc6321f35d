/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flame: chemistry in a flow code, on MPI ranks.
 *
 * Each rank owns a slab of cells along x, as flow codes do. Between two steps of the flow every cell burns
 * for itself: one reaction whose rate grows exponentially with temperature,
 *
 *     dY/dt = -k Y exp(-E/T),    dT/dt = q k Y exp(-E/T),
 *
 * integrated with step-size control. Burnt cells have no fuel and fresh ones are cold: both take few steps.
 * Cells in the flame take hundreds, and they all lie in one or two ranks' slabs, while the other ranks wait
 * at the end of the step. The loop over cells is the part to replace: before(), after(). Nothing else of an
 * SPMD program changes; each rank passes its own cells and gets them back.
 */
#include <fastmap.h>
#include <math.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELLS = 12000, STEPS = 4 }; /* cells in all */

struct cell {
    double temperature; /* of the burnt gas, 1 */
    double fuel;        /* mass fraction */
    double spent;       /* integration steps so far */
};

static double rate(double temperature, double fuel)
{
    return 4e4 * fuel * exp(-9 / temperature);
}

/* One cell for one time step of the flow: Heun's method, whose difference to Euler's sets the step. */
static int burn(const void *in, void *out, const void *shared)
{
    struct cell cell = *(const struct cell *)in;
    const double end = *(const double *)shared;
    double step = end / 10;
    for (double time = 0; time < end; cell.spent++) {
        step = fmin(step, end - time);
        const double first = rate(cell.temperature, cell.fuel);
        const double fuel = fmax(cell.fuel - step * first, 0);
        const double second = rate(cell.temperature + step * first, fuel);
        const double error = fabs(step * (second - first)) / 2;
        if (error < 1e-13) {
            const double burnt = fmin(step * (first + second) / 2, cell.fuel);
            cell.fuel -= burnt;
            cell.temperature += burnt;
            time += step;
        }
        step *= fmin(fmax(0.9 * sqrt(1e-13 / fmax(error, 1e-30)), 0.2), 4);
    }
    *(struct cell *)out = cell;
    return 0;
}

/* The profile of a flame that has travelled so far: burnt gas behind it, fresh gas before it. */
static void flow(struct cell *cells, int first, int count, int step)
{
    for (int i = 0; i < count; i++) {
        const double x = (double)(first + i) / CELLS - 0.55 - 0.01 * step;
        const double burnt = 1 / (1 + exp(x / 0.01));
        cells[i] = (struct cell){.temperature = 0.2 + 0.8 * burnt, .fuel = 0.8 * (1 - burnt)};
    }
}

static void before(const struct cell *cells, struct cell *next, int count, const double *time_step)
{
    for (int i = 0; i < count; i++)
        burn(&cells[i], &next[i], time_step);
}

static void after(const struct cell *cells, struct cell *next, int count, const double *time_step)
{
    if (fastmap(burn, cells, sizeof *cells, next, sizeof *next, (size_t)count, time_step,
                sizeof *time_step) != 0) {
        fprintf(stderr, "flame: %s\n", fastmap_last_error());
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
}

typedef void chemistry(const struct cell *cells, struct cell *next, int count,
                       const double *time_step);

/* All steps; returns the seconds in the chemistry, waiting for the slowest rank included. */
static double simulate(chemistry *burn_all, struct cell *cells, struct cell *next, int first,
                       int count)
{
    const double time_step = 0.01;
    double seconds = 0;
    for (int step = 0; step < STEPS; step++) {
        flow(cells, first, count, step);
        MPI_Barrier(MPI_COMM_WORLD);
        seconds -= MPI_Wtime();
        burn_all(cells, next, count, &time_step);
        MPI_Barrier(MPI_COMM_WORLD);
        seconds += MPI_Wtime();
    }
    return seconds;
}

/* The share of all integration steps that the busiest slab takes. */
static double busiest_share(const struct cell *cells, int count)
{
    double own = 0;
    double most;
    double all;
    for (int i = 0; i < count; i++)
        own += cells[i].spent;
    MPI_Allreduce(&own, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    MPI_Allreduce(&own, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return most / all;
}

int main(int argc, char **argv)
{
    int rank;
    int size;
    int level;
    if (argc > 1) {
        printf(
            "usage: mpirun -n RANKS flame\nBurns %d cells on all ranks, by a loop and by a map.\n"
            "Exit code: 0 both give the same cells, 1 they differ, 2 usage.\n",
            CELLS);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const int first = (int)((long)CELLS * rank / size);
    const int count = (int)((long)CELLS * (rank + 1) / size) - first;
    /* This step's cells, and the next one's twice. */
    struct cell *cells = calloc(3 * (size_t)count + 1, sizeof *cells);
    if (cells == NULL) {
        fprintf(stderr, "flame: no memory for %d cells\n", count);
        MPI_Abort(MPI_COMM_WORLD, 1);
        return EXIT_FAILURE;
    }
    struct cell *by_loop = cells + count;
    struct cell *by_map = by_loop + count;
    const double loop_seconds = simulate(before, cells, by_loop, first, count);
    const double map_seconds = simulate(after, cells, by_map, first, count);
    const double share = busiest_share(by_loop, count);
    int same = memcmp(by_loop, by_map, (size_t)count * sizeof *by_map) == 0;
    MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%d cells on %d ranks; the busiest rank owns %.0f%% of the work\n"
               "loop over the own cells  %.3f s\nfastmap                  %.3f s\nspeed-up  %.2f\n"
               "results identical: %s\n",
               CELLS, size, 100 * share, loop_seconds, map_seconds, loop_seconds / map_seconds,
               same ? "yes" : "no");
    free(cells);
    MPI_Finalize();
    return same ? EXIT_SUCCESS : EXIT_FAILURE;
}
