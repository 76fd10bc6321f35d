/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The runners of bench/mpi without a master: fastmap; static blocks; and self-scheduling, in which each rank
 * takes the next chunk by MPI_Fetch_and_op on a counter that rank 0 holds. The latter is given an
 * advantage: its inputs are on all ranks already, only results travel, at the end.
 */
#include <mpi.h>

#include "mpi_job.h"

#include <stdio.h>
#include <stdlib.h>

/* Both inputs and results travel as one of these. */
_Static_assert(sizeof(struct bench_element) == 8 && sizeof(bench_value) == 8, "8 bytes each");

void mpi_run_fastmap(const struct mpi_job *job, const struct mpi_tuning *tuning)
{
    (void)tuning;
    if (fastmap(job->func, job->own, sizeof *job->own, job->out, sizeof *job->out,
                (size_t)job->own_count, NULL, 0) == 0)
        return;
    (void)fprintf(stderr, "bench/mpi: %s\n", fastmap_last_error());
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- Static blocks ---- */

static void scatter_compute_gather(const struct mpi_job *job)
{
    const int *counts = job->even.counts;
    const int *firsts = job->even.firsts;
    const int mine = counts[job->rank];
    struct bench_element *in = mpi_alloc((size_t)mine, sizeof *in);
    bench_value *out = mpi_alloc((size_t)mine, sizeof *out);
    MPI_Scatterv(job->own, counts, firsts, MPI_UINT64_T, in, mine, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    mpi_loop(job, in, out, mine);
    MPI_Gatherv(out, mine, MPI_UINT64_T, job->out, counts, firsts, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    free(in);
    free(out);
}

void mpi_run_static(const struct mpi_job *job, const struct mpi_tuning *tuning)
{
    (void)tuning;
    if (job->distributed)
        mpi_loop(job, job->own, job->out, job->own_count);
    else
        scatter_compute_gather(job);
}

/* ---- Self-scheduling ---- */

static MPI_Win window;
static int64_t *counter;

bool mpi_self_start(void)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (MPI_Win_allocate(rank == 0 ? (MPI_Aint)sizeof *counter : 0, (int)sizeof *counter,
                         MPI_INFO_NULL, MPI_COMM_WORLD, (void *)&counter, &window) != MPI_SUCCESS)
        window = MPI_WIN_NULL;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
    if (window == MPI_WIN_NULL)
        return false;
    MPI_Win_lock_all(0, window);
    return true;
}

void mpi_self_reset(void)
{
    int rank;
    const int64_t zero = 0;
    int64_t before;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        MPI_Fetch_and_op(&zero, &before, MPI_INT64_T, 0, 0, MPI_REPLACE, window);
        MPI_Win_flush(0, window);
    }
}

void mpi_self_end(void)
{
    if (window == MPI_WIN_NULL)
        return;
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
}

static int64_t next_chunk(int64_t chunk)
{
    int64_t first;
    MPI_Fetch_and_op(&chunk, &first, MPI_INT64_T, 0, 0, MPI_SUM, window);
    MPI_Win_flush(0, window);
    return first;
}

/* A result and whose it is; two MPI_UINT64_T. */
struct record {
    uint64_t index;
    bench_value value;
};

/* A rank's records ascend, as the counter does, so the owners' parts follow each other. */
static void count_for_owners(const struct mpi_job *job, const struct record *records, int n,
                             int *counts)
{
    int owner = 0;
    for (int i = 0; i < n; i++) {
        while ((int)records[i].index >= job->owned.firsts[owner] + job->owned.counts[owner])
            owner++;
        counts[owner] += 2;
    }
}

static void sum_up(const int *counts, int size, int *firsts)
{
    for (int rank = 1; rank < size; rank++)
        firsts[rank] = firsts[rank - 1] + counts[rank - 1];
}

static void send_to_owners(const struct mpi_job *job, const struct record *records, int n)
{
    const size_t size = (size_t)job->size;
    int *numbers = mpi_alloc(4 * size, sizeof *numbers);
    int *to = numbers, *to_first = numbers + size;
    int *from = numbers + 2 * size, *from_first = numbers + 3 * size;
    struct record *mine = mpi_alloc((size_t)job->own_count, sizeof *mine);
    count_for_owners(job, records, n, to);
    MPI_Alltoall(to, 1, MPI_INT, from, 1, MPI_INT, MPI_COMM_WORLD);
    sum_up(to, job->size, to_first);
    sum_up(from, job->size, from_first);
    MPI_Alltoallv(records, to, to_first, MPI_UINT64_T, mine, from, from_first, MPI_UINT64_T,
                  MPI_COMM_WORLD);
    for (int i = 0; i < job->own_count; i++)
        job->out[mine[i].index - (uint64_t)job->owned.firsts[job->rank]] = mine[i].value;
    free(mine);
    free(numbers);
}

void mpi_run_self(const struct mpi_job *job, const struct mpi_tuning *tuning)
{
    struct record *records = mpi_alloc((size_t)job->n, sizeof *records);
    int done = 0;
    for (int64_t i; (i = next_chunk(tuning->chunk)) < job->n;)
        for (int64_t end = i + tuning->chunk; i < end && i < job->n; i++, done++) {
            records[done].index = (uint64_t)i;
            mpi_loop(job, &job->all[i], &records[done].value, 1);
        }
    send_to_owners(job, records, done);
    free(records);
}
