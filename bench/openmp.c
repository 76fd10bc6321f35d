/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OpenMP's schedules as runners. Compiled by gcc it measures libgomp, compiled by clang LLVM's libomp:
 * local.mk says which, and gives the name to show as BENCH_OPENMP_NAME.
 */
#include "runners.h"

/* LLVM's libomp only: how long its idle threads spin, in milliseconds. */
extern void kmp_set_blocktime(int milliseconds) __attribute__((weak));
extern int kmp_get_blocktime(void) __attribute__((weak));

#define PRAGMA(text) _Pragma(#text)
#define SCHEDULE(name, ...)                                                  \
    static void run_##name(const struct bench_map *m)                        \
    {                                                                        \
        fastmap_func *const func = m->func;                                  \
        const char *const in = m->in;                                        \
        char *const out = m->out;                                            \
        const size_t n = m->n, in_size = m->in_size, out_size = m->out_size; \
        const void *const shared = m->shared;                                \
        PRAGMA(omp parallel for schedule(__VA_ARGS__))                       \
        for (size_t i = 0; i < n; i++)                                       \
            func(in + i * in_size, out + i * out_size, shared);              \
    }

SCHEDULE(static, static)
SCHEDULE(dynamic_1, dynamic, 1)
SCHEDULE(dynamic_64, dynamic, 64)
SCHEDULE(guided, guided)

/* libomp's threads spin for 200 ms after a region, which would disturb whoever is measured next: a
   last region with a block time of 0 sends them to sleep. libgomp's need no such help. */
static void quieten(void)
{
    if (kmp_set_blocktime == NULL)
        return;
    const int usual = kmp_get_blocktime();
    kmp_set_blocktime(0);
#pragma omp parallel
    {
        __asm__ volatile("" ::: "memory");
    }
    kmp_set_blocktime(usual);
}

const struct bench_runner bench_openmp_runners[] = {
    {BENCH_OPENMP_NAME "-static", BENCH_PEER, run_static, quieten},
    {BENCH_OPENMP_NAME "-dynamic-1", BENCH_PEER, run_dynamic_1, quieten},
    {BENCH_OPENMP_NAME "-dynamic-64", BENCH_PEER, run_dynamic_64, quieten},
    {BENCH_OPENMP_NAME "-guided", BENCH_PEER, run_guided, quieten},
    {NULL, BENCH_PEER, NULL, NULL}};
