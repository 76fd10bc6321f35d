/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The local tier as the engine sees it: open a map in the calling thread, advance it, let others in,
 * finish. And the pool of pinned threads, which exists once per process.
 */
#ifndef FM_LOCAL_LOCAL_H
#define FM_LOCAL_LOCAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tier/course.h"
#include "tier/tier.h"

struct fm_local_frame;

/* Spans that are expected to last longer are accounted without the time that their thread waited for a
   processor: on a busy machine the plain loop's time would be overestimated. */
#define FM_LOCAL_LASTING_NS 10000000.0

/* ---- A map in the calling thread (map.c, run.c, join.c) ---- */

/* Tells the tier whom to ask. Once, before everything else. */
void fm_local_init(const struct fm_tier_host *host);

/* Opens a map in the calling thread: it is its innermost map from now on. work: checked, and alive until
   fm_local_finish(); base: index of its first element, 0 unless it is a part of another rank's map; width:
   threads that may compute it, this one included; host_map: for host->failed; cost_ns: an element's, 0
   unknown. NULL: no memory. */
struct fm_local_frame *fm_local_open(const struct fastmap_map *work, size_t base, int width,
                                     void *host_map, double cost_ns);

/* The same, but positions stand for the elements of a course (NULL: their own), alive until
   fm_local_finish(). */
struct fm_local_frame *fm_local_open_course(const struct fastmap_map *work, size_t base,
                                            const struct fm_tier_course *course, int width,
                                            void *host_map, double cost_ns);

/* Computes the next `count` elements of the caller's span, fewer if it ends before that or others take
   from it. Returns how many the caller still has; 0: its span is done (the map may not be). */
size_t fm_local_advance(struct fm_local_frame *frame, size_t count);

/* Elements of the caller's own span that it has begun. */
size_t fm_local_begun(const struct fm_local_frame *frame);

/* Computes the rest of the caller's span, telling by the cost of an element how to claim, and how many of
   them a block function gets at once. */
void fm_local_advance_all(struct fm_local_frame *frame, double cost_ns);

/* The same without a look at the clock, in one block if nobody takes from it: for cheap spans. */
void fm_local_complete(struct fm_local_frame *frame);

/* Tells thieves (and the claim mode) what an element costs; start_ticks: when the map began. */
void fm_local_set_cost(struct fm_local_frame *frame, double cost_ns, uint64_t start_ticks);

/* Lets idle threads in and wakes one. By the owner, while it has elements left. */
void fm_local_share(struct fm_local_frame *frame);
bool fm_local_is_shared(const struct fm_local_frame *frame);

/* Elements of the map that nobody has begun, in whoever's hands they are. The map is open. */
size_t fm_local_unbegun(const struct fm_local_frame *frame);

/* How much work they are. */
double fm_local_unbegun_work(const struct fm_local_frame *frame);

/* Where in the map the threads of this process are: at most `most` positions of elements that are being
   computed. Returns how many. Threads: any, while the map is open; only a look: they go on. */
size_t fm_local_running(const struct fm_local_frame *frame, size_t *positions, size_t most);

/* Takes elements of about so much work, `most` of them at most, out of the reach of this process's threads,
   from the end of the span that has most; *first is counted from the map's own beginning. Returns how many:
   whoever takes them answers for them, the map ends without. Threads: any, while the map is open. */
size_t fm_local_take(const struct fm_local_frame *frame, double work, size_t most, size_t *first);

/* Begins no more elements of the map, as if one had failed and the host had said stop. Threads: likewise. */
void fm_local_stop(struct fm_local_frame *frame);

/* What became of a map. */
struct fm_local_result {
    size_t skipped;   /* elements not computed because the host said stop */
    size_t stolen;    /* spans that thieves took */
    uint64_t busy_ns; /* helpers' time in elements, the caller's not included */
    int workers;      /* threads that computed, the caller included */
};

/* Helps with the rest, waits for helpers, closes the map. The caller's own span must be done. */
void fm_local_finish(struct fm_local_frame *frame, struct fm_local_result *result);

/* The element that the calling thread computes; SIZE_MAX outside maps. */
size_t fm_local_index(void);

/* Whether the calling thread is inside a map. */
bool fm_local_inside(void);

/* ---- The pool of threads (pool.c) ---- */

/* What it takes to get a helper, as measured so far. */
struct fm_local_price {
    double caller_ns;
    double latency_ns;
};

/* With somebody awake: cache lines that change cores on the way there and back, 1.3 microseconds in all
   where a line takes 0.1. */
static const struct fm_local_price fm_local_price_awake = {.caller_ns = 600, .latency_ns = 800};

enum fm_local_readiness {
    FM_LOCAL_NONE,   /* no thread has been made yet */
    FM_LOCAL_ASLEEP, /* all sleep */
    FM_LOCAL_AWAKE   /* at least one spins */
};

/* Threads that the process may use by default: the plan's answer once there is a plan, before that an
   upper bound from the affinity mask. */
int fm_local_default_width(void);

enum fm_local_readiness fm_local_pool_readiness(struct fm_local_price *price);

/* Workers that exist. */
int fm_local_pool_size(void);

/* Makes the pool have at least `width` workers, 0: one per core; the first call reads the topology
   (milliseconds). Not from inside a map's critical path: the engine's keeper calls it.
   Returns 0 or FASTMAP_ERR_MEMORY; fewer threads than wanted is no error, only fewer threads. */
int fm_local_pool_grow(int width, enum fastmap_bind bind);

/* Ends all workers and forgets the topology. No map may be shared. */
void fm_local_pool_stop(void);

/* Around fork(): waits until the pool is not being made or ended, and holds it there. */
void fm_local_before_fork(void);
void fm_local_after_fork_parent(void);

/* After fork(), in the child: no other thread exists any more. */
void fm_local_after_fork(void);

/* ---- Looking at what runs, from the keeper's thread (watch.c) ---- */

/* One look at an open map. */
struct fm_local_sight {
    const void *host_map; /* only a name: the map may end at any moment */
    uint64_t serial;      /* with host_map, tells one map from the next */
    size_t n;
    size_t done;      /* elements begun or done, nearly; only where `shared` or outermost */
    size_t unclaimed; /* in the owner's span */
    double cost_ns;   /* an element's, as far as seen; 0 unknown */
    double age_ns;    /* since it was first seen */
    bool shared;
    bool nested; /* started inside an element */
};

/* Calls see(context, sight) for each open map while it cannot end; if that returns true, lets idle
   threads in. Returns the number of maps seen. One thread at a time. */
int fm_local_watch(bool (*see)(void *context, const struct fm_local_sight *sight), void *context);

/* A number that changes when a thread opens an outermost map. */
uint64_t fm_local_activity(void);

/* Wakes a sleeping worker where shared maps still have elements that nobody has begun. */
void fm_local_pool_nudge(void);

#endif
