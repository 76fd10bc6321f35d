/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fastmap_mpi.h
 * For programs that use MPI themselves and want maps over a part of their ranks. Without it maps are over
 * MPI_COMM_WORLD.
 */
#ifndef FASTMAP_MPI_H
#define FASTMAP_MPI_H

#include <fastmap.h>
#include <mpi.h>

/**
 * Sets the communicator that maps of this process are collective over; see fastmap_set_comm_f().
 *
 * @param comm  duplicated; stays the caller's. MPI_COMM_NULL: this process computes alone.
 * Threads: one at a time, none inside a map. Collective over comm.  Since: 0.1
 */
static inline int fastmap_set_comm(MPI_Comm comm)
{
    return fastmap_set_comm_f((int)MPI_Comm_c2f(comm));
}

#endif
