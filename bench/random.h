/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers that look drawn and depend on their argument only: every run and every peer sees the same. */
#ifndef BENCH_RANDOM_H
#define BENCH_RANDOM_H

#include <stdint.h>

#define BENCH_GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* A uniform deviate in (0, 1) from a state: the output function of splitmix64. */
static inline double bench_uniform01(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

#endif
