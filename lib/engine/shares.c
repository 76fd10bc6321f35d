/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shares: where all ranks pass the same elements, each owns an equal part of them, and at the end all get all
 * results. Balancing is as in any other map.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "engine/group.h"

/* First element of a rank's share where all ranks pass the same n. */
static size_t share_begin(const struct fm_engine_group *group, int rank)
{
    const size_t size = (size_t)group->world->is.size;
    const size_t r = (size_t)rank;
    return group->map->n / size * r + group->map->n % size * r / size;
}

/* What this rank is the owner of. */
void fm_engine_share_take(struct fm_engine_group *group)
{
    const struct fastmap_map *map = group->map;
    struct fm_engine_job *own = &group->own;
    own->work = *map;
    if (map->spread != FASTMAP_SPREAD_REPLICATED || map->n == 0)
        return;
    own->first = share_begin(group, group->world->is.rank);
    own->work.n = share_begin(group, group->world->is.rank + 1) - own->first;
    if (map->in != NULL)
        own->work.in = (const char *)map->in + own->first * map->in_size;
    if (map->out != NULL)
        own->work.out = (char *)map->out + own->first * map->out_size;
}

/* Waits without holding up the others. Only memory for one small note could fail it. */
static void gather(struct fm_engine_group *group, void *elements, size_t element_bytes,
                   const int *count, const int *first)
{
    struct fm_engine_world *world = group->world;
    const uint64_t begun = fm_base_ticks();
    pthread_mutex_lock(&world->mutex);
    bool over = !world->tier->gather(elements, element_bytes, count, first);
    while (!over && !(over = world->tier->gather_is_done())) {
        pthread_mutex_unlock(&world->mutex);
        fm_engine_wait_idle(world, fm_base_ticks_to_ns(fm_base_ticks() - begun));
        pthread_mutex_lock(&world->mutex);
    }
    pthread_mutex_unlock(&world->mutex);
}

/* All outputs and failures to all ranks. Its memory was had when the map was entered. */
void fm_engine_share_replicate(struct fm_engine_group *group)
{
    const struct fastmap_map *map = group->map;
    const int size = group->world->is.size;
    int *count = group->counts;
    int *first = group->counts + size;
    for (int rank = 0; rank < size; rank++) {
        first[rank] = (int)share_begin(group, rank);
        count[rank] = (int)(share_begin(group, rank + 1) - share_begin(group, rank));
    }
    if (map->out_size > 0)
        gather(group, map->out, map->out_size, count, first);
    for (int rank = 0; rank < size; rank++) {
        first[rank] = rank;
        count[rank] = 1;
    }
    group->tallies[group->world->is.rank] = fm_engine_job_tally(&group->own);
    gather(group, group->tallies, sizeof *group->tallies, count, first);
    for (int rank = 0; rank < size; rank++)
        if (rank != group->world->is.rank)
            fm_engine_job_add(&group->own, &group->tallies[rank]);
}

bool fm_engine_share_prepare(struct fm_engine_group *group)
{
    if (group->map->spread != FASTMAP_SPREAD_REPLICATED)
        return true;
    const size_t size = (size_t)group->world->is.size;
    group->counts = calloc(2 * size, sizeof *group->counts);
    group->tallies = calloc(size, sizeof *group->tallies);
    return group->counts != NULL && group->tallies != NULL;
}
