/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map's life in the thread that calls: open, advance, share, help and wait, close. When no other
 * thread has taken part, all of it costs some ten nanoseconds.
 */
#include <sched.h>
#include <string.h>

#include "tier/local/futex.h"
#include "tier/local/local.h"
#include "tier/local/pool.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"

#define WAIT_SPIN_NS 50000.0 /* the owner then sleeps until the last helper leaves */

void fm_local_init(const struct fm_tier_host *host)
{
    fm_local_host = host;
    fm_local_barrier_register();
}

size_t fm_local_index(void)
{
    const struct fm_local_thread *self = fm_local_self;
    if (self == NULL || self->top == NULL)
        return SIZE_MAX;
    const struct fm_local_frame *frame = self->top;
    return fm_local_map_index(fm_local_frame_map(frame),
                              atomic_load_explicit(&frame->claim, memory_order_relaxed) -
                                  frame->unit);
}

bool fm_local_inside(void)
{
    return fm_local_self != NULL && fm_local_self->top != NULL;
}

static void clear_counters(struct fm_local_map *map)
{
    atomic_store_explicit(&map->helpers, 0, memory_order_relaxed);
    atomic_store_explicit(&map->shared, false, memory_order_relaxed);
    atomic_store_explicit(&map->stop, false, memory_order_relaxed);
    atomic_store_explicit(&map->raised, 0, memory_order_relaxed);
    atomic_store_explicit(&map->busy_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&map->stolen, 0, memory_order_relaxed);
    atomic_store_explicit(&map->skipped, 0, memory_order_relaxed);
    atomic_store_explicit(&map->workers, 1, memory_order_relaxed);
}

struct fm_local_frame *fm_local_open(const struct fastmap_map *work, size_t base, int width,
                                     void *host_map, double cost_ns)
{
    return fm_local_open_course(work, base, NULL, width, host_map, cost_ns);
}

struct fm_local_frame *fm_local_open_course(const struct fastmap_map *work, size_t base,
                                            const struct fm_tier_course *course, int width,
                                            void *host_map, double cost_ns)
{
    struct fm_local_thread *self = fm_local_thread_self();
    if (self == NULL)
        return NULL;
    struct fm_local_frame *outer = self->top;
    struct fm_local_frame *frame = fm_local_frame_push(self);
    if (frame == NULL)
        return NULL;
    struct fm_local_map *map = &frame->own;
    map->work = work;
    map->host_map = host_map;
    map->parent = outer != NULL ? fm_local_frame_map(outer) : NULL;
    map->owner = self;
    atomic_store_explicit(&map->serial, fm_local_map_serial(map) + 1, memory_order_relaxed);
    map->base = base;
    map->course = course;
    map->width = width;
    fm_base_fenv_get(&map->fenv);
    clear_counters(map);
    fm_local_frame_open(frame, map, 0, work->n, cost_ns > FM_LOCAL_FENCED_NS, memory_order_release);
    return frame;
}

size_t fm_local_advance(struct fm_local_frame *frame, size_t count)
{
    const size_t i = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    const size_t stop = count < SIZE_MAX - i ? i + count : SIZE_MAX;
    const size_t next = fm_local_run(frame, stop);
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    if (next < end)
        return end - next;
    if (next != SIZE_MAX)
        (void)fm_local_run(frame, SIZE_MAX); /* meets the end of the span and closes the frame */
    return 0;
}

size_t fm_local_begun(const struct fm_local_frame *frame)
{
    return atomic_load_explicit(&frame->claim, memory_order_relaxed);
}

void fm_local_advance_all(struct fm_local_frame *frame, double cost_ns)
{
    fm_local_run_all(frame, cost_ns);
}

void fm_local_complete(struct fm_local_frame *frame)
{
    while (fm_local_run(frame, SIZE_MAX) != SIZE_MAX)
        ;
}

void fm_local_set_cost(struct fm_local_frame *frame, double cost_ns, uint64_t start_ticks)
{
    atomic_store_explicit(&frame->start_ticks, start_ticks, memory_order_relaxed);
    atomic_store_explicit(&frame->expected_ns, cost_ns, memory_order_relaxed);
    fm_local_set_mode(frame, cost_ns);
}

bool fm_local_is_shared(const struct fm_local_frame *frame)
{
    return atomic_load_explicit(&frame->own.shared, memory_order_relaxed);
}

void fm_local_share(struct fm_local_frame *frame)
{
    fm_local_pool_admit(&frame->own);
    fm_local_pool_call();
}

void fm_local_stop(struct fm_local_frame *frame)
{
    atomic_store_explicit(&frame->own.stop, true, memory_order_seq_cst);
    fm_local_interrupt(&frame->own);
}

/* One round through all threads for something of this map to do. */
static bool help(struct fm_local_thread *self, const struct fm_local_map *map, size_t *unclaimed)
{
    *unclaimed = 0;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next) {
        if (t == self || !atomic_load_explicit(&t->taken, memory_order_relaxed))
            continue;
        if (fm_local_steal_from(self, t, map))
            return true;
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire))
            if (atomic_load_explicit(&f->active, memory_order_relaxed) &&
                fm_local_frame_map(f) == map)
                *unclaimed += fm_local_unclaimed(f);
    }
    return false;
}

/* Sleeps until the last helper leaves. The owner's core is free meanwhile. */
static void sleep_until_left(struct fm_local_map *map)
{
    uint32_t helpers = atomic_load_explicit(&map->helpers, memory_order_relaxed);
    if (helpers == 0 || !atomic_compare_exchange_strong_explicit(
                            &map->helpers, &helpers, helpers | FM_LOCAL_OWNER_SLEEPS,
                            memory_order_relaxed, memory_order_relaxed))
        return;
    helpers |= FM_LOCAL_OWNER_SLEEPS;
    fm_local_pool_caller_rests(map->owner, true);
    while ((helpers & ~FM_LOCAL_OWNER_SLEEPS) != 0) {
        fm_local_futex_wait(&map->helpers, helpers, 0);
        helpers = atomic_load_explicit(&map->helpers, memory_order_acquire);
    }
    fm_local_pool_caller_rests(map->owner, false);
    atomic_store_explicit(&map->helpers, 0, memory_order_relaxed);
}

static void wait_briefly(const struct fm_local_map *map)
{
    for (int i = 0; i < 8 && atomic_load_explicit(&map->helpers, memory_order_relaxed) != 0; i++)
        fm_base_relax();
}

/*
 * The owner's span is done, helpers are still at theirs. It takes from them while that shortens the
 * map, spins while they have elements that it might still take, and sleeps when all that is left is
 * running. The acquire on `helpers` makes the helpers' outputs visible.
 */
static void join(struct fm_local_thread *self, struct fm_local_map *map)
{
    wait_briefly(map); /* for helpers that are about to leave: looking at their frames slows them */
    uint64_t idle_since = fm_base_ticks();
    const uint64_t spin = fm_base_ns_to_ticks(WAIT_SPIN_NS);
    while (atomic_load_explicit(&map->helpers, memory_order_acquire) != 0) {
        size_t unclaimed;
        if (help(self, map, &unclaimed)) {
            idle_since = fm_base_ticks();
            continue;
        }
        wait_briefly(map);
        if (fm_base_ticks() - idle_since < spin)
            continue;
        if (unclaimed == 0)
            sleep_until_left(map);
        else
            sched_yield();
    }
}

void fm_local_finish(struct fm_local_frame *frame, struct fm_local_result *result)
{
    struct fm_local_map *map = &frame->own;
    if (atomic_load_explicit(&map->shared, memory_order_relaxed)) {
        join(frame->thread, map);
        fm_local_lock(frame); /* the keeper may be looking */
        fm_local_pool_dismiss(map);
        fm_local_unlock(frame);
        const unsigned raised = atomic_load_explicit(&map->raised, memory_order_relaxed);
        if (raised != 0)
            fm_base_fenv_raise(raised);
    }
    if (result != NULL)
        *result = (struct fm_local_result){
            .skipped = atomic_load_explicit(&map->skipped, memory_order_relaxed),
            .stolen = atomic_load_explicit(&map->stolen, memory_order_relaxed),
            .busy_ns = atomic_load_explicit(&map->busy_ns, memory_order_relaxed),
            .workers = atomic_load_explicit(&map->workers, memory_order_relaxed),
        };
    fm_local_frame_pop(frame);
}
