/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One call from arguments to report.
 *
 * In-line first: the caller computes at once and alone. How it goes on depends on what is known about
 * the cost of an element, from a hint of the user's, from earlier maps of the function, or from nothing:
 *
 *   so cheap that sharing could not pay   run through, no look at the clock (the keeper would notice
 *                                         if the elements turned out dear)
 *   known and worth sharing               share before the first element
 *   unknown                               compute in batches that double, look at the clock after each,
 *                                         share as soon as that pays; a keeper watches meanwhile, so
 *                                         that one long element cannot hold up the others
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/failure.h"
#include "base/waited.h"
#include "engine/check.h"
#include "engine/engine.h"
#include "engine/history.h"
#include "engine/keeper.h"
#include "engine/map.h"
#include "engine/policy.h"
#include "engine/processes.h"
#include "engine/progress.h"
#include "engine/ranks.h"
#include "engine/reason.h"
#include "engine/world.h"
#include "sched/share.h"
#include "tier/local/local.h"
#include "tier/process/process.h"

#define BATCH_NS 1000.0          /* between looks at the clock, at first */
#define BATCH_MOST_NS 20000.0    /* later, while somebody else could help */
#define BATCH_ALONE_NS 1000000.0 /* where nobody could */
#define BATCH_TALK_NS 100000.0   /* where other ranks may want something */
#define WATCH_NS 1e6             /* longer maps are worth waking the keeper for */
#define SHOW_NS 2e8              /* or, where nobody could help, if only to show progress */
#define SAMPLE_EVERY 64          /* cheap maps that are timed all the same: costs change */
#define PREDICTED 4              /* elements that a prediction counts as, until there are more */
#define PLANNED 8.0              /* and this part of all of them, where a plan was made by it */
#define ALONE_EVERY 16 /* short maps worth sharing: one is computed alone, to see its cost */

int fm_engine_usable_width(const struct fm_engine_map *run)
{
    return run->map->n < 2 ? 1 : fm_engine_width(run->session);
}

const void *fm_engine_function(const struct fastmap_map *map)
{
    const void *function = NULL;
    memcpy(&function, map->func != NULL ? (const void *)&map->func : (const void *)&map->block,
           sizeof function);
    return function;
}

uintptr_t fm_engine_identity(const struct fastmap_map *map, bool in_processes)
{
    return (map->func != NULL ? (uintptr_t)map->func : (uintptr_t)map->block) + in_processes;
}

/* Cheap maps are left alone, except now and then. */
static bool needs_clock(const struct fm_engine_map *run, const struct fastmap_report *report,
                        int width)
{
    static _Thread_local unsigned calls __attribute__((tls_model("initial-exec")));
    if (report != NULL || run->session->settings.verbosity >= FASTMAP_VERBOSITY_LOUD)
        return true;
    if (run->cost_ns <= 0)
        return true;
    if (run->map->n > 1 && (double)run->map->n * run->cost_ns > FM_SCHED_TINY_NS)
        return true;
    if (width > 1 && !fm_engine_keeper_made())
        return true;
    return ++calls % SAMPLE_EVERY == 0;
}

/* Called between batches of a map that is still alone, with the elements that are left. */
static bool try_share(struct fm_engine_map *run, size_t left, int width)
{
    if (fm_local_is_shared(run->frame)) /* the keeper was faster */
        return true;
    if (width < 2 || run->cost_ns <= 0 ||
        !fm_engine_policy_pays(run->session, left, 0, run->cost_ns))
        return false;
    fm_local_share(run->frame);
    return true;
}

/* What the elements cost is known better than what a batch will last, so batches grow; over ranks their cost
   has been predicted where it matters. */
static double next_batch_ns(const struct fm_engine_map *run, double elapsed_ns, int width)
{
    if (run->process != NULL)
        return FM_SCHED_PARCEL_NS;
    const double alone = run->between != NULL ? BATCH_TALK_NS : BATCH_ALONE_NS;
    const double most = width < 2 || run->between != NULL ? alone : BATCH_MOST_NS;
    const double least = run->between != NULL && run->predicted_ns > 0 ? BATCH_MOST_NS : BATCH_NS;
    const double share = elapsed_ns / 16;
    return share < least ? least : share < most ? share : most;
}

/* What was predicted counts as some elements: the first ones alone may be anything. Where it was predicted
   for each, as a part of all, since one that was wrong may be dear. */
static double believed_ns(const struct fm_engine_map *run, double mean_ns, size_t done)
{
    const size_t n = run->map->n;
    const bool is_planned = run->course != NULL && run->course->border < n;
    const double work = fm_tier_course_work(run->course, 0, done);
    const double count = is_planned ? fmax((double)n / PLANNED, PREDICTED) : PREDICTED;
    return run->predicted_ns > 0 ? (mean_ns * work + run->predicted_ns * count) / (work + count)
                                 : mean_ns;
}

/* The mean of the map so far, or the pace of the last batch, of the elements from `begun` on, where that is
   slower; of an element of mean work. */
static void learn_cost(struct fm_engine_map *run, size_t begun, size_t done, uint64_t batch_ticks,
                       uint64_t now)
{
    const double work = fm_tier_course_work(run->course, begun, done);
    const double batch_ns = fm_base_ticks_to_ns(now - batch_ticks);
    const double pace = batch_ns / work;
    const double mean =
        fm_base_ticks_to_ns(now - run->begun_ticks) / fm_tier_course_work(run->course, 0, done);
    run->cost_ns = pace > mean ? pace : mean;
    atomic_store_explicit(&run->mean_ns, believed_ns(run, mean, done), memory_order_relaxed);
    if (run->spread != NULL)
        fm_sched_spread_note(run->spread, done - begun, pace * (double)(done - begun));
    fm_local_set_cost(run->frame, run->cost_ns, run->begun_ticks);
}

/* Of the short maps that would be shared, some are not: see fm_sched_believes(). */
static bool stays_alone(const struct fm_engine_map *run)
{
    static _Thread_local unsigned calls __attribute__((tls_model("initial-exec")));
    const double expected_ns = (double)run->map->n * run->cost_ns;
    return run->cost_ns > 0 && run->map->element_seconds <= 0 && expected_ns < FM_SCHED_SHORT_NS &&
           ++calls % ALONE_EVERY == 0;
}

/* The caller's own span. Returns the nanoseconds for which it had no processor, as far as known. */
static uint64_t compute_timed(struct fm_engine_map *run, int width)
{
    const size_t n = run->map->n;
    const bool alone = stays_alone(run);
    size_t left = n;
    uint64_t now = run->begun_ticks;
    double batch_ns = next_batch_ns(run, 0, width);
    if (run->cost_ns > 0)
        fm_local_set_cost(run->frame, run->cost_ns, run->begun_ticks);
    while (left > 0 && (alone || !try_share(run, left, width) || run->between != NULL)) {
        const size_t begun = fm_local_begun(run->frame);
        const size_t batch = fm_sched_batch(run->cost_ns, batch_ns, begun);
        const uint64_t then = now;
        left = fm_local_advance(run->frame, batch);
        now = fm_base_ticks();
        const size_t done = fm_local_begun(run->frame);
        if (done > begun)
            learn_cost(run, begun, done, then, now);
        const double elapsed_ns = fm_base_ticks_to_ns(now - run->begun_ticks);
        batch_ns = next_batch_ns(run, elapsed_ns, width);
        if (width > 1 ? elapsed_ns > WATCH_NS
                      : elapsed_ns > SHOW_NS && fm_engine_progress_wanted(run->session))
            fm_engine_keeper_call();
        if (run->between != NULL) {
            run->between(run->context);
            now = fm_base_ticks();
        }
    }
    if (left == 0)
        return 0;
    const bool lasting = (double)left * run->cost_ns > FM_LOCAL_LASTING_NS;
    const uint64_t waited_ns = lasting ? fm_base_waited_ns() : 0;
    fm_local_advance_all(run->frame, run->cost_ns);
    return lasting ? fm_base_waited_ns() - waited_ns : 0;
}

/* What the map took, and what the loop would have: the threads' busy time, the caller's being own_ns. */
static void account(struct fm_engine_map *run, const struct fm_local_result *result, double own_ns,
                    uint64_t ended, struct fastmap_report *report)
{
    const double busy_ns = own_ns + (double)result->busy_ns;
    const size_t there =
        run->process != NULL ? atomic_load_explicit(&run->skipped, memory_order_relaxed) : 0;
    const size_t skipped = result->skipped + there;
    const size_t taken = atomic_load_explicit(&run->taken, memory_order_relaxed);
    const double taken_work = atomic_load_explicit(&run->taken_work, memory_order_relaxed);
    const size_t computed = run->map->n - taken - skipped;
    run->left_out = skipped;
    if (computed > 0) {
        const double work = fm_tier_course_work(run->course, 0, run->map->n) - taken_work;
        const double done = work * (double)computed / (double)(computed + skipped);
        const double cost_ns = busy_ns / done;
        if (fm_sched_believes(result->stolen > 0, busy_ns, cost_ns, run->predicted_ns))
            fm_engine_history_note(run->identity, cost_ns, run->spread);
        fm_engine_policy_note(run->map->n, cost_ns, result->stolen > 0, run->begun_ticks, ended);
    }
    report->seconds = fm_base_ticks_to_ns(ended - run->begun_ticks) * 1e-9;
    report->loop_seconds = busy_ns * 1e-9;
    report->workers = result->workers;
    report->spans_stolen = result->stolen;
    report->elements = computed;
    fm_engine_failures_tell(run, report);
}

int fm_engine_outcome(const struct fm_engine_map *run)
{
    const int code = run->process != NULL ? atomic_load(&run->code) : 0;
    if (code != 0)
        return fm_base_fail(code, "%s", fm_process_sentence(run->process));
    if (run->failed == 0)
        return 0;
    char how[FM_BASE_FAILURE_BYTES];
    const struct fastmap_failure *first = &run->failures[0];
    fm_base_failure_describe(first, how);
    return fm_base_fail(FASTMAP_ERR_ELEMENT,
                        "%zu of %zu elements failed; the first is %zu, which %s: the report of "
                        "fastmap_run() lists more",
                        run->failed, run->map->n, first->index, how);
}

static void take_off_display(struct fm_engine_map *run)
{
    if (atomic_load_explicit(&run->displayed, memory_order_relaxed))
        fm_engine_keeper_map_over();
}

void fm_engine_compute(struct fm_engine_map *run, int width, struct fastmap_report *report)
{
    struct fm_local_result result;
    if (width > 1 && (run->cost_ns <= 0 || !fm_engine_keeper_made() ||
                      (double)run->map->n * run->cost_ns > WATCH_NS))
        fm_engine_keeper_call();
    run->begun_ticks = fm_base_ticks();
    const uint64_t waited_ns = compute_timed(run, width);
    const double busy_ns =
        fm_base_ticks_to_ns(fm_base_ticks() - run->begun_ticks) - (double)waited_ns;
    fm_local_finish(run->frame, &result);
    take_off_display(run);
    account(run, &result, busy_ns, fm_base_ticks(), report);
}

/* Not inlined, nor is its report cleared: a map that is not timed should not pay for one that is. */
__attribute__((noinline)) int fm_engine_run_timed(struct fm_engine_map *run, int width,
                                                  struct fastmap_report *report)
{
    struct fastmap_report own;
    struct fm_sched_spread spread = {0};
    run->spread = &spread;
    if (report == NULL) {
        own.size = sizeof own;
        report = &own;
    }
    fm_engine_compute(run, width, report);
    run->spread = NULL;
    report->away = 0;
    report->cloud = 0;
    report->dollars = 0;
    report->ranks = 1;
    fm_engine_reason_local(run, report);
    if (!fm_local_inside())
        fm_engine_closing_say(run->session, run->map->label, report);
    return fm_engine_outcome(run);
}

static int run_untimed(struct fm_engine_map *run)
{
    fm_local_complete(run->frame);
    fm_local_finish(run->frame, NULL);
    take_off_display(run);
    return fm_engine_outcome(run);
}

int fm_engine_run(struct fastmap_session *session, const struct fastmap_map *map,
                  struct fastmap_report *report)
{
    int error = fm_engine_check(map, report);
    if (error != 0)
        return error;
    if (session == NULL && (session = fm_engine_global(&error)) == NULL)
        return error;
    struct fm_engine_world *world = fm_engine_world(session);
    if (__builtin_expect(world != NULL, 0) && fm_engine_world_can(world, session, map))
        return fm_engine_ranks_run(world, session, map, report);
    if (map->n == 0) {
        if (report != NULL)
            *report = FASTMAP_REPORT();
        return 0;
    }
    if (__builtin_expect(fm_engine_processes_wanted(session, map), 0))
        return fm_engine_processes_run(session, map, report);
    if (map->element_timeout > 0)
        return fm_engine_refuse_timeout();
    struct fm_engine_map run;
    run.session = session;
    run.map = map;
    run.failed = 0;
    run.listed = 0;
    run.rank = 0;
    run.process = NULL;
    run.identity = fm_engine_identity(map, false);
    run.between = NULL;
    run.gauge = NULL;
    run.spread = NULL;
    run.course = NULL;
    atomic_store_explicit(&run.taken, 0, memory_order_relaxed);
    atomic_store_explicit(&run.taken_work, 0, memory_order_relaxed);
    atomic_store_explicit(&run.stopped, false, memory_order_relaxed);
    atomic_store_explicit(&run.displayed, false, memory_order_relaxed);
    run.cost_ns = map->element_seconds > 0 ? map->element_seconds * 1e9
                                           : fm_engine_history_cost_ns(run.identity);
    run.predicted_ns = run.cost_ns;
    const int width = fm_engine_usable_width(&run);
    run.frame = fm_local_open(map, 0, width, &run, run.cost_ns);
    if (run.frame == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY,
                            "no memory for this thread's bookkeeping: free some and try again");
    return needs_clock(&run, report, width) ? fm_engine_run_timed(&run, width, report)
                                            : run_untimed(&run);
}

size_t fm_engine_index(void)
{
    return fm_local_index();
}
