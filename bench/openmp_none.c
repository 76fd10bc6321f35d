/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands in for openmp.c where there is no OpenMP: no runners. */
#include "runners.h"

const struct bench_runner bench_openmp_runners[] = {{NULL, BENCH_PEER, NULL, NULL}};
