/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank says of its map to those who serve. See opening.h. */
#include "engine/opening.h"

#include <string.h>

#include "base/error.h"
#include "engine/map.h"
#include "program/module.h"

#define FIXED offsetof(struct fm_engine_opening, path)

size_t fm_engine_opening_make(const struct fastmap_map *map, struct fm_engine_opening *opening)
{
    const char *module;
    opening->offset = 0;
    opening->path[0] = '\0';
    opening->workers = (uint32_t)map->workers;
    opening->retries = map->retries;
    opening->element_timeout = map->element_timeout;
    opening->located = fm_program_find(fm_engine_function(map), &module, &opening->offset) &&
                       strlen(module) < sizeof opening->path;
    if (opening->located)
        memcpy(opening->path, module, strlen(module) + 1);
    return FIXED + strlen(opening->path) + 1;
}

bool fm_engine_opening_take(const char *bytes, size_t size, struct fm_engine_opening *opening)
{
    if (size <= FIXED || size > sizeof *opening || bytes[size - 1] != '\0')
        return false;
    memcpy(opening, bytes, size);
    return true;
}

int fm_engine_opening_resolve(const struct fm_engine_opening *opening, bool is_block,
                              struct fastmap_map *map)
{
    if (opening->located == 0)
        return fm_base_fail(FASTMAP_ERR_RANKS,
                            "the function of the map lies in no file, so a rank that serves cannot "
                            "find it: pass a function of the program or of a library");
    void *function = fm_program_resolve(opening->path, opening->offset);
    if (function == NULL)
        return FASTMAP_ERR_RANKS;
    map->workers = (enum fastmap_workers)opening->workers;
    map->retries = opening->retries;
    map->element_timeout = opening->element_timeout;
    memcpy(is_block ? (void *)&map->block : (void *)&map->func, &function, sizeof function);
    return 0;
}
