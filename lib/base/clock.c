/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a tick is: two readings of both clocks, the first taken at the first map. A few microseconds
 * apart they give the ratio to half a percent, and every later call widens the distance.
 */
#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define FIRST_WINDOW_NS 10000u

static pthread_once_t calibrated = PTHREAD_ONCE_INIT;
static uint64_t first_ticks;
static uint64_t first_ns;
static _Atomic double tick_ns = 1.0;

uint64_t fm_base_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void refine(void)
{
    const uint64_t ns = fm_base_now_ns() - first_ns;
    const uint64_t ticks = fm_base_ticks() - first_ticks;
    if (ns >= FIRST_WINDOW_NS && ticks > 0)
        atomic_store_explicit(&tick_ns, (double)ns / (double)ticks, memory_order_relaxed);
}

static void calibrate_first(void)
{
    first_ns = fm_base_now_ns();
    first_ticks = fm_base_ticks();
    while (fm_base_now_ns() - first_ns < FIRST_WINDOW_NS)
        fm_base_relax();
}

void fm_base_clock_calibrate(void)
{
    pthread_once(&calibrated, calibrate_first);
    refine();
}

double fm_base_tick_ns(void)
{
    return atomic_load_explicit(&tick_ns, memory_order_relaxed);
}
