/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The hand-written master and workers of bench/mpi: rank 0 sends a chunk of inputs to each worker and the
 * next one for each answer. Answers need no header: a worker's come in the order of its chunks. Where
 * ranks own their elements, rank 0 first gathers the inputs and at the end scatters the results.
 * The root only serves, or computes an element between two looks at the messages.
 */
#include <mpi.h>

#include "mpi_job.h"

#include <stdlib.h>
#include <string.h>

enum { work_tag = 1, result_tag, ahead_most = 2 };

/* What a worker has been sent and not answered, the oldest first. */
struct worker {
    int first[ahead_most];
    int count[ahead_most];
    int pending;
    bool stopped;
};

struct farm {
    const struct mpi_job *job;
    const struct mpi_tuning *tuning;
    const struct bench_element *in;
    bench_value *out;
    int next; /* the first element that nobody has */
    struct worker *workers;
};

/* ---- The root ---- */

/* The next chunk; when there is none and all is answered, an empty one, which ends the worker. */
static void hand_out(struct farm *farm, int rank)
{
    struct worker *worker = &farm->workers[rank];
    const int left = farm->job->n - farm->next;
    const int count = farm->tuning->chunk < left ? farm->tuning->chunk : left;
    if (worker->stopped || (count == 0 && worker->pending > 0))
        return;
    MPI_Send(farm->in + farm->next, count, MPI_UINT64_T, rank, work_tag, MPI_COMM_WORLD);
    worker->stopped = count == 0;
    if (worker->stopped)
        return;
    worker->first[worker->pending] = farm->next;
    worker->count[worker->pending++] = count;
    farm->next += count;
}

static int take_answer(struct farm *farm, int rank)
{
    struct worker *worker = &farm->workers[rank];
    const int count = worker->count[0];
    MPI_Recv(farm->out + worker->first[0], count, MPI_UINT64_T, rank, result_tag, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    worker->pending--;
    memmove(worker->first, worker->first + 1, sizeof worker->first - sizeof *worker->first);
    memmove(worker->count, worker->count + 1, sizeof worker->count - sizeof *worker->count);
    hand_out(farm, rank);
    return count;
}

/* Elements answered by those who have answered already. */
static int serve(struct farm *farm)
{
    int done = 0;
    MPI_Status status;
    for (int found = 1; found;) {
        MPI_Iprobe(MPI_ANY_SOURCE, result_tag, MPI_COMM_WORLD, &found, &status);
        if (found)
            done += take_answer(farm, status.MPI_SOURCE);
    }
    return done;
}

static void be_root(struct farm *farm)
{
    const struct mpi_job *job = farm->job;
    MPI_Status status;
    farm->workers = mpi_alloc((size_t)job->size, sizeof *farm->workers);
    for (int ahead = 0; ahead < farm->tuning->ahead; ahead++)
        for (int rank = 1; rank < job->size; rank++)
            hand_out(farm, rank);
    for (int done = 0; done < job->n;) {
        if (farm->tuning->root_computes && farm->next < job->n) {
            const int mine = farm->next++;
            mpi_loop(job, farm->in + mine, farm->out + mine, 1);
            done += 1 + serve(farm);
        } else {
            MPI_Probe(MPI_ANY_SOURCE, result_tag, MPI_COMM_WORLD, &status);
            done += take_answer(farm, status.MPI_SOURCE);
        }
    }
    /* The last answers may be the root's own: then somebody is still waiting. */
    for (int rank = 1; rank < job->size; rank++)
        hand_out(farm, rank);
    free(farm->workers);
}

/* ---- A worker ---- */

static void be_worker(const struct mpi_job *job, int chunk)
{
    struct bench_element *in = mpi_alloc((size_t)chunk, sizeof *in);
    bench_value *out = mpi_alloc((size_t)chunk, sizeof *out);
    for (int count = 1; count > 0;) {
        MPI_Status status;
        MPI_Recv(in, chunk, MPI_UINT64_T, 0, work_tag, MPI_COMM_WORLD, &status);
        MPI_Get_count(&status, MPI_UINT64_T, &count);
        mpi_loop(job, in, out, count);
        if (count > 0)
            MPI_Send(out, count, MPI_UINT64_T, 0, result_tag, MPI_COMM_WORLD);
    }
    free(in);
    free(out);
}

/* ---- Both ---- */

static void gather_run_scatter(const struct mpi_job *job, struct farm *farm)
{
    const int *counts = job->owned.counts;
    const int *firsts = job->owned.firsts;
    const size_t n = job->rank == 0 ? (size_t)job->n : 0;
    struct bench_element *in = mpi_alloc(n, sizeof *in);
    farm->in = in;
    farm->out = mpi_alloc(n, sizeof *farm->out);
    MPI_Gatherv(job->own, job->own_count, MPI_UINT64_T, in, counts, firsts, MPI_UINT64_T, 0,
                MPI_COMM_WORLD);
    if (job->rank == 0)
        be_root(farm);
    else
        be_worker(job, farm->tuning->chunk);
    MPI_Scatterv(farm->out, counts, firsts, MPI_UINT64_T, job->out, job->own_count, MPI_UINT64_T, 0,
                 MPI_COMM_WORLD);
    free(in);
    free(farm->out);
}

void mpi_run_master(const struct mpi_job *job, const struct mpi_tuning *tuning)
{
    struct farm farm = {.job = job, .tuning = tuning, .in = job->own, .out = job->out};
    if (job->distributed)
        gather_run_scatter(job, &farm);
    else if (job->rank == 0)
        be_root(&farm);
    else
        be_worker(job, tuning->chunk);
}
