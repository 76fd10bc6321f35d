/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One element of each map is computed both in the cloud and here, since a function that depends on what
 * main() has done gives other results in a worker, where main() has never run. Here a thread of its own does
 * it, from the moment at which the first span has left, so that it is done when that comes back: neither the
 * courier nor the threads of the map wait for it. What comes back before it is held, and counts when it
 * agrees.
 */
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "engine/cloud.h"
#include "tier/local/local.h"

/* ---- The thread ---- */

static bool compute(struct fm_engine_cloud *cloud)
{
    struct fm_engine_witness *witness = &cloud->witness;
    struct fm_engine_map run = {.session = cloud->session, .map = &witness->map};
    struct fm_local_frame *frame = fm_local_open(&witness->map, witness->first, 1, &run, 0);
    if (frame == NULL)
        return false;
    const struct fm_base_fenv old = fm_base_fenv_swap(&cloud->fenv);
    fm_local_complete(frame);
    (void)fm_base_fenv_leave(&old);
    fm_local_finish(frame, NULL);
    return true;
}

static void *witness_main(void *argument)
{
    struct fm_engine_cloud *cloud = argument;
    const bool computed = compute(cloud);
    pthread_mutex_lock(&cloud->world->mutex);
    cloud->witness.runs = false;
    cloud->witness.knows = computed;
    pthread_cond_broadcast(&cloud->changed);
    if (cloud->connection != NULL)
        cloud->tier->wake(cloud->connection);
    pthread_mutex_unlock(&cloud->world->mutex);
    return NULL;
}

/* ---- Calling it ---- */

/* Copies: the piece may be lost meanwhile, and an element in place has one array for both. */
static bool prepare(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece)
{
    struct fm_engine_witness *witness = &cloud->witness;
    const struct fastmap_map *map = cloud->group->map;
    const struct fm_tier_course *course = fm_engine_cloud_course(cloud);
    witness->in = malloc(map->in_size > 0 ? map->in_size : 1);
    witness->out = calloc(1, map->out_size);
    if (witness->in == NULL || witness->out == NULL)
        return false;
    if (map->in_size > 0)
        memcpy(witness->in,
               piece->parcel->in + (piece->first - piece->parcel->first) * map->in_size,
               map->in_size);
    witness->map = *map;
    witness->map.n = 1;
    witness->map.in = map->in_size > 0 ? witness->in : NULL;
    witness->map.out = witness->out;
    witness->first = course == NULL ? piece->first : course->place[piece->first];
    witness->span = piece->id;
    return true;
}

void fm_engine_witness_dismiss(struct fm_engine_cloud *cloud)
{
    struct fm_engine_witness *witness = &cloud->witness;
    if (witness->made)
        pthread_join(witness->thread, NULL);
    free(witness->in);
    free(witness->out);
    *witness = (struct fm_engine_witness){0};
}

/* Where it cannot be had, the map goes on without. */
void fm_engine_witness_call(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece)
{
    struct fm_engine_witness *witness = &cloud->witness;
    fm_engine_witness_dismiss(cloud);
    witness->runs = true;
    witness->made = prepare(cloud, piece) &&
                    fm_base_thread_start(&witness->thread, witness_main, cloud, "fastmap-witness");
    witness->runs = witness->made;
    cloud->verified = !witness->made;
}

/* ---- Hearing it ---- */

static struct fm_engine_piece *piece_of(struct fm_engine_piece *list, uint64_t span)
{
    while (list != NULL && list->id != span)
        list = list->next;
    return list;
}

/* Its span has come back with nothing, or is late, and others are there. */
static bool is_left_alone(const struct fm_engine_cloud *cloud)
{
    const struct fm_engine_piece *flies = piece_of(cloud->flying, cloud->witness.span);
    return flies == NULL || fm_engine_pieces_is_overdue(flies);
}

enum fm_engine_verdict fm_engine_witness_hear(struct fm_engine_cloud *cloud)
{
    const struct fm_engine_witness *witness = &cloud->witness;
    if (cloud->held == NULL || witness->runs)
        return FM_ENGINE_VERDICT_NONE;
    const struct fm_engine_piece *piece = piece_of(cloud->held, witness->span);
    if (piece != NULL)
        return !witness->knows || memcmp(witness->out, piece->out, witness->map.out_size) == 0
                   ? FM_ENGINE_VERDICT_SAME
                   : FM_ENGINE_VERDICT_OTHER;
    if (is_left_alone(cloud))
        fm_engine_witness_call(cloud, cloud->held);
    return cloud->verified ? FM_ENGINE_VERDICT_SAME : FM_ENGINE_VERDICT_NONE;
}
