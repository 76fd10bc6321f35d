/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * oneTBB as runners. For the grid: parallel_for with its default, the auto partitioner. For a region
 * of two elements that wait for each other, which only makes sense if both run at once, the simple
 * partitioner: the auto partitioner may give both to one thread.
 */
#include "runners.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>

using range = oneapi::tbb::blocked_range<size_t>;

static void run_range(const bench_map *m, const range &r)
{
    fastmap_func *const func = m->func;
    for (size_t i = r.begin(); i != r.end(); i++)
        func(m->in + i * m->in_size, m->out + i * m->out_size, m->shared);
}

extern "C" {

static void run_auto(const bench_map *m)
{
    oneapi::tbb::parallel_for(range(0, m->n), [m](const range &r) { run_range(m, r); });
}

static void run_simple(const bench_map *m)
{
    oneapi::tbb::parallel_for(
        range(0, m->n), [m](const range &r) { run_range(m, r); },
        oneapi::tbb::simple_partitioner());
}

const bench_runner bench_tbb_runners[] = {{"tbb", BENCH_PEER, run_auto, nullptr},
                                          {nullptr, BENCH_PEER, nullptr, nullptr}};

const bench_runner bench_tbb_region[] = {{"tbb", BENCH_PEER, run_simple, nullptr},
                                         {nullptr, BENCH_PEER, nullptr, nullptr}};
}
