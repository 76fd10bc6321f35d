/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map over ranks, seen from one of them. The scheduler (sched/ranks.h) decides what is asked and given;
 * the local tier computes; the tier of ranks carries messages; here they meet. group.h tells of what and in
 * which files.
 *
 * The calling thread talks between batches of elements and while it has nothing to do. Results of a job
 * return as a whole to whoever gave it. The owner's output array is written only by its own process.
 */
#include "engine/ranks.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/blocks.h"
#include "engine/check.h"
#include "engine/cloud.h"
#include "engine/history.h"
#include "engine/letters.h"
#include "engine/processes.h"
#include "engine/progress.h"
#include "engine/question.h"
#include "tier/local/local.h"
#include "tier/process/process.h"

#define RUN_BYTES ((size_t)32 << 20) /* of one message, about: large enough for full bandwidth */
#define RUN_BYTES_MOST ((size_t)1 << 30)
#define BYTE_NS 0.4       /* packed, moved and unpacked */
#define AWAY_SECONDS 10.0 /* then ranks that have not come are named */
/* After a map that is complete only such messages need have left: the end is one; a larger one carries what
   was computed twice, and goes on without us. */
#define SMALL_BYTES ((size_t)4096)
#define GUESS_NS 1e6      /* an element's cost, where nobody here computes one */
#define SHORT_NS 100000.0 /* a shorter map is over before anybody would miss this rank */

/* ---- Computing ---- */

static struct fm_engine_job *next_job(struct fm_engine_group *group)
{
    pthread_mutex_lock(&group->world->mutex);
    struct fm_engine_job *job = fm_engine_cloud_is_alone(group->cloud) ? NULL : group->queue;
    if (job != NULL) {
        group->queue = job->next;
        job->next = NULL;
        if (job->run.cost_ns <= 0)
            job->run.cost_ns = group->sched.cost_ns;
        /* Opened under the mutex: nothing can be taken in between. */
        job->run.frame =
            fm_local_open_course(&job->work, job->first, job->run.course,
                                 fm_engine_usable_width(&job->run), &job->run, job->run.cost_ns);
        if (job->run.frame != NULL)
            group->current = job;
        else
            fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_MEMORY);
        job = group->current;
    }
    pthread_mutex_unlock(&group->world->mutex);
    return job;
}

/* Whether the job takes no longer than that, as far as known. */
static bool is_over_in(const struct fm_engine_job *job, double ns)
{
    return job->work.n == 0 ||
           (job->run.cost_ns > 0 && (double)job->work.n * job->run.cost_ns < ns);
}

static void compute(struct fm_engine_group *group, struct fm_engine_job *job)
{
    if (!group->ported && group->world->is.any_thread && !is_over_in(job, FM_ENGINE_SILENT_NS)) {
        group->ported = true;
        fm_engine_porter_call(group);
    }
    struct fastmap_report report;
    struct fm_engine_map *run = &job->run;
    const size_t here = job->work.n;
    fm_engine_compute(run, fm_engine_usable_width(run), &report);
    pthread_mutex_lock(&group->world->mutex);
    const size_t mine = here - atomic_load_explicit(&run->taken, memory_order_relaxed);
    job->skipped += run->left_out;
    job->busy_ns += report.loop_seconds * 1e9;
    group->workers = report.workers > group->workers ? report.workers : group->workers;
    group->stolen += report.spans_stolen;
    if (atomic_load_explicit(&run->code, memory_order_relaxed) != 0) {
        (void)snprintf(group->why, sizeof group->why, "%s", fm_process_sentence(group->process));
        fm_sched_ranks_fail(&group->sched, atomic_load(&run->code));
    }
    if (atomic_load_explicit(&run->stopped, memory_order_relaxed))
        fm_sched_ranks_stop(&group->sched);
    if (group->sched.code == 0 && !job->over)
        fm_engine_job_deliver(group, job, mine);
    group->current = NULL;
    fm_engine_job_release(group, job);
    fm_engine_talk_decide(group);
    pthread_mutex_unlock(&group->world->mutex);
}

/* ---- Taking part ---- */

/* Neighbours below that have not come, as far as they can be told apart from silent ones. */
static void name_missing(const struct fm_engine_group *group)
{
    char list[128];
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; i < group->sched.edge_count && used + 16 < sizeof list; i++)
        if (!group->sched.edges[i].heard)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used > 0 ? ", " : "",
                                     group->sched.edges[i].rank);
    if (used > 0)
        fm_base_log(group->session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                    "rank %d has waited %.0f s for rank %s to come to the map: under MPI a map is "
                    "collective, every rank makes the call (with n = 0 where it owns nothing); "
                    "set ranks = OFF for maps of one rank",
                    group->world->is.rank, AWAY_SECONDS, list);
}

/* The porter need not look while this thread does. */
static void wait_message(struct fm_engine_group *group, double idle_ns)
{
    atomic_store_explicit(&group->waiting, true, memory_order_relaxed);
    fm_engine_wait_message(group->world, group->tag, idle_ns,
                           atomic_load_explicit(&group->due_ns, memory_order_relaxed));
    atomic_store_explicit(&group->waiting, false, memory_order_relaxed);
}

/* While this thread has nothing to compute. */
static void show_progress(struct fm_engine_group *group)
{
    struct fm_engine_gauge *gauge = &group->gauge;
    struct fm_engine_progress progress = {.label = group->map->label};
    fm_engine_progress_gauge(gauge, &progress);
    if (gauge->n == 0 || progress.seconds < atomic_load(&gauge->due_s) ||
        !fm_engine_progress_wanted(group->session))
        return;
    pthread_mutex_lock(&group->world->mutex);
    fm_engine_talk_gauge(group);
    pthread_mutex_unlock(&group->world->mutex);
    fm_engine_progress_gauge(gauge, &progress);
    atomic_store(&gauge->due_s, fm_engine_progress_show(group->session, &progress));
}

static void take_part(struct fm_engine_group *group)
{
    uint64_t idle_since = fm_base_ticks();
    bool named = false;
    for (;;) {
        struct fm_engine_job *job = next_job(group);
        if (job != NULL) {
            compute(group, job);
            idle_since = fm_base_ticks();
            continue;
        }
        const bool any = fm_engine_talk_poll(group);
        if (fm_sched_ranks_is_through(&group->sched)) {
            fm_base_status_clear();
            return;
        }
        show_progress(group);
        if (any)
            idle_since = fm_base_ticks();
        const double idle_ns = fm_base_ticks_to_ns(fm_base_ticks() - idle_since);
        if (!any)
            wait_message(group, idle_ns);
        if (!named && idle_ns > AWAY_SECONDS * 1e9) {
            name_missing(group);
            named = true;
        }
    }
}

/* ---- The call ---- */

static void describe_link(struct fm_engine_group *group)
{
    const size_t bytes = group->map->in_size + group->map->out_size;
    struct fm_sched_link *link = &group->sched.link;
    link->element_ns = (double)bytes * BYTE_NS;
    link->run_most = bytes == 0               ? SIZE_MAX
                     : bytes > RUN_BYTES_MOST ? 0
                     : bytes > RUN_BYTES      ? 1
                                              : RUN_BYTES / bytes;
}

/* Ranks of MPI would have to be told of it, and tell what they have learned. */
static struct fm_engine_course *course_of(const struct fm_engine_group *group, double cost_ns)
{
    if (group->cloud == NULL || group->world->is.size > 1 || group->process != NULL ||
        group->own.work.n != group->map->n)
        return NULL;
    struct fm_sched_machine machine;
    const bool any_order = fm_engine_purse_machine(group->cloud, &machine);
    return fm_engine_course_begin(group->map, fm_engine_identity(group->map, false), cost_ns,
                                  any_order ? &machine : NULL);
}

static bool enter(struct fm_engine_group *group, double cost_ns)
{
    struct fm_engine_world *world = group->world;
    fm_engine_share_take(group);
    group->tag = fm_engine_letters_tag(world);
    world->maps++;
    group->gauge.n = group->own.work.n;
    group->gauge.begun_ticks = group->begun_ticks;
    atomic_store(&group->gauge.due_s, fm_engine_progress_due(group->session, 0));
    fm_engine_question_begin(group);
    const bool computes = !fm_engine_cloud_enter(group);
    const int workers = fm_engine_width(group->session);
    if (!fm_sched_ranks_init(&group->sched, &fm_engine_talk_ports, group, world->edges,
                             world->edge_count + (group->cloud != NULL ? 1 : 0),
                             computes ? workers : 0, group->own.work.n))
        return false;
    group->sched.jobs[0].first = group->own.first;
    describe_link(group);
    if (!fm_engine_share_prepare(group))
        return false;
    group->course = course_of(group, cost_ns);
    if (group->course != NULL)
        cost_ns = group->course->mean_ns;
    group->sched.cost_ns = cost_ns > 0 || computes ? cost_ns : GUESS_NS;
    group->own.in_place =
        group->map->n > 0 && group->map->in != NULL && group->map->in == group->map->out;
    fm_engine_job_start(group, &group->own, cost_ns);
    if (!fm_engine_job_keep(group, &group->own))
        return false;
    pthread_mutex_lock(&world->mutex);
    fm_engine_talk_hello(group, is_over_in(&group->own, SHORT_NS));
    fm_engine_letters_deliver(group);
    pthread_mutex_unlock(&world->mutex);
    return true;
}

static void leave(struct fm_engine_group *group)
{
    pthread_mutex_lock(&group->world->mutex);
    fm_engine_cloud_leave(group);
    pthread_mutex_unlock(&group->world->mutex);
    const struct fm_tier_ranks *tier = group->world->tier;
    while (!tier->is_flushed(group->sched.code == 0 ? SMALL_BYTES : SIZE_MAX))
        sched_yield();
    for (int i = 0; i < group->job_slots; i++)
        if (group->jobs[i] != NULL && group->jobs[i] != &group->own) /* nobody wants them */
            fm_engine_job_drop(group->jobs[i]);
    fm_engine_block_forget(group);
    fm_engine_course_end(group->course);
    free(group->counts);
    free(group->tallies);
    free(group->jobs);
    fm_sched_ranks_free(&group->sched);
}

static int outcome(const struct fm_engine_group *group)
{
    const int code = group->sched.code;
    if (code == 0)
        return fm_engine_outcome(&group->own.run);
    if (code == FASTMAP_ERR_RANKS)
        return fm_base_fail(code,
                            "the ranks do not call the same map: %s; call fastmap with the same "
                            "function, sizes and shared block on all ranks, or set ranks = OFF",
                            group->differs[0] != '\0' ? group->differs
                                                      : "other ranks have found a difference");
    if (group->why[0] != '\0')
        return fm_base_fail(code, "%s", group->why);
    if (code != FASTMAP_ERR_MEMORY)
        return fm_base_fail(
            code, "another rank of the job has ended the map, which could not go on in its "
                  "worker processes: it says why");
    return fm_base_fail(code, "a rank of the job has no memory for elements of other ranks: free "
                              "some, or run fewer ranks on a node");
}

static void fill(struct fm_engine_group *group, struct fastmap_report *report)
{
    const struct fm_engine_job *own = &group->own;
    report->elements = group->map->n - own->skipped;
    fm_engine_failures_tell(&own->run, report);
    report->seconds = fm_base_ticks_to_ns(fm_base_ticks() - group->begun_ticks) * 1e-9;
    report->loop_seconds = own->busy_ns * 1e-9;
    report->workers = group->workers;
    report->spans_stolen = group->stolen;
    report->away = own->away;
    report->cloud = own->cloud;
    report->dollars = fm_engine_gateway_dollars(group);
    report->ranks = group->world->is.size;
    fm_engine_reason_report(group, report);
}

/* Ends the map everywhere; what the matter is, the caller has said. */
static void refuse(struct fm_engine_group *group, int error)
{
    pthread_mutex_lock(&group->world->mutex);
    fm_sched_ranks_fail(&group->sched, error);
    pthread_mutex_unlock(&group->world->mutex);
}

static void set_busy(struct fm_engine_world *world, bool busy)
{
    pthread_mutex_lock(&world->mutex);
    world->busy = busy;
    pthread_mutex_unlock(&world->mutex);
}

/* The whole of a map, for which the terms and the opening are there. error: this rank cannot take part, and
   the others are to know. */
static int take_map(struct fm_engine_group *group, double cost_ns, int error,
                    struct fastmap_report *report)
{
    const struct fastmap_map *map = group->map;
    group->begun_ticks = fm_base_ticks();
    if (!enter(group, cost_ns)) {
        fm_base_log(FASTMAP_VERBOSITY_QUIET, FASTMAP_VERBOSITY_QUIET,
                    "no memory to begin a map over ranks: the job cannot go on");
        abort(); /* the other ranks would wait for ever */
    }
    if (error != 0)
        refuse(group, error);
    take_part(group);
    if (group->ported)
        fm_engine_porter_call(NULL);
    if (group->tallies != NULL && map->n > 0 && group->sched.code == 0)
        fm_engine_share_replicate(group);
    if (group->sched.code == 0) {
        fill(group, report);
        if (map->n > 0)
            fm_engine_closing_say(group->session, map->label, report);
    }
    const int result = outcome(group);
    leave(group);
    return result;
}

/* One map at a time: the others of the process wait. */
static int run_alone(struct fm_engine_group *group, int error, struct fastmap_report *report)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct fastmap_report own_report = FASTMAP_REPORT();
    const bool in_processes = fm_engine_processes_wanted(group->session, group->map);
    const uintptr_t identity = fm_engine_identity(group->map, in_processes);
    const double hint_ns = group->map->element_seconds * 1e9;
    pthread_mutex_lock(&one_at_a_time);
    set_busy(group->world, true);
    if (error == 0 && in_processes)
        error = fm_engine_processes_open(group->session, group->map, group->world->is.rank,
                                         &group->process);
    if (error != 0) /* its sentence would not outlive what follows */
        (void)snprintf(group->why, sizeof group->why, "%s", fm_base_last_error());
    const double cost_ns = hint_ns > 0 ? hint_ns : fm_engine_history_cost_ns(identity);
    const int result =
        take_map(group, error == 0 ? cost_ns : 0, error, report != NULL ? report : &own_report);
    if (group->process != NULL)
        fm_process_close(group->process);
    set_busy(group->world, false);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fm_engine_ranks_run(struct fm_engine_world *world, struct fastmap_session *session,
                        const struct fastmap_map *map, struct fastmap_report *report)
{
    struct fastmap_map owned = *map;
    if (map->element_timeout > 0 && !fm_engine_processes_wanted(session, map))
        return fm_engine_refuse_timeout();
    if (world->served) /* nobody else passes elements */
        owned.spread = FASTMAP_SPREAD_OWNED;
    struct fm_engine_group group = {
        .world = world, .map = &owned, .session = session, .block_fd = -1};
    if (owned.spread == FASTMAP_SPREAD_REPLICATED && (map->n > INT_MAX || map->out_size > INT_MAX))
        return fm_base_fail(
            FASTMAP_ERR_OVERFLOW,
            "a replicated map has %zu elements of %zu bytes: at most %d of each; use "
            "spread OWNED, or several maps",
            map->n, map->out_size, INT_MAX);
    group.opening_bytes = fm_engine_opening_make(&owned, &group.opening);
    fm_engine_terms(&owned, &group.opening, &group.terms);
    return run_alone(&group, 0, report);
}

int fm_engine_ranks_help(struct fm_engine_world *world, struct fastmap_session *session,
                         const struct fastmap_map *map, const struct fm_engine_terms *terms,
                         const struct fm_engine_opening *opening, int error)
{
    struct fm_engine_group group = {.world = world,
                                    .map = map,
                                    .session = session,
                                    .terms = *terms,
                                    .opening = *opening,
                                    .block_fd = -1};
    group.opening_bytes = offsetof(struct fm_engine_opening, path) + strlen(opening->path) + 1;
    return run_alone(&group, error, NULL);
}
