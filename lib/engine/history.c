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

void fm_engine_history_note(uintptr_t function, double cost_ns)
{
    const size_t i = slot_of(function);
    const double old = fm_engine_history_cost_ns(function);
    const double mean = old > 0 ? old + NEW_WEIGHT * (cost_ns - old) : cost_ns;
    atomic_store_explicit(&slots[i].cost_ns, mean, memory_order_relaxed);
    atomic_store_explicit(&slots[i].function, function, memory_order_relaxed);
}
