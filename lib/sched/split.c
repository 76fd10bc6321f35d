/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * With R elements left, a begun on top, the owner at o ns an element, the thief at t + b ns and a
 * latency of L ns, both finish together where
 *
 *     (R - x + a) o  =  L + x (t + b)      so      x = ((R + a) o - L) / (o + t + b).
 */
#include "sched/split.h"

#include <math.h>

double fm_sched_makespan_ns(const struct fm_sched_offer *offer, size_t granted)
{
    const double owner = ((double)(offer->left - granted) + offer->begun) * offer->owner_ns;
    if (granted == 0)
        return owner;
    const double thief =
        offer->latency_ns + (double)granted * (offer->thief_ns + offer->transport_ns);
    return owner > thief ? owner : thief;
}

size_t fm_sched_split(const struct fm_sched_offer *offer)
{
    const double together = offer->owner_ns + offer->thief_ns + offer->transport_ns;
    if (offer->left == 0 || !(together > 0))
        return 0;
    const double backlog_ns = ((double)offer->left + offer->begun) * offer->owner_ns;
    const double x = (backlog_ns - offer->latency_ns) / together;
    if (!(x > 0))
        return 0;
    if (x >= (double)offer->left)
        return offer->left;
    const size_t below = (size_t)x;
    const size_t above = below + 1;
    const double with_below = fm_sched_makespan_ns(offer, below);
    return fm_sched_makespan_ns(offer, above) < with_below ? above : below;
}
