/* SPDX-License-Identifier: BSD-3-Clause */
/* The scenarios in a program that initialises MPI itself, at the thread level named by its argument. */
#include <fastmap_mpi.h>
#include <stdio.h>
#include <string.h>

#include "mpi_ranks.h"

static int level_of(const char *name)
{
    static const struct {
        const char *name;
        int level;
    } levels[] = {{"SINGLE", MPI_THREAD_SINGLE},
                  {"FUNNELED", MPI_THREAD_FUNNELED},
                  {"SERIALIZED", MPI_THREAD_SERIALIZED},
                  {"MULTIPLE", MPI_THREAD_MULTIPLE}};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, name) == 0)
            return levels[i].level;
    return MPI_THREAD_SINGLE;
}

int main(int argc, char **argv)
{
    int rank;
    int size;
    int level;
    MPI_Init_thread(&argc, &argv, level_of(argc > 1 ? argv[1] : "SINGLE"), &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int status = mpi_ranks_main(rank, size);
    /* Again in parts: the first rank alone, the others together. */
    MPI_Comm part;
    MPI_Comm_split(MPI_COMM_WORLD, rank > 0, rank, &part);
    MPI_Comm_rank(part, &rank);
    MPI_Comm_size(part, &size);
    if (fastmap_set_comm(part) != 0) {
        printf("%s\n", fastmap_last_error());
        status = 1;
    }
    status |= mpi_ranks_main(rank, size);
    MPI_Comm_free(&part);
    MPI_Finalize();
    return status;
}
