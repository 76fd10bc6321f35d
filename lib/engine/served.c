/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial program as many ranks: what has to happen in it although it may never call fastmap.
 *
 * fastmap-run marks each rank by a variable that fastmap-worker.so, preloaded, empties (docs/WORKER.md). If
 * the mark is full, the loader has ignored that library (a program with capabilities, a node that does not
 * have it), and all ranks are about to run the program's main: they would overwrite each other's files, so
 * each ends here, before it does anything. Ranks that serve wait until rank 0 says goodbye, which it does
 * when it exits; a crash is for the launcher to see.
 */
#include "engine/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/world.h"

static pid_t owner;

static const char *mark(void)
{
    return getenv("FASTMAP_WORKER_RANKS");
}

bool fm_engine_served(void)
{
    return mark() != NULL;
}

/* Not in a child of the program that is no rank, though it has the environment of one. */
static void part_at_exit(void)
{
    if (getpid() == owner)
        fm_engine_world_part();
}

__attribute__((constructor)) static void begin(void)
{
    if (mark() == NULL)
        return;
    if (*mark() != '\0') {
        (void)fputs("fastmap: this rank of a serial program would run its main too, since "
                    "fastmap-worker.so was "
                    "not preloaded: install fastmap under the same path on all nodes, and take "
                    "capabilities off "
                    "the program\n",
                    stderr);
        _exit(127);
    }
    owner = getpid();
    (void)atexit(part_at_exit);
}
