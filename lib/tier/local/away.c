/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elements that leave the process: what is left of a map, and taking a part of it away for good. Unlike a
 * thief, who stays inside the map until its span is computed, whoever takes elements away answers for them
 * elsewhere (the engine's ledger does), and the map here ends without them.
 */
#include "tier/local/local.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"

static bool holds(const struct fm_local_frame *frame, const struct fm_local_map *map)
{
    return atomic_load_explicit(&frame->active, memory_order_relaxed) &&
           fm_local_frame_map(frame) == map;
}

/* What nobody has begun, and where most of that is; NULL: there is nothing. */
struct survey {
    size_t count;
    double work;
    struct fm_local_frame *longest;
    size_t first, end; /* of its positions */
};

/* Without its lock: a frame that was just given to another map shows elements that this one may not have. */
static void add(struct survey *survey, struct fm_local_frame *frame, const struct fm_local_map *map,
                double *most)
{
    const size_t first = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    if (first >= end || end > map->work->n)
        return;
    const double work = fm_tier_course_work(map->course, first, end);
    survey->count += end - first;
    survey->work += work;
    if (work <= *most)
        return;
    *most = work;
    survey->longest = frame;
    survey->first = first;
    survey->end = end;
}

/* Visits all frames that hold elements of the map. */
static struct survey survey(const struct fm_local_map *map)
{
    struct survey found = {0};
    double most = 0;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire))
            if (holds(f, map))
                add(&found, f, map, &most);
    return found;
}

size_t fm_local_running(const struct fm_local_frame *frame, size_t *positions, size_t most)
{
    size_t count = 0;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL && count < most;
             f = atomic_load_explicit(&f->inner, memory_order_acquire)) {
            const size_t claim = atomic_load_explicit(&f->claim, memory_order_relaxed);
            if (holds(f, &frame->own) && claim <= frame->own.work->n &&
                claim > atomic_load_explicit(&f->start, memory_order_relaxed))
                positions[count++] = claim - 1;
        }
    return count;
}

size_t fm_local_unbegun(const struct fm_local_frame *frame)
{
    return survey(&frame->own).count;
}

double fm_local_unbegun_work(const struct fm_local_frame *frame)
{
    return survey(&frame->own).work;
}

size_t fm_local_take(const struct fm_local_frame *frame, double work, size_t most, size_t *first)
{
    const struct survey found = survey(&frame->own);
    if (found.longest == NULL || !(work > 0))
        return 0;
    const size_t want = fm_tier_course_highest(frame->own.course, found.first, found.end, work);
    return fm_local_seize(found.longest, &frame->own, want < most ? want : most, first);
}
