/* SPDX-License-Identifier: BSD-3-Clause */
/* Ticks where no cheap counter is known: nanoseconds of CLOCK_MONOTONIC. */
#ifndef FM_BASE_CLOCK_POSIX_H
#define FM_BASE_CLOCK_POSIX_H

#include <stdint.h>
#include <time.h>

static inline uint64_t fm_base_ticks(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void fm_base_relax(void)
{
    __asm__ volatile("" ::: "memory");
}

#endif
