/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the keeper looks at maps. It sees what thieves see: claims, ends and times in frames, without
 * disturbing the owners, who may be inside an element for an hour.
 */
#include "tier/local/local.h"
#include "tier/local/pool.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"

static struct fm_local_sight look(struct fm_local_frame *frame, uint64_t now)
{
    const struct fm_local_map *map = &frame->own;
    if (frame->watched_serial != fm_local_map_serial(map)) {
        frame->watched_serial = fm_local_map_serial(map);
        frame->watched_ticks = now;
    }
    const bool shared = atomic_load_explicit(&map->shared, memory_order_relaxed);
    struct fm_local_sight sight = {
        .host_map = map->host_map,
        .serial = fm_local_map_serial(map),
        .n = map->work->n,
        .unclaimed = fm_local_unclaimed(frame),
        .cost_ns = fm_local_observed_cost_ns(frame, now),
        .age_ns = fm_base_ticks_to_ns(now - frame->watched_ticks),
        .shared = shared,
        .nested = map->parent != NULL,
    };
    const size_t left = shared ? fm_local_unbegun(frame) : sight.unclaimed;
    sight.done = sight.n > left ? sight.n - left : 0;
    return sight;
}

/* True if the frame held a map, or was busy. */
static bool visit(struct fm_local_frame *frame,
                  bool (*see)(void *context, const struct fm_local_sight *sight), void *context)
{
    if (!atomic_load_explicit(&frame->active, memory_order_relaxed) &&
        !atomic_load_explicit(&frame->own.shared, memory_order_relaxed))
        return false;
    if (!fm_local_try_lock(frame))
        return true;
    /* The map outlives its owner's span while helpers are at theirs. */
    const bool open = (atomic_load_explicit(&frame->active, memory_order_acquire) &&
                       fm_local_frame_map(frame) == &frame->own) ||
                      atomic_load_explicit(&frame->own.shared, memory_order_relaxed);
    bool let_in = false;
    if (open) {
        const struct fm_local_sight sight = look(frame, fm_base_ticks());
        let_in = see(context, &sight);
        if (let_in)
            fm_local_pool_admit(&frame->own);
    }
    fm_local_unlock(frame);
    if (let_in)
        fm_local_pool_call();
    return open;
}

int fm_local_watch(bool (*see)(void *context, const struct fm_local_sight *sight), void *context)
{
    int seen = 0;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire))
            seen += visit(f, see, context) ? 1 : 0;
    return seen;
}

uint64_t fm_local_activity(void)
{
    uint64_t sum = 0;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        sum += atomic_load_explicit(&t->base->own.serial, memory_order_relaxed);
    return sum;
}
