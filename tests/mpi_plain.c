/* SPDX-License-Identifier: BSD-3-Clause */
/* The scenarios in a program that knows nothing of MPI: what it is comes from the launcher. */
#include <stdlib.h>

#include "mpi_ranks.h"

static int from_environment(const char *open_mpi, const char *mpich, int otherwise)
{
    const char *text = getenv(open_mpi);
    if (text == NULL)
        text = getenv(mpich);
    return text != NULL ? atoi(text) : otherwise;
}

int main(void)
{
    return mpi_ranks_main(from_environment("OMPI_COMM_WORLD_RANK", "PMI_RANK", 0),
                          from_environment("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", 1));
}
