/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small direct-mapped cache. Two functions that fall into one slot forget each other, and two threads
 * that write one slot at once may leave one's cost under the other's name: both only mean a worse
 * prediction, so there is no lock.
 */
#include "engine/history.h"

#include <stdatomic.h>
#include <stddef.h>

#define SLOTS 256 /* a power of two */
#define NEW_WEIGHT 0.5

static struct {
    _Atomic uintptr_t function;
    _Atomic double cost_ns;
    _Atomic size_t samples; /* of its last map, as is the rest: */
    _Atomic double elements;
    _Atomic double mean_ns;
    _Atomic double squares;
} slots[SLOTS];

static size_t slot_of(uintptr_t function)
{
    return (function >> 4 ^ function >> 12) & (SLOTS - 1);
}

double fm_engine_history_cost_ns(uintptr_t function)
{
    const size_t i = slot_of(function);
    if (atomic_load_explicit(&slots[i].function, memory_order_relaxed) != function)
        return 0;
    return atomic_load_explicit(&slots[i].cost_ns, memory_order_relaxed);
}

struct fm_sched_spread fm_engine_history_spread(uintptr_t function)
{
    const size_t i = slot_of(function);
    struct fm_sched_spread spread = {0};
    if (atomic_load_explicit(&slots[i].function, memory_order_relaxed) != function)
        return spread;
    spread.samples = atomic_load_explicit(&slots[i].samples, memory_order_relaxed);
    spread.elements = atomic_load_explicit(&slots[i].elements, memory_order_relaxed);
    spread.mean_ns = atomic_load_explicit(&slots[i].mean_ns, memory_order_relaxed);
    spread.squares = atomic_load_explicit(&slots[i].squares, memory_order_relaxed);
    return spread;
}

static void keep_spread(size_t i, const struct fm_sched_spread *spread)
{
    atomic_store_explicit(&slots[i].samples, spread->samples, memory_order_relaxed);
    atomic_store_explicit(&slots[i].elements, spread->elements, memory_order_relaxed);
    atomic_store_explicit(&slots[i].mean_ns, spread->mean_ns, memory_order_relaxed);
    atomic_store_explicit(&slots[i].squares, spread->squares, memory_order_relaxed);
}

void fm_engine_history_note(uintptr_t function, double cost_ns,
                            const struct fm_sched_spread *spread)
{
    static const struct fm_sched_spread nothing;
    const size_t i = slot_of(function);
    const double old = fm_engine_history_cost_ns(function);
    const double mean = old > 0 ? old + NEW_WEIGHT * (cost_ns - old) : cost_ns;
    if (spread != NULL && spread->samples > 1)
        keep_spread(i, spread);
    else if (old <= 0)
        keep_spread(i, &nothing);
    atomic_store_explicit(&slots[i].cost_ns, mean, memory_order_relaxed);
    atomic_store_explicit(&slots[i].function, function, memory_order_relaxed);
}
