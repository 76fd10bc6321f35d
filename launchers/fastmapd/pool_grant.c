/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * More CPU time for a span that has used up its own. What the spans of a map were granted is one pot: their
 * map's purse is asked first; then those that wait give what they have, and those that run half of what they
 * have left, and are looked at anew, since they may use up the other half sooner. So what is granted never
 * changes by that but by what the purse adds, and near the end of a hold all that run share what is left,
 * down to what can be measured.
 */
#include "base/clock.h"
#include "pool_inside.h"

#define LEAST_NS ((uint64_t)1000000)     /* less is not worth asking for */
#define ENOUGH_NS ((uint64_t)1000000000) /* no more is taken from others at once */

static uint64_t take_from_queue(struct fmd_map *map)
{
    uint64_t taken_ns = 0;
    for (struct fmd_span *span = map->last; span != NULL && taken_ns < ENOUGH_NS;
         span = span->previous) {
        taken_ns += span->grant_ns;
        span->grant_ns = 0;
    }
    return taken_ns;
}

static uint64_t take_from_running(struct fmd_map *map, const struct fmd_span *asks)
{
    uint64_t taken_ns = 0;
    for (struct fmd_worker *worker = map->pool->workers; worker != NULL; worker = worker->next) {
        if (worker->map != map || worker->state != FMD_WORKER_BUSY || worker->span == asks)
            continue;
        const uint64_t used_ns = fmd_worker_unbilled_ns(worker) + map->unbilled_ns;
        const uint64_t granted_ns = worker->span->grant_ns;
        const uint64_t half_ns = used_ns < granted_ns ? (granted_ns - used_ns) / 2 : 0;
        if (half_ns < LEAST_NS * map->pool->processors)
            continue;
        worker->span->grant_ns -= half_ns;
        worker->check_ns = fm_base_now_ns();
        taken_ns += half_ns;
    }
    return taken_ns;
}

bool fmd_span_grant(struct fmd_span *span, uint64_t used_ns)
{
    struct fmd_map *map = span->map;
    span->grant_ns += span->more(span->user);
    if (span->grant_ns < used_ns + LEAST_NS)
        span->grant_ns += take_from_queue(map);
    if (span->grant_ns < used_ns + LEAST_NS)
        span->grant_ns += take_from_running(map, span);
    return span->grant_ns > used_ns;
}
