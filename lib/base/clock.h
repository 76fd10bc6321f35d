/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time for decisions and estimates. A tick is the unit of the cheapest monotonic counter the machine
 * has: the time-stamp counter on x86-64 (10 ns to read here, where clock_gettime takes 25), nanoseconds
 * of CLOCK_MONOTONIC elsewhere. Ticks are compared across cores, so they decide only what may be off by
 * a little: shares, rates, reports. Nothing that must be right depends on them.
 */
#ifndef FM_BASE_CLOCK_H
#define FM_BASE_CLOCK_H

#include <stdint.h>

#if defined(__x86_64__)
#include "base/clock_x86.h"
#else
#include "base/clock_posix.h"
#endif

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t fm_base_now_ns(void);

/* Measures the tick, once per process (some 20 microseconds); later calls only refine. Threads: any. */
void fm_base_clock_calibrate(void);

/* Nanoseconds a tick, as far as known; valid after fm_base_clock_calibrate(). */
double fm_base_tick_ns(void);

static inline double fm_base_ticks_to_ns(uint64_t ticks)
{
    return (double)ticks * fm_base_tick_ns();
}

static inline uint64_t fm_base_ns_to_ticks(double ns)
{
    return (uint64_t)(ns / fm_base_tick_ns());
}

#endif
