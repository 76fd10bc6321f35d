/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A rank that only helps: it owns no elements, learns what is to be computed from the first word of a
 * neighbour, and stays until one says goodbye. That first word it passes on when it enters the map itself,
 * so that the news spreads through the tree of ranks, a level at a time.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/blocks.h"
#include "engine/letters.h"
#include "engine/ranks.h"

/* What a map over ranks must be so that a rank which was told of it can help. */
static int accept(struct fm_engine_world *world, int from, const struct fm_engine_terms *terms,
                  const struct fm_engine_opening *opening, struct fastmap_map *map)
{
    *map = FASTMAP_MAP(.in_size = (size_t)terms->in_size, .out_size = (size_t)terms->out_size);
    map->on_error = fm_engine_terms_on_error(terms);
    if (fm_engine_terms_is_replicated(terms))
        return fm_base_fail(FASTMAP_ERR_RANKS,
                            "a rank serves, which has no copy of the elements of a replicated map: "
                            "use spread OWNED");
    if (terms->shared_size == FM_ENGINE_TERMS_POINTER)
        return fm_base_fail(FASTMAP_ERR_RANKS,
                            "a rank serves, which cannot follow a shared pointer: set shared_size "
                            "to the bytes of the block");
    const int error = fm_engine_opening_resolve(opening, fm_engine_terms_is_block(terms), map);
    if (error != 0 || terms->shared_size == 0)
        return error;
    map->shared_size = (size_t)terms->shared_size;
    map->shared = fm_engine_block_fetch(world, from, map->shared_size);
    return map->shared != NULL ? 0 : FASTMAP_ERR_MEMORY;
}

int fm_engine_ranks_serve(struct fm_engine_world *world, struct fastmap_session *session)
{
    struct fm_engine_header header;
    struct fm_engine_opening opening;
    int from;
    world->serves = true;
    while (fm_engine_letters_next_map(world, &from, &header, &opening)) {
        struct fastmap_map map;
        const int error = accept(world, from, &header.terms, &opening, &map);
        if (error != 0)
            fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_QUIET, "rank %d: %s",
                        world->is.rank, fm_base_last_error());
        (void)fm_engine_ranks_help(world, session, &map, &header.terms, &opening, error);
    }
    fm_engine_world_goodbye();
    world->serves = false;
    return 0;
}
