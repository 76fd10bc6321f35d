/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-line-first policy, pure: how far the caller computes before it looks at the clock, when waking
 * others pays, and how long idle threads keep spinning. Times are in nanoseconds and are arguments.
 */
#ifndef FM_SCHED_SHARE_H
#define FM_SCHED_SHARE_H

#include <stdbool.h>
#include <stddef.h>

/* What it takes to get the first helper: measured, or a first guess of it. */
struct fm_sched_wake {
    double caller_ns;  /* time the caller loses by asking */
    double latency_ns; /* until the helper computes */
};

/* Work below it cannot be shared at a profit, whoever is awake: it needs no attention at all. */
#define FM_SCHED_TINY_NS 3000.0

/* Elements to compute before the next look at the clock: about `target_ns` of work, never more than a
   cap that bounds what an unforeseen run of heavy elements can hide. cost_ns <= 0: not yet known. */
size_t fm_sched_batch(double cost_ns, double target_ns, size_t done);

/*
 * A short map that is shared looks dearer than it is: the threads' busy time contains their waiting for
 * each other's cache lines. If that were believed, maps too short to be shared would go on being shared.
 */
#define FM_SCHED_SHORT_NS 50000.0

/* Whether the mean cost of a map's elements is to be believed: busy_ns in all, cost_ns each where
   predicted_ns had been expected. A map computed alone tells the truth, a longer one nearly, and one that
   is cheaper than expected at least that. */
bool fm_sched_believes(bool was_shared, double busy_ns, double cost_ns, double predicted_ns);

/* Elements in one call of a block function, with `left` still to do in the caller's own range. */
size_t fm_sched_block(double cost_ns, size_t left);

/*
 * Elements that are handed to another process at once. That has a price, 10 microseconds for a span that is
 * awaited by a thread on the same core, which is to be small beside the work; near the end parcels shrink, so
 * that threads end together. `bytes` of an element bound what lies in shared memory.
 */
#define FM_SCHED_PARCEL_NS 500000.0
size_t fm_sched_parcel(double cost_ns, size_t left, size_t bytes);

/* Time saved by asking for help now with `left` elements to do and `begun` elements' worth of work that
   cannot be given away; 0 where it does not pay. Small gains that noise would eat count as none. */
double fm_sched_gain_ns(size_t left, double begun, double cost_ns,
                        const struct fm_sched_wake *wake);

/*
 * Keeping helpers awake is a ski-rental problem: a map too short to pay for waking a sleeping pool
 * would have gained from one that is awake. The gains missed in a row of maps that follow each other
 * closely add up; once they exceed the price of waking, the next such map wakes the pool, which at
 * worst doubles the loss of a player who knows the future (Karlin et al., Algorithmica 3, 1988).
 */
struct fm_sched_rental {
    double missed_ns; /* gains missed since the last wake or the last long pause */
    double gap_ns;    /* smoothed time between the end of a map that could be shared and the next */
};

/* Notes the pause before a map that could be shared. */
void fm_sched_rental_gap(struct fm_sched_rental *rental, double gap_ns);

/* Whether missed gains now justify a wake; call with what this map misses by staying alone. */
bool fm_sched_rental_due(struct fm_sched_rental *rental, double missed_ns,
                         const struct fm_sched_wake *wake);

/* How long an idle thread spins before it sleeps: at least about the price of a wake; longer where
   maps have come at short intervals, so that the next one finds it awake. */
double fm_sched_spin_ns(const struct fm_sched_rental *rental);

#endif
