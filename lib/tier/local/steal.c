/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking elements from another thread's frame. Whether it is worth while is the host's decision; here
 * is what it is told (the cost of an element as seen from outside), and how the span changes hands.
 */
#include "tier/local/steal.h"

#include <linux/membarrier.h>
#include <math.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/waited.h"
#include "tier/local/futex.h"
#include "tier/local/local.h"
#include "tier/local/pool.h"
#include "tier/local/run.h"
#include "tier/local/thread.h"

#define LATENCY_NS 300.0         /* until a thief computes, when the owner need not be asked */
#define PARK_PATIENCE_NS 10000.0 /* then a barrier by the kernel, which costs about as much */
#define SAMPLE_NS 1000.0         /* between looks at a victim's progress */
#define FENCED_TRIES 3
#define BEGUN 0.5

void fm_local_barrier_register(void)
{
    fm_local_asymmetric =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

size_t fm_local_unclaimed(const struct fm_local_frame *frame)
{
    const size_t claim = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    return claim < end ? end - claim : 0;
}

static double cost_since(size_t from, uint64_t from_ticks, size_t claim, uint64_t now)
{
    const size_t done = claim > from ? claim - from : 1;
    return now > from_ticks ? fm_base_ticks_to_ns(now - from_ticks) / (double)done : 0;
}

/*
 * What an element costs the owner now: the larger of the average over its span and the pace since
 * somebody last looked. The second finds the heavy block behind a million cheap elements. Before the
 * first element is done there is neither, and what was expected counts.
 */
double fm_local_observed_cost_ns(struct fm_local_frame *frame, uint64_t now)
{
    const size_t claim = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    const uint64_t start_ticks = atomic_load_explicit(&frame->start_ticks, memory_order_relaxed);
    const size_t start = atomic_load_explicit(&frame->start, memory_order_relaxed);
    const double average = start_ticks != 0 ? cost_since(start, start_ticks, claim, now) : 0;
    const uint64_t seen_ticks = atomic_load_explicit(&frame->seen_ticks, memory_order_relaxed);
    const size_t seen = atomic_load_explicit(&frame->seen_claim, memory_order_relaxed);
    if (seen_ticks == 0 || now - seen_ticks > fm_base_ns_to_ticks(SAMPLE_NS)) {
        /* An owner that stands still keeps its old mark, so that the wait adds up. */
        if (seen_ticks == 0 || seen != claim) {
            atomic_store_explicit(&frame->seen_claim, claim, memory_order_relaxed);
            atomic_store_explicit(&frame->seen_ticks, now, memory_order_relaxed);
        }
    }
    const double pace = seen_ticks != 0 ? cost_since(seen, seen_ticks, claim, now) : 0;
    const double expected =
        claim <= start + 1 ? atomic_load_explicit(&frame->expected_ns, memory_order_relaxed) : 0;
    return fmax(fmax(pace, average), expected);
}

static size_t worth(struct fm_local_frame *frame, size_t claim, double cost_ns)
{
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    if (claim >= end || cost_ns <= 0)
        return 0;
    double latency_ns = LATENCY_NS;
    if (!atomic_load_explicit(&frame->fenced, memory_order_relaxed))
        latency_ns += cost_ns < PARK_PATIENCE_NS ? cost_ns : 2 * PARK_PATIENCE_NS;
    return fm_local_host->grant(end - claim, cost_ns, latency_ns);
}

/* Of elements that are known to differ, and to be long, so many that both have as much work, the one that the
   owner is in included; and with them what is meant for others. */
static size_t half(const struct fm_tier_course *course, size_t claim, size_t end)
{
    const bool is_whole = claim < course->border && course->border < end;
    const size_t stop = is_whole ? course->border : end;
    const double part = is_whole ? 1 : BEGUN; /* of that element, which at first is all to do */
    const double begun = claim > 0 ? part * fm_tier_course_work(course, claim - 1, claim) : 0;
    const double left = fm_tier_course_work(course, claim, stop);
    return end - stop + fm_tier_course_highest(course, claim, stop, (left + begun) / 2);
}

/* Under lock, what to take: `want` of the elements above the claim; 0: as many as it is worth to the calling
   thief. */
static size_t wanted(struct fm_local_frame *frame, size_t claim, double cost_ns, size_t want)
{
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    const size_t left = claim < end ? end - claim : 0;
    const struct fm_tier_course *course = fm_local_frame_map(frame)->course;
    if (want > 0 || left == 0)
        return want < left ? want : left;
    return course != NULL ? half(course, claim, end) : worth(frame, claim, cost_ns);
}

/* Makes the claim of an unfenced owner final: it parks, or the kernel runs a barrier on its processor. An
   owner that takes from itself is between elements. The limit is 0. */
static void settle_claim(struct fm_local_frame *frame)
{
    if (frame->thread == fm_local_self)
        return;
    const uint64_t patience = fm_base_ns_to_ticks(PARK_PATIENCE_NS);
    const uint64_t begun = fm_base_ticks();
    while (atomic_load_explicit(&frame->parked, memory_order_acquire) == 0) {
        if (fm_base_ticks() - begun > patience) {
            (void)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
            return;
        }
        fm_base_relax();
    }
}

/* Under lock, the owner unfenced: what is taken from the end of the span. The limit stays 0, so that
   the owner parks at its next claim and takes over the mode. */
static size_t take_unfenced(struct fm_local_frame *frame, double cost_ns, size_t want)
{
    atomic_store_explicit(&frame->limit, 0, memory_order_seq_cst);
    settle_claim(frame);
    const size_t claim = atomic_load_explicit(&frame->claim, memory_order_seq_cst);
    return wanted(frame, claim, cost_ns, want);
}

/* Under lock, the owner fenced: sets limits until one is above the claim. */
static size_t take_fenced(struct fm_local_frame *frame, size_t claim, double cost_ns, size_t want)
{
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    for (int i = 0; i < FENCED_TRIES; i++) {
        const size_t taken = wanted(frame, claim, cost_ns, want);
        if (taken == 0)
            break;
        atomic_store_explicit(&frame->limit, end - taken, memory_order_seq_cst);
        claim = atomic_load_explicit(&frame->claim, memory_order_seq_cst);
        if (claim <= end - taken)
            return taken;
    }
    atomic_store_explicit(&frame->limit, end, memory_order_relaxed);
    return 0;
}

/* Under lock: moves the end of the span down and returns by how much. */
static size_t take(struct fm_local_frame *frame, size_t claim, double cost_ns, size_t want)
{
    const bool fenced = atomic_load_explicit(&frame->fenced, memory_order_relaxed);
    const size_t taken =
        fenced ? take_fenced(frame, claim, cost_ns, want) : take_unfenced(frame, cost_ns, want);
    if (taken == 0)
        return 0;
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed) - taken;
    frame->fence_next = !fm_local_asymmetric || cost_ns > FM_LOCAL_FENCED_NS;
    atomic_store_explicit(&frame->end, end, memory_order_relaxed);
    return taken;
}

static bool descends_from(const struct fm_local_map *map, const struct fm_local_map *ancestor)
{
    while (map != NULL && map != ancestor)
        map = map->parent;
    return map != NULL;
}

/* Whether a thief may take from this map. A thread that waits for its own map takes from nothing else:
   it could be held up for long by an element that nobody waits for. */
static bool admits(const struct fm_local_map *map, const struct fm_local_map *only)
{
    if (!atomic_load_explicit(&map->shared, memory_order_relaxed) ||
        atomic_load_explicit(&map->stop, memory_order_relaxed))
        return false;
    return only == NULL || descends_from(map, only);
}

static int helpers_in(uint32_t helpers)
{
    return (int)(helpers & ~FM_LOCAL_OWNER_SLEEPS);
}

/* Takes one of the map's places for helpers. Its owner needs none: it always has one. */
static bool enter(const struct fm_local_thread *thief, struct fm_local_map *map)
{
    if (map->owner == thief)
        return true;
    uint32_t helpers = atomic_load_explicit(&map->helpers, memory_order_relaxed);
    do {
        if (helpers_in(helpers) + 1 >= map->width)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&map->helpers, &helpers, helpers + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* Gives the place back: the last touch of a map, whose owner may then return and use the memory again. */
static void leave(const struct fm_local_thread *thief, struct fm_local_map *map)
{
    if (map->owner == thief)
        return;
    const uint32_t before = atomic_fetch_sub_explicit(&map->helpers, 1, memory_order_release);
    if (before == (FM_LOCAL_OWNER_SLEEPS | 1u))
        fm_local_futex_wake(&map->helpers, 1);
}

/* A span of a map in a thief's hands: the map cannot end before it is given back by leave(). */
struct loot {
    struct fm_local_map *map;
    size_t first;
    size_t count;
    int workers; /* that compute the map now, the thief included */
};

/* What the span adds to the map's accounts. */
static void close_account(const struct loot *loot, double busy_ns, unsigned raised)
{
    struct fm_local_map *map = loot->map;
    int most = atomic_load_explicit(&map->workers, memory_order_relaxed);
    while (most < loot->workers &&
           !atomic_compare_exchange_weak_explicit(&map->workers, &most, loot->workers,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    atomic_fetch_add_explicit(&map->stolen, 1, memory_order_relaxed);
    if (busy_ns > 0)
        atomic_fetch_add_explicit(&map->busy_ns, (uint64_t)busy_ns, memory_order_relaxed);
    if (raised != 0)
        atomic_fetch_or_explicit(&map->raised, raised, memory_order_relaxed);
}

static void run_stolen(struct fm_local_frame *frame, const struct loot *loot, double cost_ns,
                       double work_ns)
{
    struct fm_local_map *map = loot->map;
    __builtin_prefetch(&map->raised, 1);
    const struct fm_base_fenv old = fm_base_fenv_swap(&map->fenv);
    const bool lasting = work_ns > FM_LOCAL_LASTING_NS;
    const uint64_t waited_ns = lasting ? fm_base_waited_ns() : 0;
    const uint64_t begun = fm_base_ticks();
    fm_local_frame_open(frame, map, loot->first, loot->first + loot->count,
                        cost_ns > FM_LOCAL_FENCED_NS, memory_order_seq_cst);
    atomic_store_explicit(&frame->start_ticks, begun, memory_order_relaxed);
    atomic_store_explicit(&frame->expected_ns, cost_ns, memory_order_relaxed);
    /* A stop that was called before this frame could be seen. */
    if (atomic_load_explicit(&map->stop, memory_order_seq_cst))
        atomic_store_explicit(&frame->limit, 0, memory_order_relaxed);
    fm_local_run_all(frame, cost_ns);
    double busy_ns = fm_base_ticks_to_ns(fm_base_ticks() - begun);
    if (lasting)
        busy_ns -= (double)(fm_base_waited_ns() - waited_ns);
    close_account(loot, busy_ns, fm_base_fenv_leave(&old));
}

static struct loot grab(const struct fm_local_thread *thief, struct fm_local_frame *victim,
                        const struct fm_local_map *only, double cost_ns)
{
    struct loot loot = {0};
    if (!fm_local_try_lock(victim))
        return loot;
    const bool active = atomic_load_explicit(&victim->active, memory_order_acquire);
    struct fm_local_map *map = fm_local_frame_map(victim);
    if (active && admits(map, only) && enter(thief, map)) {
        const size_t claim = atomic_load_explicit(&victim->claim, memory_order_relaxed);
        __builtin_prefetch(map->work);
        __builtin_prefetch(&map->work->shared);
        const uint32_t helpers = atomic_load_explicit(&map->helpers, memory_order_relaxed);
        loot.workers = helpers_in(helpers) + 1;
        loot.map = map;
        loot.count = take(victim, claim, cost_ns, 0);
        loot.first = atomic_load_explicit(&victim->end, memory_order_relaxed);
        if (loot.count == 0)
            leave(thief, map); /* it is not the last: the victim is still inside */
    }
    fm_local_unlock(victim);
    return loot;
}

size_t fm_local_seize(struct fm_local_frame *victim, const struct fm_local_map *map, size_t want,
                      size_t *first)
{
    if (!fm_local_try_lock(victim))
        return 0;
    size_t taken = 0;
    if (atomic_load_explicit(&victim->active, memory_order_acquire) &&
        fm_local_frame_map(victim) == map) {
        const double cost_ns = atomic_load_explicit(&victim->expected_ns, memory_order_relaxed);
        const size_t claim = atomic_load_explicit(&victim->claim, memory_order_relaxed);
        taken = take(victim, claim, cost_ns, want);
        *first = atomic_load_explicit(&victim->end, memory_order_relaxed);
    }
    fm_local_unlock(victim);
    return taken;
}

void fm_local_fetch(const struct fm_local_thread *victim)
{
    const struct fm_local_frame *frame = victim->base;
    __builtin_prefetch(&frame->active);
    __builtin_prefetch(&frame->claim);
    __builtin_prefetch(&frame->limit, 1);
    __builtin_prefetch(&frame->own.work);
    __builtin_prefetch(&frame->own.helpers, 1);
}

bool fm_local_steal(struct fm_local_thread *thief, struct fm_local_frame *victim,
                    const struct fm_local_map *only)
{
    if (!atomic_load_explicit(&victim->active, memory_order_relaxed) ||
        fm_local_unclaimed(victim) == 0)
        return false;
    const size_t claim = atomic_load_explicit(&victim->claim, memory_order_relaxed);
    const double cost_ns = fm_local_observed_cost_ns(victim, fm_base_ticks());
    if (worth(victim, claim, cost_ns) == 0)
        return false;
    struct fm_local_frame *frame = fm_local_frame_push(thief);
    if (frame == NULL)
        return false;
    const struct loot loot = grab(thief, victim, only, cost_ns);
    const double work_ns = (double)loot.count * cost_ns;
    if (loot.count > 0) {
        fm_local_pool_begin(frame, work_ns);
        run_stolen(frame, &loot, cost_ns, work_ns);
    }
    fm_local_frame_pop(frame);
    if (loot.count == 0)
        return false;
    leave(thief, loot.map);
    fm_local_pool_end(frame, work_ns);
    return true;
}

bool fm_local_steal_from(struct fm_local_thread *thief, struct fm_local_thread *victim,
                         const struct fm_local_map *only)
{
    for (struct fm_local_frame *f = victim->base; f != NULL;
         f = atomic_load_explicit(&f->inner, memory_order_acquire))
        if (fm_local_steal(thief, f, only))
            return true;
    return false;
}
