/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A frame is a span of one map that one thread is computing: the heart of the local tier.
 *
 * Every thread that computes has a stack of frames, one for each map or stolen span that it is inside
 * of (nested maps put one on top of another). The frame that the caller opens for its own map covers
 * [0, n) and carries the map itself; a thief's frame covers what it took. Frames are the only place
 * where elements are: there is no queue, no board of jobs and no task object. To help is to find a
 * frame and take the upper part of what its owner has not begun.
 *
 * Claim and limit
 * ---------------
 * The owner runs its span upwards. Before each element (or block) it says what it is about to begin,
 * and then looks whether it may:
 *
 *     owner:  claim = i + 1;            thief:  lock; limit = mid;
 *             if (claim > limit) park;          if (claim <= mid) [mid, end) is stolen
 *
 * Both sides write first and read afterwards, so at least one sees the other (Dekker). That needs a
 * full barrier between write and read on both sides, and a barrier is 20 cycles: too much before an
 * element of one nanosecond. So there are two modes, chosen by the measured cost of an element:
 *
 *   fenced    elements above a microsecond. The owner claims with an atomic exchange. A thief is done
 *             at once and the owner never notices.
 *   unfenced  cheap elements. The owner claims with a plain store, so the cost over the plain loop is a
 *             store, a load and a compare. The thief supplies both barriers: it sets limit to 0, upon
 *             which the owner parks before its next element and says so. Where the owner stays away,
 *             because an element turned out long or its thread is not running, the thief makes the
 *             kernel run a barrier on every processor of the process (membarrier(2), 13 microseconds)
 *             and reads the claim then. After that no claim can be missed: one made before is visible,
 *             one made later sees limit 0 and parks.
 *
 * So an owner inside an element of ten milliseconds never holds up the elements behind it, and an owner
 * of ten million elements of a nanosecond pays nothing for the possibility.
 *
 * A parked owner has claimed but not begun. It takes the lock (and so waits for the thief to finish),
 * reads `end`, and goes on if its claim still fits, shortens a block that does not, or closes the
 * frame. The end of a span is the same path: the claim after the last element exceeds the limit.
 *
 * Locks and order
 * ---------------
 * `lock` protects end, fence_next, fenced and the change of `active` to 0, and orders them (acquire on
 * taking, release on giving back): a thief that holds it knows the mode. It is held for some tens of
 * instructions, except while a thief waits for an unfenced owner. Nobody takes a second frame's lock
 * while holding one.
 *
 * `active` is set with release when the other fields are complete, so a thief that reads it (acquire)
 * under the lock may use them; the owner clears it only under the lock. An idle frame may be locked
 * and looked at, never changed.
 *
 * Frames and threads are never freed while the process runs (a thief may look at any of them at any
 * time); they are used again. That is also why a late futex wake on one is harmless.
 */
#ifndef FM_LOCAL_FRAME_H
#define FM_LOCAL_FRAME_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fenv.h"
#include "tier/course.h"
#include "tier/tier.h"

#define FM_LOCAL_LINE 64 /* bytes that move between cores together */

struct fm_local_thread;

/* One map while it runs. Lives in the frame of the thread that called. */
struct fm_local_map {
    const struct fastmap_map *work; /* the caller's */
    void *host_map;                 /* the engine's side of the map, for host->failed */
    struct fm_local_map *parent;    /* the map inside an element of which this one was started */
    struct fm_base_fenv fenv;       /* the caller's */
    struct fm_local_thread *owner;
    _Atomic uint64_t serial; /* with the address, tells one map from the next */
    size_t base; /* index of its first element where it is a part of another map, else 0 */
    const struct fm_tier_course *course; /* NULL: its elements are computed in their own order */
    int width;                           /* threads that may compute it, the caller included */
    _Atomic bool shared;                 /* others may take from its frames */
    _Atomic bool stop;                   /* begin no more elements */

    /* The owner watches this line at the end. */
    alignas(FM_LOCAL_LINE) _Atomic uint32_t helpers; /* thieves inside; bit 31: the owner sleeps */

    /* Helpers keep their accounts in this one. */
    alignas(FM_LOCAL_LINE) _Atomic unsigned raised; /* exception flags that helpers raised */
    _Atomic int workers;                            /* most threads that computed at once */
    _Atomic uint64_t busy_ns;                       /* helpers' time in elements, on a processor */
    _Atomic size_t stolen;                          /* spans taken by thieves */
    _Atomic size_t skipped;                         /* elements not computed because of stop */
};

#define FM_LOCAL_OWNER_SLEEPS 0x80000000u

struct fm_local_frame {
    /* The owner writes this line before each element. Others read it when they look for work. */
    alignas(FM_LOCAL_LINE) _Atomic size_t claim; /* elements below it are begun or done */
    size_t unit;                                 /* length of the claim: claim - unit is running */
    size_t stop;                                 /* where the owner looks up from its loop */
    _Atomic bool fenced;                         /* mode; written by the owner only */

    /* Thieves write this line. The owner reads `limit` before each element. */
    alignas(FM_LOCAL_LINE) _Atomic size_t limit; /* end, or less while a thief wants attention */
    _Atomic uint32_t lock;                       /* 0 free, 1 held */
    _Atomic uint32_t parked;                     /* the owner waits for the lock */
    _Atomic size_t end;                          /* the span's true end; changed under lock */
    bool fence_next; /* under lock: mode the owner takes when it parks */

    /* Written when the frame is opened; the estimates now and then. */
    alignas(FM_LOCAL_LINE) _Atomic bool active;
    _Atomic(struct fm_local_map *) map;
    struct fm_local_thread *thread;
    struct fm_local_frame *outer;           /* the frame below, NULL for the first */
    _Atomic(struct fm_local_frame *) inner; /* the frame above, open or not; NULL: none made yet */
    _Atomic size_t start;                   /* first element of the span */
    _Atomic uint64_t start_ticks;           /* when it was begun; 0: nobody looked at the clock */
    _Atomic double expected_ns;             /* an element's cost, before the span tells by itself */
    _Atomic size_t seen_claim;              /* the claim when a thief last looked ... */
    _Atomic uint64_t seen_ticks;            /* ... and when that was */

    uint64_t watched_serial; /* the keeper's only: the own map it saw here last ... */
    uint64_t watched_ticks;  /* ... and when it saw that first */

    struct fm_local_map own; /* used while `map` points here */
};

/* A thread that computes or has computed: of the application, or a worker of the pool. */
struct fm_local_thread {
    struct fm_local_thread *next; /* in the registry; constant once linked */
    struct fm_local_frame *base;  /* the outermost frame, made with the thread */
    _Atomic bool taken;           /* some living thread uses the record */
    _Atomic int worker;           /* index in the pool, -1 for the application's */

    /* What changes with each map, away from what others read to find the frames. */
    alignas(FM_LOCAL_LINE) struct fm_local_frame *top; /* innermost open frame; owner only */
    _Atomic int core;    /* core of the plan where it was last seen, -1 unknown */
    _Atomic int counted; /* its open maps that are shared */
};

/* The index of the element at a position of the map. */
static inline size_t fm_local_map_index(const struct fm_local_map *map, size_t i)
{
    return map->course == NULL ? map->base + i : map->course->place[i];
}

static inline struct fm_local_map *fm_local_frame_map(const struct fm_local_frame *frame)
{
    return atomic_load_explicit(&frame->map, memory_order_relaxed);
}

static inline uint64_t fm_local_map_serial(const struct fm_local_map *map)
{
    return atomic_load_explicit(&map->serial, memory_order_relaxed);
}

/* Whether the frame can hold what it says, for tests and for debugging: owner's view, under lock. */
bool fm_local_frame_is_valid(const struct fm_local_frame *frame);

#endif
