/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs that persist: what each element of a map has cost the last time, as a prediction for the next map
 * over the same function and as many elements. Codes that step through time, iterate to a solution or refine
 * a model compute the same elements again and again, and most of them cost about what they did before (the
 * principle of persistence: Kale and Krishnan, OOPSLA 1993). Where they do, elements can be put in order: the
 * owner computes from the cheapest on, a thief with a latency gets the dearest first, and they meet at
 * elements of medium cost, so that none that is long begins last. Pure.
 *
 * Costs are in nanoseconds, by index; 0: unknown.
 */
#ifndef FM_SCHED_COURSE_H
#define FM_SCHED_COURSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_SCHED_COURSE_MOST ((size_t)65536) /* elements of a map that is put in order */

/* Elements that are shorter are not: what a clock and a jump in memory cost should be nothing beside it. */
#define FM_SCHED_COURSE_LEAST_NS 100000.0

struct fm_sched_costed {
    float cost_ns;
    uint32_t index;
};

/* Replaces what is unknown by the mean of what is known. False: nothing is. */
bool fm_sched_course_fill(float *cost_ns, size_t n);

/* Whether all cost so much the same that their order makes no difference. All are known. */
bool fm_sched_course_is_flat(const float *cost_ns, size_t n);

/* Puts them in ascending order; those of the same cost by index. */
void fm_sched_course_sort(struct fm_sched_costed *elements, size_t n);

/*
 * Whether what was predicted is good enough to be followed: over the elements that were measured, the
 * predicted shares of the sum miss the measured ones by less than half of what equal shares would. Too few
 * elements say nothing: true.
 */
bool fm_sched_course_persists(const float *predicted_ns, const float *measured_ns, size_t n);

#endif
