/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for tbb.cpp where there is no oneTBB: no runners. */
#include "runners.h"

const struct bench_runner bench_tbb_runners[] = {{NULL, BENCH_PEER, NULL, NULL}};
const struct bench_runner bench_tbb_region[] = {{NULL, BENCH_PEER, NULL, NULL}};
