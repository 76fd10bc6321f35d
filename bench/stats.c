/* SPDX-License-Identifier: BSD-3-Clause */
/* Quantiles and geometric means: see stats.h. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(const double *values, size_t count, double q)
{
    double sorted[BENCH_ROUNDS_MAX];
    if (count == 0 || count > BENCH_ROUNDS_MAX)
        abort();
    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, by_value);
    const double at = q * (double)(count - 1);
    const size_t below = (size_t)at;
    const size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

void bench_geomean_add(struct bench_geomean *mean, double value)
{
    mean->log_sum += log(value);
    mean->count++;
}

double bench_geomean_get(const struct bench_geomean *mean)
{
    return mean->count == 0 ? 1 : exp(mean->log_sum / (double)mean->count);
}
