/* SPDX-License-Identifier: BSD-3-Clause */
/* A map that all ranks of a job compute together. */
#ifndef FM_ENGINE_RANKS_H
#define FM_ENGINE_RANKS_H

#include "engine/engine.h"
#include "engine/world.h"

/* Runs a checked map with the other ranks. As fm_engine_run(), and RANKS where they call another map. */
int fm_engine_ranks_run(struct fm_engine_world *world, struct fastmap_session *session,
                        const struct fastmap_map *map, struct fastmap_report *report);

#endif
