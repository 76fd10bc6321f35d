/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The split equation: how many of an owner's elements a thief should get so that both finish at the
 * same time. The one local-or-remote decision, for a thread, a rank and the cloud alike. Pure.
 */
#ifndef FM_SCHED_SPLIT_H
#define FM_SCHED_SPLIT_H

#include <stddef.h>

struct fm_sched_offer {
    size_t left;  /* elements that could move: neither begun nor leased */
    double begun; /* elements' worth of work that the owner's side must finish first, 0 if none */
    double owner_ns;     /* time an element on the owner's side, all its threads together */
    double thief_ns;     /* time an element at the thief */
    double transport_ns; /* time to move one element there and its result back */
    double latency_ns;   /* until the thief can begin */
};

/*
 * The grant that makes the later of the two finish earliest, 0 to offer->left. 0 is the answer "keep
 * them": the thief cannot shorten the map. Elements are whole, so both neighbours of the real-valued
 * solution are compared: of two long elements the thief gets one, although half of two less a
 * latency is below one.
 */
size_t fm_sched_split(const struct fm_sched_offer *offer);

/* When the owner and a thief that is granted `granted` elements are both done, from now. */
double fm_sched_makespan_ns(const struct fm_sched_offer *offer, size_t granted);

#endif
