/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Costs that persist: what each element of a map has cost the last time, as a prediction for the next map
 * over the same function and as many elements. Codes that step through time, iterate to a solution or
 * refine a model compute the same elements again and again, and most of them cost about what they did
 * before (the principle of persistence: Kale and Krishnan, OOPSLA 1993). Where they do, the whole map can
 * be planned: the longest element first, each to whoever has it done first (Graham, SIAM J. Appl. Math. 17,
 * 1969). A plan is only an order of elements in which those who compute them from both ends come near to
 * it, and meet at the cheapest: what is not as it was predicted still goes to whoever is free. Pure.
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

/* Who computes a map: workers here, and there, behind a link. */
struct fm_sched_machine {
    int here, there;
    double latency_ns;   /* until an element that is sent alone is back, less its cost */
    double transport_ns; /* that each element adds, one after the other, on either way */
};

/* What a plan is made with: one for each worker, here and there. */
struct fm_sched_worker {
    double free_ns;
    uint32_t number;
    size_t place;
};

/*
 * Puts elements, which are in ascending order, into that of a plan: what each worker here gets, from its
 * dearest on, one worker after the other; then what goes there, the dearest last. Returns where that
 * begins. owner: for each element the worker that gets it, from 0 on; machine->here: it goes there. workers:
 * room for as many as the machine has, which is one at least.
 */
size_t fm_sched_course_plan(const struct fm_sched_machine *machine,
                            const struct fm_sched_costed *elements, size_t n, uint32_t *owner,
                            struct fm_sched_worker *workers, struct fm_sched_costed *planned);

/*
 * Whether what was predicted is good enough to be followed: over the elements that were measured, the
 * predicted shares of the sum miss the measured ones by less than half of what equal shares would. Too few
 * elements say nothing: true.
 */
bool fm_sched_course_persists(const float *predicted_ns, const float *measured_ns, size_t n);

#endif
