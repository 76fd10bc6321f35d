/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a map would take: the split equation with the account's vCPUs, as at the map's beginning. Elements
 * whose cost nobody knows are computed for a moment, into memory that is thrown away.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/check.h"
#include "engine/cloud.h"
#include "engine/history.h"
#include "engine/processes.h"
#include "sched/split.h"
#include "tier/local/local.h"

#define TRIAL_NS 1e8
#define TRIAL_MOST 1000

/* The mean and the scatter of the first elements, in one thread. 0: no memory. */
static double try_some(struct fastmap_session *session, const struct fastmap_map *map,
                       struct fm_sched_spread *spread)
{
    struct fastmap_map some = *map;
    some.n = map->n < TRIAL_MOST ? map->n : TRIAL_MOST;
    void *out = calloc(some.n, map->out_size > 0 ? map->out_size : 1);
    some.out = map->out_size > 0 ? out : NULL;
    struct fm_engine_map run = {.session = session, .map = &some};
    struct fm_local_frame *frame = out != NULL ? fm_local_open(&some, 0, 1, &run, 0) : NULL;
    if (frame == NULL) {
        free(out);
        return 0;
    }
    const uint64_t begun = fm_base_ticks();
    uint64_t now = begun;
    size_t left = some.n;
    while (left > 0 && fm_base_ticks_to_ns(now - begun) < TRIAL_NS) {
        const uint64_t then = now;
        const size_t before = left;
        left = fm_local_advance(frame, 1);
        now = fm_base_ticks();
        fm_sched_spread_note(spread, before - left, fm_base_ticks_to_ns(now - then));
    }
    fm_local_stop(frame);
    fm_local_complete(frame);
    fm_local_finish(frame, NULL);
    free(out);
    return spread->mean_ns;
}

/* spread: all 0. A cost that the user gives says nothing of how far costs scatter. */
static double cost_of(struct fastmap_session *session, const struct fastmap_map *map,
                      struct fm_sched_spread *spread)
{
    if (map->element_seconds > 0)
        return map->element_seconds * 1e9;
    const uintptr_t identity = fm_engine_identity(map, fm_engine_processes_wanted(session, map));
    const double known_ns = fm_engine_history_cost_ns(identity);
    if (known_ns <= 0)
        return try_some(session, map, spread);
    *spread = fm_engine_history_spread(identity);
    return known_ns;
}

int fm_engine_estimate(struct fastmap_session *session, const struct fastmap_map *map,
                       struct fastmap_forecast *estimate)
{
    int error = fm_engine_check(map, NULL);
    if (error != 0)
        return error;
    if (estimate == NULL || estimate->size != sizeof *estimate)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the estimate is NULL or has an unknown size field: start it with "
                            "FASTMAP_FORECAST()");
    if (session == NULL && (session = fm_engine_global(&error)) == NULL)
        return error;
    struct fm_sched_spread spread = {0};
    struct fm_tier_cloud_account account;
    struct fastmap_forecast found = FASTMAP_FORECAST();
    const double cost_ns = map->n > 0 ? cost_of(session, map, &spread) : 0;
    if (map->n > 0 && cost_ns <= 0)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to try some elements: free some");
    found.element_seconds = cost_ns * 1e-9;
    found.local_seconds = (double)map->n * found.element_seconds / fm_engine_width(session);
    found.adaptive_seconds = found.local_seconds;
    if (map->n > 0 && fm_engine_cloud_account(session, &account))
        fm_engine_purse_foresee(session, map, cost_ns, &spread, &account, &found);
    *estimate = found;
    return 0;
}
