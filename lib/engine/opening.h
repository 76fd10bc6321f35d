/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a rank says of its map beyond the terms, with its first word to a neighbour: enough for one that only
 * serves (servant.c) to take part. All ranks run the same program on the same kind of machine, so it is sent
 * as it lies in memory, the module's path behind it.
 */
#ifndef FM_ENGINE_OPENING_H
#define FM_ENGINE_OPENING_H

#include <fastmap.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_engine_opening {
    uint64_t offset;  /* of the function in its module */
    uint64_t located; /* 0: the function lies in no file */
    uint32_t workers; /* enum fastmap_workers */
    int32_t retries;
    double element_timeout;
    char path[PATH_MAX]; /* of the module, "": the program itself; only so much of it is sent */
};

/* Fills an opening; returns how many bytes of it are to be sent. */
size_t fm_engine_opening_make(const struct fastmap_map *map, struct fm_engine_opening *opening);

/* Takes one in. False: it is none. */
bool fm_engine_opening_take(const char *bytes, size_t size, struct fm_engine_opening *opening);

/* Sets map->func or map->block. 0, or RANKS with its sentence. */
int fm_engine_opening_resolve(const struct fm_engine_opening *opening, bool is_block,
                              struct fastmap_map *map);

#endif
