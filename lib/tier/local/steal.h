/* SPDX-License-Identifier: BSD-3-Clause */
/* The thief's side of a frame. See frame.h. */
#ifndef FM_LOCAL_STEAL_H
#define FM_LOCAL_STEAL_H

#include "tier/local/frame.h"

/*
 * Takes part of `victim`'s span if that shortens its map, and computes it on the calling thread.
 * only: take from that map and from maps inside its elements; NULL: from any. False: nothing taken.
 */
bool fm_local_steal(struct fm_local_thread *thief, struct fm_local_frame *victim,
                    const struct fm_local_map *only);

/* fm_local_steal() over all frames of a thread, outermost first: the largest pieces lie there. */
bool fm_local_steal_from(struct fm_local_thread *thief, struct fm_local_thread *victim,
                         const struct fm_local_map *only);

/* Begins to fetch what a thief will read and write of the thread's outermost frame: one wait instead of
   six. Only where somebody has just called, since it takes the lines away from their owner. */
void fm_local_fetch(const struct fm_local_thread *victim);

/* What an element costs the frame's owner now, as far as can be seen from outside; 0: unknown. */
double fm_local_observed_cost_ns(struct fm_local_frame *frame, uint64_t now);

/* Elements not begun in an open frame, as far as can be seen without asking its owner. */
size_t fm_local_unclaimed(const struct fm_local_frame *frame);

/* Asks the kernel for the right to use expedited membarriers, once per process (and after a fork). */
void fm_local_barrier_register(void);

/* Takes up to `want` of the elements of `map` above the victim's claim off the end of its span. Returns how
   many, from *first on; 0 also where somebody else is at it. */
size_t fm_local_seize(struct fm_local_frame *victim, const struct fm_local_map *map, size_t want,
                      size_t *first);

#endif
