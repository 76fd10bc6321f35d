/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Work that is forced to be shared: a map of two elements that wait for each other, so that it lasts
 * until two threads have taken part. A map's elements must not wait for each other in a program; here
 * it is the only way to time nothing but the waking and joining of the second thread, and a time-out
 * ends the wait where the second thread does not come.
 */
#ifndef BENCH_MEETING_H
#define BENCH_MEETING_H

#include "clock.h"

#include <stdatomic.h>

/* The two elements of each map arrive one after the other, so that arrivals pair up: 0 with 1, 2 with
   3. Relaxed order suffices since nothing but the count itself is passed on. */
struct meeting {
    atomic_uint arrived;
    atomic_uint missed; /* waits that ended by the time-out */
    double patience_s;
};

/* One element; `shared` is the meeting. */
static inline int bench_meet(const void *in, void *out, const void *shared)
{
    struct meeting *meeting = *(struct meeting *const *)shared;
    const unsigned mine = atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_relaxed);
    const unsigned both = (mine | 1) + 1;
    const double deadline = bench_now() + meeting->patience_s;
    (void)in, (void)out;
    for (unsigned i = 1; atomic_load_explicit(&meeting->arrived, memory_order_relaxed) < both;
         i++) {
        if (i % 1024 == 0 && bench_now() > deadline) {
            atomic_fetch_add_explicit(&meeting->missed, 1, memory_order_relaxed);
            break;
        }
    }
    return 0;
}

#endif
