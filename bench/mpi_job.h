/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of bench/mpi share: a cell (what is computed, and whose it is), a job (the cell as one
 * rank sees it) and the ways of running a job. MPI_COMM_WORLD throughout.
 */
#ifndef BENCH_MPI_JOB_H
#define BENCH_MPI_JOB_H

#include "work.h"

#include <fastmap.h>
#include <stdbool.h>

/* ---- Cells ---- */

enum mpi_kind { ELEMENTS_SLEEP, ELEMENTS_COMPUTE };

struct mpi_cell {
    enum mpi_kind kind;
    double mean_s; /* nominal cost of an element */
    enum bench_shape shape;
    bool distributed; /* equal blocks of elements, the costliest in the last one; else rank 0's */
};

/* ---- Jobs ---- */

/* Blocks of consecutive elements, one for each rank; as MPI's collectives want them. */
struct mpi_split {
    int *counts;
    int *firsts;
};

struct mpi_job {
    int rank, size;
    int n;
    fastmap_func *func;
    struct bench_element
        *all; /* n, on every rank; runners that may not know them look at `own` only */
    struct mpi_split owned; /* whose an element is */
    struct mpi_split even;  /* equal blocks */
    const struct bench_element *own;
    bench_value *out; /* of the own elements: what a runner must fill */
    int own_count;
    bool distributed;
};

struct mpi_job mpi_make_job(const struct mpi_cell *cell, const struct bench_cost *cost,
                            double ideal_s, int rank, int size);
void mpi_free_job(struct mpi_job *job);

/* Exits where memory is missing: a bench has nothing to save. */
void *mpi_alloc(size_t count, size_t bytes);

/* The plain loop. */
void mpi_loop(const struct mpi_job *job, const struct bench_element *in, bench_value *out, int n);

/* The own results as the plain loop gives them, without sleeping. */
void mpi_expect(const struct mpi_cell *cell, const struct mpi_job *job, bench_value *expected);

/* The seconds that elements really took on this rank since the last call: CPU time where they compute,
   so that ranks which share a core do not count each other's; wall time where they sleep. */
double mpi_take_spent(void);

/* ---- Ways of running a job ---- */

/* What a hand-written scheduler leaves to be tuned; 0 where it has no such thing. */
struct mpi_tuning {
    int chunk;          /* elements handed out at once */
    int ahead;          /* chunks that a worker has been sent and not answered */
    bool root_computes; /* between two looks at the messages */
};

typedef void mpi_runner(const struct mpi_job *job, const struct mpi_tuning *tuning);

mpi_runner mpi_run_fastmap;
mpi_runner mpi_run_static;
mpi_runner mpi_run_master;
mpi_runner mpi_run_self;

/* The counter of mpi_run_self: made once by all ranks; set to zero while nobody uses it. Starting it fails
   where this MPI has no one-sided communication: Open MPI 4.1 between nodes that are joined by TCP only,
   at MPI_THREAD_MULTIPLE. */
bool mpi_self_start(void);
void mpi_self_reset(void);
void mpi_self_end(void);

#endif
