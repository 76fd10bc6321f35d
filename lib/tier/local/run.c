/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inner loops. What they add to the plain loop is the claim: a store, a load and a compare for each
 * element (and the exchange instead of the store in fenced mode), once per block for block functions.
 */
#include "tier/local/run.h"

#include <sched.h>

#include "tier/local/thread.h"

#define SPINS_BEFORE_YIELD 200
#define STRIDE 64 /* elements between looks at the clock in fenced mode */

const struct fm_tier_host *fm_local_host;
bool fm_local_asymmetric;

void fm_local_lock_slowly(struct fm_local_frame *frame)
{
    for (int spins = 0; !fm_local_try_lock(frame); spins++) {
        if (spins < SPINS_BEFORE_YIELD)
            fm_base_relax();
        else
            sched_yield(); /* the holder may have lost its processor */
    }
}

bool fm_local_frame_is_valid(const struct fm_local_frame *frame)
{
    const size_t limit = atomic_load_explicit(&frame->limit, memory_order_relaxed);
    const size_t start = atomic_load_explicit(&frame->start, memory_order_relaxed);
    const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    return fm_local_frame_map(frame) != NULL && start <= end &&
           end <= fm_local_frame_map(frame)->work->n && (limit == end || limit == 0);
}

/*
 * The claim [first, want) met a limit. Waits for the thief that set it, if any, and returns where the
 * claim ends now; `first` if nothing is left, and the frame is closed then.
 */
static size_t park(struct fm_local_frame *frame, size_t first, size_t want)
{
    struct fm_local_map *map = fm_local_frame_map(frame);
    __builtin_prefetch(&map->helpers); /* to be read next, if this is the end */
    atomic_store_explicit(&frame->parked, 1, memory_order_release);
    fm_local_lock(frame);
    atomic_store_explicit(&frame->parked, 0, memory_order_relaxed);
    size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
    if (atomic_load_explicit(&map->stop, memory_order_relaxed) && first < end) {
        atomic_fetch_add_explicit(&map->skipped, end - first, memory_order_relaxed);
        end = first;
        atomic_store_explicit(&frame->end, end, memory_order_relaxed);
    }
    const size_t claim = want < end ? want : end;
    atomic_store_explicit(&frame->claim, claim, memory_order_relaxed);
    atomic_store_explicit(&frame->limit, end, memory_order_relaxed);
    if (claim <= first)
        atomic_store_explicit(&frame->active, false, memory_order_relaxed);
    else
        atomic_store_explicit(&frame->fenced, frame->fence_next, memory_order_relaxed);
    fm_local_unlock(frame);
    return claim > first ? claim : first;
}

/* Says that elements below `end` are begun; true if that is within the limit. */
static inline bool claim_up_to(struct fm_local_frame *frame, size_t end, bool fenced)
{
    if (fenced) {
        __builtin_prefetch(&frame->limit,
                           1); /* a thief may have it; meanwhile the claim is fetched */
        (void)atomic_exchange_explicit(&frame->claim, end, memory_order_seq_cst);
        return end <= atomic_load_explicit(&frame->limit, memory_order_seq_cst);
    }
    atomic_store_explicit(&frame->claim, end, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* the thief's membarrier does the rest */
    return end <= atomic_load_explicit(&frame->limit, memory_order_relaxed);
}

static __attribute__((noinline, cold)) void element_failed(struct fm_local_map *map, size_t first,
                                                           size_t count, int code)
{
    if (!fm_local_host->failed(map->host_map, fm_local_map_index(map, first), count, code))
        return;
    atomic_store_explicit(&map->stop, true, memory_order_seq_cst);
    fm_local_interrupt(map);
}

/* Addresses are computed as integers: an absent array stays NULL by adding 0 to it. */
static inline const void *at(uintptr_t base)
{
    return (const void *)base; /* NOLINT(performance-no-int-to-ptr) */
}

/* The element that the owner has claimed last, of an element function. */
static inline size_t claimed(const struct fm_local_frame *frame)
{
    return atomic_load_explicit(&frame->claim, memory_order_relaxed) - 1;
}

/*
 * The loop itself, made once for each mode. Runs elements from the claim on until `stop`, or until a
 * claim meets a limit; returns the first element that it has not run, which the claim exceeds in the
 * second case.
 *
 * Six registers survive a call on x86-64, and a loop variable on the stack would cost more than
 * everything else here. So what need not be in one is read from memory as an operand (the map's fields,
 * `stop`), and the index of a failed element is asked back from the claim.
 */
static inline __attribute__((always_inline)) size_t loop(struct fm_local_frame *frame, size_t stop,
                                                         bool fenced)
{
    const struct fastmap_map *work = fm_local_frame_map(frame)->work;
    size_t i = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    uintptr_t in = (uintptr_t)work->in + i * work->in_size;
    uintptr_t out = (uintptr_t)work->out + i * work->out_size;
    frame->stop = stop;
    while (i < frame->stop) {
        i++;
        if (__builtin_expect(!claim_up_to(frame, i, fenced), 0))
            return claimed(frame);
        const int code = work->func(at(in), (void *)at(out), work->shared);
        if (__builtin_expect(code != 0, 0))
            element_failed(fm_local_frame_map(frame), claimed(frame), 1, code);
        in += work->in_size;
        out += work->out_size;
    }
    return i;
}

static __attribute__((noinline)) size_t loop_unfenced(struct fm_local_frame *frame, size_t stop)
{
    return loop(frame, stop, false);
}

static __attribute__((noinline)) size_t loop_fenced(struct fm_local_frame *frame, size_t stop)
{
    return loop(frame, stop, true);
}

static size_t run_elements(struct fm_local_frame *frame, size_t stop)
{
    for (;;) {
        const bool fenced = atomic_load_explicit(&frame->fenced, memory_order_relaxed);
        const size_t i = fenced ? loop_fenced(frame, stop) : loop_unfenced(frame, stop);
        if (i == atomic_load_explicit(&frame->claim, memory_order_relaxed))
            return i;
        if (park(frame, i, i + 1) == i)
            return SIZE_MAX;
        /* Claimed, but not run: the loop claims it again. */
        atomic_store_explicit(&frame->claim, i, memory_order_relaxed);
        if (stop - i > STRIDE && atomic_load_explicit(&frame->fenced, memory_order_relaxed))
            stop = i + STRIDE;
    }
}

/* One block: what lies between the claim and `stop`, as far as thieves have left it. */
static size_t run_block(struct fm_local_frame *frame, size_t stop)
{
    struct fm_local_map *map = fm_local_frame_map(frame);
    const struct fastmap_map *work = map->work;
    const size_t i = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    const size_t last = atomic_load_explicit(&frame->end, memory_order_relaxed);
    const size_t want = i >= last ? i + 1 : stop < last ? stop : last;
    size_t end = want;
    if (!claim_up_to(frame, want, atomic_load_explicit(&frame->fenced, memory_order_relaxed))) {
        end = park(frame, i, want);
        if (end == i)
            return SIZE_MAX;
    }
    frame->unit = end - i;
    const uintptr_t in = (uintptr_t)work->in + i * work->in_size;
    const uintptr_t out = (uintptr_t)work->out + i * work->out_size;
    const int code = work->block(at(in), (void *)at(out), map->base + i, end - i, work->shared);
    if (code != 0)
        element_failed(map, i, end - i, code);
    return end;
}

size_t fm_local_run(struct fm_local_frame *frame, size_t stop)
{
    return fm_local_frame_map(frame)->work->block != NULL ? run_block(frame, stop)
                                                          : run_elements(frame, stop);
}

void fm_local_set_mode(struct fm_local_frame *frame, double cost_ns)
{
    const bool fenced = atomic_load_explicit(&frame->fenced, memory_order_relaxed);
    const bool wanted =
        !fm_local_asymmetric || cost_ns > (fenced ? FM_LOCAL_FENCED_NS / 2 : FM_LOCAL_FENCED_NS);
    if (wanted == fenced)
        return;
    fm_local_lock(frame);
    frame->fence_next = wanted;
    atomic_store_explicit(&frame->fenced, wanted, memory_order_relaxed);
    fm_local_unlock(frame);
}

/* Where to look at the clock next: after each block, after a stride of elements whose claims have a
   price; cheap elements run through, and a thief that finds them dear changes the mode. */
static size_t next_stop(const struct fm_local_frame *frame, size_t i, double cost_ns)
{
    const struct fm_local_map *map = fm_local_frame_map(frame);
    if (map->work->block != NULL) {
        const size_t end = atomic_load_explicit(&frame->end, memory_order_relaxed);
        return i + fm_local_host->block(map->host_map, cost_ns, end > i ? end - i : 1);
    }
    return atomic_load_explicit(&frame->fenced, memory_order_relaxed) ? i + STRIDE : SIZE_MAX;
}

void fm_local_run_all(struct fm_local_frame *frame, double cost_ns)
{
    size_t i = atomic_load_explicit(&frame->claim, memory_order_relaxed);
    uint64_t then = fm_base_ticks();
    for (;;) {
        const size_t next = fm_local_run(frame, next_stop(frame, i, cost_ns));
        if (next == SIZE_MAX)
            return;
        const uint64_t now = fm_base_ticks();
        if (next > i)
            cost_ns = fm_base_ticks_to_ns(now - then) / (double)(next - i);
        fm_local_set_mode(frame, cost_ns);
        i = next;
        then = now;
    }
}

void fm_local_interrupt(const struct fm_local_map *map)
{
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire)) {
            if (!atomic_load_explicit(&f->active, memory_order_seq_cst))
                continue;
            fm_local_lock(f);
            if (atomic_load_explicit(&f->active, memory_order_acquire) &&
                fm_local_frame_map(f) == map)
                atomic_store_explicit(&f->limit, 0, memory_order_relaxed);
            fm_local_unlock(f);
        }
}
