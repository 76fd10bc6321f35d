/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elements that leave the process: what is left of a map, and taking a part of it away for good. Unlike a
 * thief, who stays inside the map until its span is computed, whoever takes elements away answers for them
 * elsewhere (the engine's ledger does), and the map here ends without them.
 */
#include "tier/local/local.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"

static bool holds(const struct fm_local_frame *frame, const struct fm_local_map *map)
{
    return atomic_load_explicit(&frame->active, memory_order_relaxed) &&
           fm_local_frame_map(frame) == map;
}

/* Visits all frames that hold elements of the map. Returns the sum; *longest is where most are. */
static size_t survey(const struct fm_local_map *map, struct fm_local_frame **longest)
{
    size_t sum = 0;
    size_t most = 0;
    *longest = NULL;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire)) {
            const size_t unclaimed = holds(f, map) ? fm_local_unclaimed(f) : 0;
            sum += unclaimed;
            if (unclaimed > most) {
                most = unclaimed;
                *longest = f;
            }
        }
    return sum;
}

size_t fm_local_unbegun(const struct fm_local_frame *frame)
{
    struct fm_local_frame *longest;
    return survey(&frame->own, &longest);
}

size_t fm_local_take(const struct fm_local_frame *frame, size_t want, size_t *first)
{
    struct fm_local_frame *longest;
    (void)survey(&frame->own, &longest);
    return longest != NULL && want > 0 ? fm_local_seize(longest, &frame->own, want, first) : 0;
}
