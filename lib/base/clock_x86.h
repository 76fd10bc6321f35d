/* SPDX-License-Identifier: BSD-3-Clause */
/* Ticks of the x86-64 time-stamp counter. Not serialising: a few nanoseconds of skew do not matter. */
#ifndef FM_BASE_CLOCK_X86_H
#define FM_BASE_CLOCK_X86_H

#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t fm_base_ticks(void)
{
    return __rdtsc();
}

/* Tells the core, and its other hardware thread, that this is a wait loop. */
static inline void fm_base_relax(void)
{
    _mm_pause();
}

#endif
