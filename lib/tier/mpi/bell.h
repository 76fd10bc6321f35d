/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bells: one for each rank of a node, in memory that they share, rung with each message. MPI itself can only
 * be asked again and again whether something has come, which takes a processor from those who compute, or
 * gives theirs away; a rank with a bell sleeps until it rings, and one that computes sees with one load
 * whether it is worth asking.
 *
 * A bell counts its rings, which are as many as the messages on their way; who has counted what he received
 * knows whether there are more. Threads: any, at any time.
 */
#ifndef FM_TIER_MPI_BELL_H
#define FM_TIER_MPI_BELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_mpi_bell {
    _Alignas(64) _Atomic uint32_t rings; /* so far; wraps around */
    _Atomic uint32_t sleepers;
};

#define FM_MPI_BELL_NAME 64

/* Memory for `count` bells that others can open by `name`, which is filled in, until it is forgotten. NULL:
   there is none. */
struct fm_mpi_bell *fm_mpi_bells_make(int count, char name[FM_MPI_BELL_NAME]);
struct fm_mpi_bell *fm_mpi_bells_open(int count, const char *name);
void fm_mpi_bells_forget(const char *name);
void fm_mpi_bells_close(struct fm_mpi_bell *bells, int count);

void fm_mpi_bell_ring(struct fm_mpi_bell *bell);

/* Sleeps until the bell has rung more often than `heard` times, or for so long. */
void fm_mpi_bell_wait(struct fm_mpi_bell *bell, uint32_t heard, uint64_t ns);

#endif
