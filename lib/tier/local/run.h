/* SPDX-License-Identifier: BSD-3-Clause */
/* The owner's side of a frame: running its elements, parking, locking. See frame.h. */
#ifndef FM_LOCAL_RUN_H
#define FM_LOCAL_RUN_H

#include "base/clock.h"
#include "tier/local/frame.h"

#define FM_LOCAL_FENCED_NS 1000.0 /* elements above it are claimed with a barrier */

extern const struct fm_tier_host *fm_local_host;

/* False where the kernel has no expedited membarrier: then every frame is fenced, always. */
extern bool fm_local_asymmetric;

/* Computes elements from the frame's claim on, until `stop` or the end of its span; a block function
   gets them as one block. Returns the next element, which may be before `stop`, or SIZE_MAX when the
   span is done and the frame closed. */
size_t fm_local_run(struct fm_local_frame *frame, size_t stop);

/* Computes the whole span and closes it; cost_ns: what an element has cost so far, 0 unknown. */
void fm_local_run_all(struct fm_local_frame *frame, double cost_ns);

/* Chooses the claim mode for elements of that cost. Owner only. */
void fm_local_set_mode(struct fm_local_frame *frame, double cost_ns);

/* Makes all frames of the map stop at their next element. */
void fm_local_interrupt(const struct fm_local_map *map);

static inline bool fm_local_try_lock(struct fm_local_frame *frame)
{
    return atomic_load_explicit(&frame->lock, memory_order_relaxed) == 0 &&
           atomic_exchange_explicit(&frame->lock, 1, memory_order_acquire) == 0;
}

/* Waits for the lock: spins, then yields. */
void fm_local_lock_slowly(struct fm_local_frame *frame);

static inline void fm_local_lock(struct fm_local_frame *frame)
{
    if (!fm_local_try_lock(frame))
        fm_local_lock_slowly(frame);
}

static inline void fm_local_unlock(struct fm_local_frame *frame)
{
    atomic_store_explicit(&frame->lock, 0, memory_order_release);
}

/* Fills a pushed frame with [first, end) of the map and makes it visible, with the given order: release
   is enough unless the opener must afterwards see what others did before they saw it. */
static inline void fm_local_frame_open(struct fm_local_frame *frame, struct fm_local_map *map,
                                       size_t first, size_t end, bool fenced, memory_order order)
{
    atomic_store_explicit(&frame->map, map, memory_order_relaxed);
    atomic_store_explicit(&frame->end, end, memory_order_relaxed);
    frame->unit = 1;
    fenced = fenced || !fm_local_asymmetric;
    frame->fence_next = fenced;
    atomic_store_explicit(&frame->fenced, fenced, memory_order_relaxed);
    atomic_store_explicit(&frame->claim, first, memory_order_relaxed);
    atomic_store_explicit(&frame->limit, end, memory_order_relaxed);
    atomic_store_explicit(&frame->start, first, memory_order_relaxed);
    atomic_store_explicit(&frame->start_ticks, 0, memory_order_relaxed);
    atomic_store_explicit(&frame->seen_ticks, 0, memory_order_relaxed);
    atomic_store_explicit(&frame->expected_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&frame->active, true, order);
}

#endif
