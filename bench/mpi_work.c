/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The jobs of bench/mpi: elements that compute or sleep, their costs by the shapes of work.c, and who owns
 * them. An input's `steps` are steps of the chain where elements compute, and nanoseconds where they
 * sleep. Sleeping elements let more ranks than cores be measured: nothing is computed, so what is
 * measured is the distribution.
 */
#include "mpi_job.h"

#include "clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Threads of a rank may run elements at the same time. */
static _Atomic uint64_t spent_ns;

static void add_spent(double seconds)
{
    atomic_fetch_add_explicit(&spent_ns, (uint64_t)(1e9 * seconds), memory_order_relaxed);
}

double mpi_take_spent(void)
{
    return 1e-9 * (double)atomic_exchange(&spent_ns, 0);
}

/* ---- Element functions ---- */

static int computing(const void *in, void *out, const void *shared)
{
    const double start = bench_read_clock(CLOCK_THREAD_CPUTIME_ID);
    bench_element_func(in, out, shared);
    add_spent(bench_read_clock(CLOCK_THREAD_CPUTIME_ID) - start);
    return 0;
}

static bench_value value_after_sleep(struct bench_element e)
{
    return (e.seed + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) ^ e.steps;
}

static int sleeping(const void *in, void *out, const void *shared)
{
    const struct bench_element *e = in;
    const double start = bench_now();
    (void)shared;
    bench_sleep(1e-9 * e->steps);
    *(bench_value *)out = value_after_sleep(*e);
    add_spent(bench_now() - start);
    return 0;
}

void mpi_loop(const struct mpi_job *job, const struct bench_element *in, bench_value *out, int n)
{
    for (int i = 0; i < n; i++)
        job->func(&in[i], &out[i], NULL);
}

void mpi_expect(const struct mpi_cell *cell, const struct mpi_job *job, bench_value *expected)
{
    for (int i = 0; i < job->own_count; i++) {
        if (cell->kind == ELEMENTS_SLEEP)
            expected[i] = value_after_sleep(job->own[i]);
        else
            bench_element_func(&job->own[i], &expected[i], NULL);
    }
}

/* ---- Jobs ---- */

void *mpi_alloc(size_t count, size_t bytes)
{
    void *memory = calloc(count + 1, bytes); /* never NULL for nothing */
    if (memory == NULL) {
        (void)fprintf(stderr, "bench/mpi: no memory\n");
        exit(1);
    }
    return memory;
}

static int by_steps(const void *a, const void *b)
{
    const struct bench_element *x = a;
    const struct bench_element *y = b;
    return x->steps != y->steps ? (x->steps > y->steps) - (x->steps < y->steps)
                                : (x->seed > y->seed) - (x->seed < y->seed);
}

static struct mpi_split make_split(int n, int size, bool equal)
{
    struct mpi_split split = {mpi_alloc((size_t)size, sizeof(int)),
                              mpi_alloc((size_t)size, sizeof(int))};
    for (int rank = 0; rank < size; rank++) {
        split.firsts[rank] = equal ? (int)((long)n * rank / size) : rank > 0 ? n : 0;
        split.counts[rank] = (equal ? (int)((long)n * (rank + 1) / size) : n) - split.firsts[rank];
    }
    return split;
}

struct mpi_job mpi_make_job(const struct mpi_cell *cell, const struct bench_cost *cost,
                            double ideal_s, int rank, int size)
{
    const struct bench_cost nanosecond = {.call_ns = 0, .step_ns = 1};
    struct mpi_job job = {.rank = rank, .size = size, .distributed = cell->distributed};
    job.n = (int)(ideal_s * size / cell->mean_s);
    job.func = cell->kind == ELEMENTS_SLEEP ? sleeping : computing;
    job.all = mpi_alloc((size_t)job.n, sizeof *job.all);
    bench_fill(cell->kind == ELEMENTS_SLEEP ? &nanosecond : cost, cell->shape, 1e9 * cell->mean_s,
               (size_t)job.n, job.all);
    if (cell->distributed)
        qsort(job.all, (size_t)job.n, sizeof *job.all, by_steps);
    job.owned = make_split(job.n, size, cell->distributed);
    job.even = make_split(job.n, size, true);
    job.own = job.all + job.owned.firsts[rank];
    job.own_count = job.owned.counts[rank];
    job.out = mpi_alloc((size_t)job.own_count, sizeof *job.out);
    return job;
}

static void free_split(struct mpi_split *split)
{
    free(split->counts);
    free(split->firsts);
}

void mpi_free_job(struct mpi_job *job)
{
    free_split(&job->owned);
    free_split(&job->even);
    free(job->all);
    free(job->out);
}
