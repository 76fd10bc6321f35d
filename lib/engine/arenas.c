/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that has several spans ready at a time sends a worker their memory in turn, and comes back to the
 * same pieces. To map 2 MiB anew and take its page faults costs as much as to copy them, so small arenas
 * are kept mapped, the oldest goes first. Large ones are not: their spans last longer, and what is mapped
 * stays allocated after the host has given it up.
 *
 * An inode that is mapped cannot be another's, so its number tells an arena.
 */
#include "engine/arenas.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KEPT 64
#define SMALL ((uint64_t)4 << 20) /* bytes */

static struct arena {
    dev_t device;
    ino_t inode;
    size_t bytes;
    void *memory; /* NULL: none */
} kept[KEPT], large;
static unsigned oldest;

static void drop(struct arena *arena)
{
    if (arena->memory != NULL)
        munmap(arena->memory, arena->bytes);
    arena->memory = NULL;
}

static void *find(const struct stat *status, uint64_t bytes)
{
    for (int i = 0; i < KEPT; i++)
        if (kept[i].memory != NULL && kept[i].inode == status->st_ino &&
            kept[i].device == status->st_dev && kept[i].bytes == bytes)
            return kept[i].memory;
    return NULL;
}

void *fm_engine_arena(int descriptor, uint64_t bytes)
{
    struct stat status;
    drop(&large);
    if (descriptor < 0 || bytes == 0 || bytes > SIZE_MAX || fstat(descriptor, &status) != 0 ||
        status.st_size < 0 || (uint64_t)status.st_size < bytes)
        return NULL;
    void *memory = find(&status, bytes);
    if (memory != NULL)
        return memory;
    memory = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct arena *arena = bytes <= SMALL ? &kept[oldest++ % KEPT] : &large;
    drop(arena);
    *arena = (struct arena){status.st_dev, status.st_ino, (size_t)bytes, memory};
    return memory;
}
