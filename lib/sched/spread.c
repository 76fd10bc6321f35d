/* SPDX-License-Identifier: BSD-3-Clause */
/* See spread.h. */
#include "sched/spread.h"

#include <math.h>

#define NORMAL 1.959964 /* of the normal distribution, 2.5% on either side: */
#define ASSUMED 5       /* samples, of a variance ... */
#define ASSUMED_VARIANCE \
    3.0 /* ... to the square of the mean: one in ten costs about twenty times the others */
#define FACTOR_MOST 10.0 /* a wider range says no more */
#define FACTOR_UNKNOWN \
    2.0 /* where nothing has been seen, such as for a cost that the user has given */

void fm_sched_spread_note(struct fm_sched_spread *spread, size_t count, double total_ns)
{
    if (count == 0)
        return;
    const double weight = (double)count;
    const double sample_ns = total_ns / weight;
    const double off_ns = sample_ns - spread->mean_ns;
    spread->samples++;
    spread->elements += weight;
    spread->mean_ns += off_ns * weight / spread->elements;
    spread->squares += weight * off_ns * (sample_ns - spread->mean_ns);
}

/* Variance of an element's cost, to its mean. */
static double relative(const struct fm_sched_spread *spread)
{
    const double seen = spread->squares / (spread->mean_ns * spread->mean_ns);
    return (seen + ASSUMED * ASSUMED_VARIANCE) / ((double)spread->samples - 1 + ASSUMED);
}

/* Student's quantile with the same share on either side, by the expansion in the reciprocal of the degrees of
   freedom, which are five at least. */
static double student(size_t freedom)
{
    const double z = NORMAL;
    const double z3 = z * z * z;
    const double z5 = z3 * z * z;
    const double n = (double)freedom;
    return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n);
}

double fm_sched_spread_factor(const struct fm_sched_spread *spread, size_t x)
{
    if (spread->samples == 0 || !(spread->mean_ns > 0))
        return FACTOR_UNKNOWN;
    if (x == 0)
        return 1;
    const double off = sqrt(relative(spread) * (1 / (double)x + 1 / spread->elements));
    const double factor = exp(student(spread->samples - 1 + ASSUMED) * off);
    return factor < FACTOR_MOST ? factor : FACTOR_MOST;
}
