/* SPDX-License-Identifier: BSD-3-Clause */
/* The scenarios of the tests under MPI; see mpi_ranks.c. */
#ifndef FM_TEST_MPI_RANKS_H
#define FM_TEST_MPI_RANKS_H

#include <stdbool.h>

/* Runs all scenarios as that rank of so many; what main() returns. */
int mpi_ranks_main(int its_rank, int its_size);

#endif
