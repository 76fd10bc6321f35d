/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ranks of a job must agree on when they call a map together. Each message carries its sender's
 * terms, so a rank that calls something else is found by the first thing that it says.
 */
#ifndef FM_ENGINE_TERMS_H
#define FM_ENGINE_TERMS_H

#include <fastmap.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/opening.h"

#define FM_ENGINE_TERMS_POINTER UINT64_MAX

struct fm_engine_terms {
    uint64_t
        function; /* of its module's name and its place in it: addresses differ from rank to rank */
    uint64_t in_size;
    uint64_t out_size;
    uint64_t options;
    uint64_t n;           /* where all have the same elements, else 0 */
    uint64_t shared;      /* of the block's bytes; 0: no bytes */
    uint64_t shared_size; /* or POINTER: only this process can follow it */
};

/* opening: the map's, which says where its function is. */
void fm_engine_terms(const struct fastmap_map *map, const struct fm_engine_opening *opening,
                     struct fm_engine_terms *terms);

/* What options say. */
enum fastmap_on_error fm_engine_terms_on_error(const struct fm_engine_terms *terms);
bool fm_engine_terms_is_replicated(const struct fm_engine_terms *terms);
bool fm_engine_terms_is_block(const struct fm_engine_terms *terms);

/* NULL: they agree; else what they differ in, for a sentence. */
const char *fm_engine_terms_differ(const struct fm_engine_terms *a,
                                   const struct fm_engine_terms *b);

#endif
