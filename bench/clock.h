/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench's clocks. They cost about 30 ns a reading, so what is timed lasts much longer. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <time.h>

static inline double bench_read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Wall time in seconds. */
static inline double bench_now(void)
{
    return bench_read_clock(CLOCK_MONOTONIC);
}

/* CPU time of all threads of this process, in seconds. */
static inline double bench_cpu_time(void)
{
    return bench_read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static inline void bench_sleep(double seconds)
{
    const struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&t, NULL);
}

#endif
