/* SPDX-License-Identifier: BSD-3-Clause */
/* See course.h. */
#include "sched/course.h"

#include <math.h>
#include <stdlib.h>

#define FLAT 0.1      /* mean distance from the mean, to the mean */
#define FEW 4         /* measured elements that say nothing */
#define GOOD_PART 0.5 /* of what equal shares miss */

bool fm_sched_course_fill(float *cost_ns, size_t n)
{
    double sum = 0;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        sum += cost_ns[i];
        known += cost_ns[i] > 0;
    }
    for (size_t i = 0; i < n && known > 0; i++)
        if (!(cost_ns[i] > 0))
            cost_ns[i] = (float)(sum / (double)known);
    return known > 0;
}

bool fm_sched_course_is_flat(const float *cost_ns, size_t n)
{
    double sum = 0;
    double off = 0;
    for (size_t i = 0; i < n; i++)
        sum += cost_ns[i];
    for (size_t i = 0; i < n; i++)
        off += fabs(cost_ns[i] - sum / (double)n);
    return off <= FLAT * sum;
}

static int compare(const void *left, const void *right)
{
    const struct fm_sched_costed *a = left;
    const struct fm_sched_costed *b = right;
    if (a->cost_ns != b->cost_ns)
        return a->cost_ns < b->cost_ns ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

void fm_sched_course_sort(struct fm_sched_costed *elements, size_t n)
{
    qsort(elements, n, sizeof *elements, compare);
}

bool fm_sched_course_persists(const float *predicted_ns, const float *measured_ns, size_t n)
{
    double predicted = 0, measured = 0, off = 0, equal_off = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (predicted_ns[i] > 0 && measured_ns[i] > 0) {
            predicted += predicted_ns[i];
            measured += measured_ns[i];
            count++;
        }
    for (size_t i = 0; i < n; i++)
        if (predicted_ns[i] > 0 && measured_ns[i] > 0) {
            const double share = measured_ns[i] / measured;
            off += fabs(share - predicted_ns[i] / predicted);
            equal_off += fabs(share - 1 / (double)count);
        }
    return count <= FEW || off < GOOD_PART * equal_off;
}
