/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Profiles, which is what is remembered of maps, and the course that a map makes of its own. See course.h.
 *
 * A profile is followed in the next map at once, and left alone as soon as a map has found that it predicts
 * no better than the mean: a wrong one costs time once, never results.
 */
#include "engine/course.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tier/local/local.h"

#define PROFILES 16 /* that are kept; the one that was used last goes last */

struct fm_engine_profile {
    uintptr_t identity; /* 0: free */
    size_t n;
    float *cost_ns; /* by index, 0: unknown */
    bool is_known;  /* of some element at least */
    bool is_wrong;  /* it did not predict its last map */
    uint64_t used;  /* when */
};

static struct fm_engine_profile profiles[PROFILES];

/* ---- Profiles ---- */

static struct fm_engine_profile *find(uintptr_t identity, size_t n)
{
    struct fm_engine_profile *oldest = profiles;
    for (struct fm_engine_profile *profile = profiles; profile < profiles + PROFILES; profile++) {
        if (profile->identity == identity && profile->n == n)
            return profile;
        if (profile->used < oldest->used)
            oldest = profile;
    }
    float *cost_ns = calloc(n, sizeof *cost_ns);
    if (cost_ns == NULL)
        return NULL;
    free(oldest->cost_ns);
    *oldest = (struct fm_engine_profile){.identity = identity, .n = n, .cost_ns = cost_ns};
    return oldest;
}

/* Sums of what was predicted and what was taken, over the elements of one side that have both. */
struct sums {
    double predicted_ns, taken_ns;
};

static struct sums sums_of(const struct fm_engine_course *course, bool there)
{
    struct sums sums = {0};
    for (size_t i = 0; i < course->map->n; i++)
        if (course->profile->cost_ns[i] > 0 && course->taken_ns[i] != 0 &&
            (course->taken_ns[i] < 0) == there) {
            sums.predicted_ns += course->profile->cost_ns[i];
            sums.taken_ns += there ? -course->taken_ns[i] : course->taken_ns[i];
        }
    return sums;
}

/* Processors differ: what was taken there counts as what it would have taken here. */
static void level(const struct fm_engine_course *course)
{
    const struct sums here = sums_of(course, false);
    const struct sums there = sums_of(course, true);
    const bool comparable = here.taken_ns > 0 && there.taken_ns > 0;
    const double factor =
        comparable ? here.taken_ns / here.predicted_ns * there.predicted_ns / there.taken_ns : 1;
    for (size_t i = 0; i < course->map->n; i++)
        if (course->taken_ns[i] < 0)
            course->taken_ns[i] *= (float)-factor;
}

static void learn(const struct fm_engine_course *course)
{
    struct fm_engine_profile *profile = course->profile;
    const size_t n = course->map->n;
    level(course);
    profile->is_wrong = !fm_sched_course_persists(profile->cost_ns, course->taken_ns, n);
    for (size_t i = 0; i < n; i++)
        if (course->taken_ns[i] > 0) {
            profile->cost_ns[i] = course->taken_ns[i];
            profile->is_known = true;
        }
}

/* ---- The order ---- */

static void keep_order(const struct fm_engine_course *course)
{
    for (size_t i = 0; i < course->map->n; i++) {
        course->place[i] = (uint32_t)i;
        course->before[i + 1] = (double)(i + 1);
    }
}

static void put_in_order(struct fm_engine_course *course, const struct fm_sched_costed *elements)
{
    const size_t n = course->map->n;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += elements[i].cost_ns;
    course->mean_ns = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        course->place[i] = elements[i].index;
        course->before[i + 1] = course->before[i] + elements[i].cost_ns * (double)n / sum;
    }
}

/* What it takes to plan. */
struct desk {
    float *cost_ns;
    struct fm_sched_costed *elements, *planned;
    struct fm_sched_worker *workers;
};

static bool set_up(struct desk *desk, size_t n, const struct fm_sched_machine *machine)
{
    const size_t workers = (size_t)machine->here + (size_t)machine->there;
    *desk = (struct desk){
        .cost_ns = malloc(n * sizeof *desk->cost_ns),
        .elements = malloc(n * sizeof *desk->elements),
        .planned = malloc(n * sizeof *desk->planned),
        .workers = malloc(workers * sizeof *desk->workers),
    };
    return desk->cost_ns != NULL && desk->elements != NULL && desk->planned != NULL &&
           desk->workers != NULL;
}

static void clear(struct desk *desk)
{
    free(desk->cost_ns);
    free(desk->elements);
    free(desk->planned);
    free(desk->workers);
}

/* False: there is nothing to go by. */
static bool plan(struct fm_engine_course *course, const struct desk *desk,
                 const struct fm_sched_machine *machine)
{
    const size_t n = course->map->n;
    memcpy(desk->cost_ns, course->profile->cost_ns, n * sizeof *desk->cost_ns);
    if (!fm_sched_course_fill(desk->cost_ns, n) || fm_sched_course_is_flat(desk->cost_ns, n))
        return false;
    for (size_t i = 0; i < n; i++)
        desk->elements[i] =
            (struct fm_sched_costed){.cost_ns = desk->cost_ns[i], .index = (uint32_t)i};
    fm_sched_course_sort(desk->elements, n);
    course->all.border = fm_sched_course_plan(machine, desk->elements, n, course->place,
                                              desk->workers, desk->planned);
    put_in_order(course, desk->planned);
    return true;
}

static bool order(struct fm_engine_course *course, const struct fm_sched_machine *machine)
{
    struct desk desk;
    if (machine == NULL || !course->profile->is_known || course->profile->is_wrong)
        return false;
    const bool ordered = set_up(&desk, course->map->n, machine) && plan(course, &desk, machine);
    clear(&desk);
    return ordered;
}

/* ---- A map's course ---- */

static void drop(struct fm_engine_course *course)
{
    free(course->place);
    free(course->before);
    free((void *)course->begun_ticks);
    free(course->taken_ns);
    free(course);
}

static bool is_for_one(const struct fastmap_map *map, double cost_ns)
{
    return map->func != NULL && map->n > 1 && map->n <= FM_SCHED_COURSE_MOST &&
           cost_ns >= FM_SCHED_COURSE_LEAST_NS;
}

struct fm_engine_course *fm_engine_course_begin(const struct fastmap_map *map, uintptr_t identity,
                                                double cost_ns,
                                                const struct fm_sched_machine *machine)
{
    static uint64_t maps;
    if (!is_for_one(map, cost_ns))
        return NULL;
    struct fm_engine_course *course = calloc(1, sizeof *course);
    if (course == NULL)
        return NULL;
    *course = (struct fm_engine_course){
        .map = map,
        .mean_ns = cost_ns,
        .profile = find(identity, map->n),
        .place = malloc(map->n * sizeof *course->place),
        .before = calloc(map->n + 1, sizeof *course->before),
        .begun_ticks = calloc(map->n, sizeof *course->begun_ticks),
        .taken_ns = calloc(map->n, sizeof *course->taken_ns),
    };
    if (course->profile == NULL || course->place == NULL || course->before == NULL ||
        course->begun_ticks == NULL || course->taken_ns == NULL) {
        drop(course);
        return NULL;
    }
    course->profile->used = ++maps;
    course->all =
        (struct fm_tier_course){.place = course->place, .before = course->before, .border = map->n};
    course->ordered = order(course, machine);
    if (!course->ordered)
        keep_order(course);
    return course;
}

void fm_engine_course_end(struct fm_engine_course *course)
{
    if (course == NULL)
        return;
    learn(course);
    drop(course);
}

/* ---- Elements ---- */

/* An absent array stays NULL. */
static const char *input_of(const struct fastmap_map *map, size_t index)
{
    return map->in_size > 0 ? (const char *)map->in + index * map->in_size : NULL;
}

static char *output_of(const struct fastmap_map *map, size_t index)
{
    return map->out_size > 0 ? (char *)map->out + index * map->out_size : NULL;
}

static int compute_timed(const void *in, void *out, const void *shared)
{
    const struct fm_engine_course *course = shared;
    const size_t index = fm_local_index();
    const uint64_t begun = fm_base_ticks();
    atomic_store_explicit(&course->begun_ticks[index], begun, memory_order_relaxed);
    const int code = course->map->func(in, out, course->map->shared);
    const double ns = fm_base_ticks_to_ns(fm_base_ticks() - begun);
    course->taken_ns[index] = ns > 1 ? (float)ns : 1;
    return code;
}

/* What the local tier takes for the whole map: its inputs are the places. */
static int compute_placed(const void *in, void *out, const void *shared)
{
    const struct fm_engine_course *course = shared;
    const size_t index = *(const uint32_t *)in;
    (void)out;
    return compute_timed(input_of(course->map, index), output_of(course->map, index), shared);
}

void fm_engine_course_time(const struct fm_engine_course *course, struct fastmap_map *work)
{
    work->func = compute_timed;
    work->shared = course;
}

void fm_engine_course_follow(const struct fm_engine_course *course, struct fastmap_map *work)
{
    work->func = compute_placed;
    work->in = course->place;
    work->in_size = sizeof *course->place;
    work->out = NULL;
    work->out_size = 0;
    work->shared = course;
}

double fm_engine_course_left(const struct fm_engine_course *course, size_t position, double cost_ns)
{
    const double work = fm_tier_course_work(&course->all, position, position + 1);
    const uint64_t begun =
        atomic_load_explicit(&course->begun_ticks[course->place[position]], memory_order_relaxed);
    const double done =
        begun > 0 && cost_ns > 0 ? fm_base_ticks_to_ns(fm_base_ticks() - begun) / cost_ns : 0;
    return done < work ? work - done : 0;
}

void fm_engine_course_note(const struct fm_engine_course *course, size_t index, double ns)
{
    course->taken_ns[index] = ns > 1 ? (float)-ns : -1;
}

void fm_engine_course_gather(const struct fm_engine_course *course, size_t first, size_t count,
                             char *inputs)
{
    const struct fastmap_map *map = course->map;
    for (size_t i = 0; i < count && map->in_size > 0; i++)
        memcpy(inputs + i * map->in_size, input_of(map, course->place[first + i]), map->in_size);
}

void fm_engine_course_scatter(const struct fm_engine_course *course, size_t first, size_t count,
                              const char *outputs)
{
    const struct fastmap_map *map = course->map;
    for (size_t i = 0; i < count && map->out_size > 0; i++)
        memcpy(output_of(map, course->place[first + i]), outputs + i * map->out_size,
               map->out_size);
}
