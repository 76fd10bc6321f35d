/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A function is told by the name of its file and its place in it (program/module.h), which holds across
 * processes whose address spaces differ. A large shared block is told by samples: reading all of it before
 * each map would cost more than many maps take, and what is to be caught is another block, not an adversary.
 */
#include "engine/terms.h"

#include <stddef.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define WHOLE_BYTES ((size_t)4 << 20) /* up to here all of a block is read, 0.4 ms */
#define SAMPLE_BYTES ((size_t)4096)
#define SAMPLES 1024

/* Bits of the options. */
enum { BLOCK = 1, SPREAD = 2, ON_ERROR = 4 };

static uint64_t function_name(const struct fm_engine_opening *opening)
{
    const char *slash = strrchr(opening->path, '/');
    const char *name = slash != NULL ? slash + 1 : opening->path; /* "" for the executable */
    return opening->located != 0 ? XXH3_64bits_withSeed(name, strlen(name), opening->offset) : 0;
}

static uint64_t block_name(const char *block, size_t size)
{
    if (size <= WHOLE_BYTES)
        return XXH3_64bits_withSeed(block, size, size);
    const size_t stride = (size - SAMPLE_BYTES) / (SAMPLES - 1);
    uint64_t name = size;
    for (size_t i = 0; i < SAMPLES; i++)
        name = XXH3_64bits_withSeed(block + i * stride, SAMPLE_BYTES, name);
    return name;
}

void fm_engine_terms(const struct fastmap_map *map, const struct fm_engine_opening *opening,
                     struct fm_engine_terms *terms)
{
    *terms = (struct fm_engine_terms){
        .function = function_name(opening),
        .in_size = map->in_size,
        .out_size = map->out_size,
        .options = (uint64_t)map->on_error * ON_ERROR + (uint64_t)map->spread * SPREAD +
                   (map->block != NULL ? BLOCK : 0),
        .n = map->spread == FASTMAP_SPREAD_REPLICATED ? map->n : 0,
        .shared = map->shared_size > 0 ? block_name(map->shared, map->shared_size) : 0,
        .shared_size = map->shared_size > 0 || map->shared == NULL ? map->shared_size
                                                                   : FM_ENGINE_TERMS_POINTER,
    };
}

enum fastmap_on_error fm_engine_terms_on_error(const struct fm_engine_terms *terms)
{
    return (terms->options & ON_ERROR) != 0 ? FASTMAP_ON_ERROR_STOP : FASTMAP_ON_ERROR_CONTINUE;
}

bool fm_engine_terms_is_replicated(const struct fm_engine_terms *terms)
{
    return (terms->options & SPREAD) != 0;
}

bool fm_engine_terms_is_block(const struct fm_engine_terms *terms)
{
    return (terms->options & BLOCK) != 0;
}

const char *fm_engine_terms_differ(const struct fm_engine_terms *a, const struct fm_engine_terms *b)
{
    if (a->function != b->function)
        return "the function";
    if (a->in_size != b->in_size)
        return "in_size";
    if (a->out_size != b->out_size)
        return "out_size";
    if (a->options != b->options)
        return "on_error, spread, or func against block";
    if (a->n != b->n)
        return "n, of which all ranks have the same where spread is REPLICATED";
    if (a->shared != b->shared || a->shared_size != b->shared_size)
        return "the shared block";
    return NULL;
}
