/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The course of a map that the cloud may take part in: its elements are timed wherever they run, what they
 * cost is remembered until the next map over the same function and as many elements, and that map is
 * planned by it (sched/course.h). From the owner's side positions take the place of indices
 * everywhere, and inputs and outputs are gathered and scattered where elements leave and come back.
 *
 * Maps over ranks of MPI, block functions, worker processes, cheap elements and very many have none.
 *
 * Threads: made and ended by the thread that has called the map, one map at a time (engine/ranks.c sees to
 * that); times are noted by whoever computes an element, once for each.
 */
#ifndef FM_ENGINE_COURSE_H
#define FM_ENGINE_COURSE_H

#include <fastmap.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sched/course.h"
#include "tier/course.h"

struct fm_engine_course {
    struct fm_tier_course all;     /* by position in the caller's map */
    const struct fastmap_map *map; /* the caller's */
    bool ordered;   /* else every element is at its own index, and all weigh the same */
    double mean_ns; /* of an element, as far as known */
    struct fm_engine_profile *profile;
    uint32_t *place;
    double *before;
    _Atomic uint64_t *begun_ticks; /* by index, when it was begun here; 0: it was not */
    float *taken_ns;               /* by index; 0: not timed; below 0: in the cloud */
};

/* A course for the map, or NULL: it is not for one, or there is no memory. cost_ns: of an element, as far as
   known; machine: what an order is planned for, NULL where elements can only be sent in their own. */
struct fm_engine_course *fm_engine_course_begin(const struct fastmap_map *map, uintptr_t identity,
                                                double cost_ns,
                                                const struct fm_sched_machine *machine);

/* Remembers what was learned, and frees it. NULL is allowed. */
void fm_engine_course_end(struct fm_engine_course *course);

/* Makes *work, which is the caller's map, one that the local tier can compute in this order. */
void fm_engine_course_follow(const struct fm_engine_course *course, struct fastmap_map *work);

/* Makes *work, some elements in a row, one in which they are timed. */
void fm_engine_course_time(const struct fm_engine_course *course, struct fastmap_map *work);

/* How much of the element at a position, which is being computed, is still to do; an element of mean work
   takes cost_ns. */
double fm_engine_course_left(const struct fm_engine_course *course, size_t position,
                             double cost_ns);

/* An element has taken so long in the cloud. */
void fm_engine_course_note(const struct fm_engine_course *course, size_t index, double ns);

/* Elements between the caller's arrays and a row, from a position on. */
void fm_engine_course_gather(const struct fm_engine_course *course, size_t first, size_t count,
                             char *inputs);
void fm_engine_course_scatter(const struct fm_engine_course *course, size_t first, size_t count,
                              const char *outputs);

#endif
