/* SPDX-License-Identifier: BSD-3-Clause */
/* A map that all ranks of a job compute together. */
#ifndef FM_ENGINE_RANKS_H
#define FM_ENGINE_RANKS_H

#include "engine/engine.h"
#include "engine/opening.h"
#include "engine/terms.h"
#include "engine/world.h"

/* Runs a checked map with the other ranks. As fm_engine_run(), and RANKS where they call another map. */
int fm_engine_ranks_run(struct fm_engine_world *world, struct fastmap_session *session,
                        const struct fastmap_map *map, struct fastmap_report *report);

/* Takes part in a map that others have begun, without elements of its own. error: it cannot, and the map ends
   with that code on all ranks. */
int fm_engine_ranks_help(struct fm_engine_world *world, struct fastmap_session *session,
                         const struct fastmap_map *map, const struct fm_engine_terms *terms,
                         const struct fm_engine_opening *opening, int error);

/* Helps with all maps of the others until one of them says goodbye. The first thread's, outside maps.
   Returns 0. */
int fm_engine_ranks_serve(struct fm_engine_world *world, struct fastmap_session *session);

#endif
