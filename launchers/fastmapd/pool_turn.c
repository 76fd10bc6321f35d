/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose turn it is. Accounts are compared by how many spans of theirs run, then by the CPU time they have
 * used; who comes back after a pause begins where the others are, so that nobody saves up a claim. Within
 * an account the map goes first that has the fewest running, and among equals they take turns. A map whose
 * token has as many running as it may waits for one of them to end.
 */
#include "pool_inside.h"

void fmd_turn_join(struct fmd_pool *pool, struct fmd_sharer *sharer)
{
    uint64_t least_ns = UINT64_MAX;
    for (const struct fmd_sharer *other = pool->accounts; other != NULL; other = other->next)
        if (other != sharer && other->running + other->queued > 0 && other->used_ns < least_ns)
            least_ns = other->used_ns;
    if (least_ns != UINT64_MAX && sharer->used_ns < least_ns)
        sharer->used_ns = least_ns;
}

static bool may_run(const struct fmd_map *map)
{
    return map->token->running < map->token->most &&
           (map->pool->running < map->pool->config.vcpus || map->sharer->running == 0);
}

static bool goes_before(const struct fmd_map *map, const struct fmd_map *other)
{
    const struct fmd_sharer *mine = map->sharer, *theirs = other->sharer;
    if (mine->running != theirs->running)
        return mine->running < theirs->running;
    if (mine != theirs && mine->used_ns != theirs->used_ns)
        return mine->used_ns < theirs->used_ns;
    if (map->busy != other->busy)
        return map->busy < other->busy;
    return map->turn < other->turn;
}

/* The next map, of those that `wants` something. */
static struct fmd_map *next_map(struct fmd_pool *pool, bool (*wants)(const struct fmd_map *map))
{
    struct fmd_map *next = NULL;
    for (struct fmd_map *map = pool->maps; map != NULL; map = map->next)
        if (!map->closed && wants(map) && (next == NULL || goes_before(map, next)))
            next = map;
    return next;
}

static bool can_be_given(const struct fmd_map *map)
{
    return map->queued > 0 && map->idle > 0 && may_run(map);
}

static bool has_mapped(const struct fmd_worker *worker, const struct fmd_span *span)
{
    const struct fmd_buffer *buffer = span->small != NULL ? worker->desk : span->buffer;
    return buffer != NULL && worker->buffer == buffer->number;
}

/* The one that has mapped the span's memory already, else any. */
static struct fmd_worker *find_idle(const struct fmd_map *map)
{
    struct fmd_worker *found = NULL;
    for (struct fmd_worker *worker = map->pool->workers; worker != NULL; worker = worker->next)
        if (worker->map == map && worker->state == FMD_WORKER_IDLE &&
            (found == NULL || has_mapped(worker, map->first)))
            found = worker;
    return found;
}

static bool lacks_worker(const struct fmd_map *map)
{
    const unsigned workers = map->starting + map->idle + map->busy;
    const unsigned wanted = map->queued > 0 ? map->queued : map->starts_ahead ? 1 : 0;
    return workers < map->vcpus && wanted > map->starting + map->idle &&
           (map->starts_ahead || may_run(map));
}

bool fmd_turn_has_room(const struct fmd_map *map)
{
    const struct fmd_pool *pool = map->pool;
    return pool->worker_count < pool->slots &&
           map->worker_bytes <= pool->config.workers_bytes - pool->workers_bytes;
}

/* It waits for a worker, and there is no room for one. */
static bool is_starved(const struct fmd_map *map)
{
    return map->queued > 0 && map->idle == 0 && lacks_worker(map) && !fmd_turn_has_room(map);
}

/* An idle worker is wanted more to make room than for a span of this map. */
static bool must_wait(struct fmd_map *map)
{
    const struct fmd_map *starved = next_map(map->pool, is_starved);
    return starved != NULL && goes_before(starved, map);
}

/* Others of its map have had what it was granted, and there is no more: no worker is troubled with it. */
static bool is_cut(struct fmd_span *span)
{
    if (span->grant_ns > 0 || fmd_span_grant(span, 0))
        return false;
    fmd_span_unqueue(span);
    span->result =
        (struct fmd_span_result){.status = FMD_SPAN_CUT, .crash_index = FM_WIRE_WORKER_NONE};
    fmd_span_finish(span);
    fmd_pool_wake(span->map->pool);
    return true;
}

void fmd_turn_give(struct fmd_pool *pool)
{
    struct fmd_map *map;
    while ((map = next_map(pool, can_be_given)) != NULL && !must_wait(map)) {
        if (is_cut(map->first))
            continue;
        struct fmd_worker *worker = find_idle(map);
        if (worker != NULL && fmd_worker_give(worker, map->first))
            map->turn = ++pool->turns;
    }
}

struct fmd_map *fmd_turn_needs_worker(struct fmd_pool *pool)
{
    return next_map(pool, lacks_worker);
}
