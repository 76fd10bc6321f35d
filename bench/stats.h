/* SPDX-License-Identifier: BSD-3-Clause */
/* The few statistics that the bench prints. Pure. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>

#define BENCH_ROUNDS_MAX 101

/* The q-quantile (0.5: the median) of up to BENCH_ROUNDS_MAX values, interpolated. */
double bench_quantile(const double *values, size_t count, double q);

/* A geometric mean, gathered value by value. */
struct bench_geomean {
    double log_sum;
    size_t count;
};

void bench_geomean_add(struct bench_geomean *mean, double value);

/* 1 of nothing. */
double bench_geomean_get(const struct bench_geomean *mean);

#endif
