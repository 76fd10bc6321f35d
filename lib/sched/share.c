/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The constants behind the policy, each a price that was measured: a look at the clock is 10 ns, a wake
 * costs the caller about 10 microseconds and the sleeper 50 on a virtual machine, a fifth of that on
 * bare metal.
 */
#include "sched/share.h"

#include "sched/split.h"

#define BATCH_CAP 512u        /* elements; at a nanosecond each, the clock costs 2 percent */
#define BLOCK_LEAST_NS 1000.0 /* below, the call of the function would show */
#define BLOCK_MOST_NS 50000.0
#define PARCEL_MOST_NS 2000000.0
#define PARCEL_MOST_BYTES ((size_t)16 << 20)
#define SPIN_LEAST_NS 100000.0
#define SPIN_MOST_NS 3000000.0
#define GAIN_LEAST_NS 500.0
#define GAIN_LEAST_SHARE 0.03 /* of the work left */
#define ELEMENTS_MOST 1e18    /* keeps double-to-integer conversions defined */

static size_t elements_in(double ns, double cost_ns)
{
    const double elements = ns / cost_ns;
    if (!(elements > 1))
        return 1;
    return elements < ELEMENTS_MOST ? (size_t)elements : (size_t)ELEMENTS_MOST;
}

size_t fm_sched_batch(double cost_ns, double target_ns, size_t done)
{
    if (!(cost_ns > 0))
        return 1;
    const size_t wanted = elements_in(target_ns, cost_ns);
    const size_t growth = 8 * (done + 1);
    const size_t cap = done > BATCH_CAP ? done : growth < BATCH_CAP ? growth : BATCH_CAP;
    return wanted < cap ? wanted : cap;
}

bool fm_sched_believes(bool was_shared, double busy_ns, double cost_ns, double predicted_ns)
{
    return !was_shared || busy_ns > FM_SCHED_SHORT_NS || cost_ns < predicted_ns;
}

size_t fm_sched_block(double cost_ns, size_t left)
{
    if (!(cost_ns > 0))
        return 1;
    const size_t least = elements_in(BLOCK_LEAST_NS, cost_ns);
    const size_t most = elements_in(BLOCK_MOST_NS, cost_ns);
    const size_t tapered = left / 8;
    return tapered < least ? least : tapered < most ? tapered : most;
}

size_t fm_sched_parcel(double cost_ns, size_t left, size_t bytes)
{
    if (!(cost_ns > 0))
        return 1;
    const size_t least = elements_in(FM_SCHED_PARCEL_NS, cost_ns);
    const size_t most = elements_in(PARCEL_MOST_NS, cost_ns);
    const size_t fit = bytes > 0 && bytes < PARCEL_MOST_BYTES ? PARCEL_MOST_BYTES / bytes
                       : bytes > 0                            ? 1
                                                              : left;
    const size_t tapered = left / 8;
    const size_t wanted = tapered < least ? least : tapered < most ? tapered : most;
    return wanted < fit ? wanted : fit > 0 ? fit : 1;
}

double fm_sched_gain_ns(size_t left, double begun, double cost_ns, const struct fm_sched_wake *wake)
{
    const struct fm_sched_offer offer = {
        .left = left,
        .begun = begun,
        .owner_ns = cost_ns,
        .thief_ns = cost_ns,
        .latency_ns = wake->latency_ns,
    };
    const double alone = fm_sched_makespan_ns(&offer, 0);
    const double together = fm_sched_makespan_ns(&offer, fm_sched_split(&offer)) + wake->caller_ns;
    const double gain = alone - together;
    return gain > GAIN_LEAST_NS && gain > GAIN_LEAST_SHARE * alone ? gain : 0;
}

void fm_sched_rental_gap(struct fm_sched_rental *rental, double gap_ns)
{
    if (gap_ns > SPIN_MOST_NS) {
        rental->missed_ns = 0;
        gap_ns = SPIN_MOST_NS;
    }
    rental->gap_ns += (gap_ns - rental->gap_ns) / 4;
}

bool fm_sched_rental_due(struct fm_sched_rental *rental, double missed_ns,
                         const struct fm_sched_wake *wake)
{
    rental->missed_ns += missed_ns;
    if (rental->missed_ns < wake->caller_ns + wake->latency_ns)
        return false;
    rental->missed_ns = 0;
    return true;
}

double fm_sched_spin_ns(const struct fm_sched_rental *rental)
{
    /* A smoothed gap near the maximum means that the next map is out of reach: do not wait for it. */
    const double reach = 2 * rental->gap_ns;
    if (reach >= SPIN_MOST_NS)
        return SPIN_LEAST_NS;
    return reach > SPIN_LEAST_NS ? reach : SPIN_LEAST_NS;
}
