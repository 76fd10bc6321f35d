/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs: their memory, their queue, and what can be given away of them. See group.h.
 */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/group.h"
#include "engine/processes.h"
#include "tier/local/local.h"

#define RUNNING_MOST 256 /* threads that are asked what they are in */

bool fm_engine_job_keep(struct fm_engine_group *group, struct fm_engine_job *job)
{
    if (job->slot >= group->job_slots) {
        const int slots = job->slot + 16;
        struct fm_engine_job **jobs =
            realloc(group->jobs, (size_t)slots * sizeof(struct fm_engine_job *));
        if (jobs == NULL)
            return false;
        while (group->job_slots < slots)
            jobs[group->job_slots++] = NULL;
        group->jobs = jobs;
    }
    group->jobs[job->slot] = job;
    struct fm_engine_job **end = &group->queue;
    while (*end != NULL)
        end = &(*end)->next;
    if (job->work.n > 0)
        *end = job;
    return true;
}

void fm_engine_job_start(struct fm_engine_group *group, struct fm_engine_job *job, double cost_ns)
{
    job->run = (struct fm_engine_map){
        .session = group->session,
        .map = &job->work,
        .rank = group->world->is.rank,
        .process = group->process,
        .identity = fm_engine_identity(group->map, group->process != NULL),
        .cost_ns = cost_ns,
        .predicted_ns = cost_ns,
        .between = fm_engine_talk_between,
        .context = group,
        .spread = &group->heard,
        .gauge = group->gauge.n > 0 ? &group->gauge : NULL,
    };
    if (group->process != NULL)
        fm_engine_processes_forward(&job->run, &job->work);
    if (group->course == NULL)
        return;
    job->course = (struct fm_tier_course){.place = group->course->all.place + job->first,
                                          .before = group->course->all.before + job->first,
                                          .border = SIZE_MAX};
    job->run.course = &job->course;
    if (job == &group->own) {
        job->course.border = group->course->all.border;
        fm_engine_course_follow(group->course, &job->work);
    } else if (group->sched.jobs[job->slot].giver == group->world->is.size) /* the cloud has not */
        fm_engine_course_time(group->course, &job->work);
}

struct fm_engine_job *fm_engine_job_make(struct fm_engine_group *group, int slot,
                                         const struct fm_engine_header *header, const char *inputs)
{
    const struct fastmap_map *map = group->map;
    const struct fm_sched_message *given = &header->message;
    const size_t in_bytes = (size_t)given->count * map->in_size;
    const size_t out_bytes = (size_t)given->count * map->out_size;
    const bool in_place = header->in_place != 0;
    struct fm_engine_job *job = calloc(1, sizeof *job);
    const size_t bytes = in_place ? in_bytes : in_bytes + out_bytes;
    if (job == NULL || (job->memory = malloc(bytes + 2 * sizeof(max_align_t))) == NULL) {
        free(job);
        return NULL;
    }
    const size_t gap =
        (in_bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    char *out = in_place ? job->memory : job->memory + gap;
    if (in_bytes > 0)
        memcpy(job->memory, inputs, in_bytes);
    if (!in_place && out_bytes > 0)
        memset(out, 0, out_bytes);
    job->work = *map;
    job->work.n = (size_t)given->count;
    job->work.in = map->in_size > 0 ? job->memory : NULL;
    job->work.out = map->out_size > 0 ? out : NULL;
    job->work.element_seconds = 0;
    job->slot = slot;
    job->first = (size_t)given->first;
    job->in_place = in_place;
    fm_engine_job_start(group, job, given->cost_ns);
    return job;
}

void fm_engine_job_drop(struct fm_engine_job *job)
{
    free(job->memory);
    free(job);
}

void fm_engine_job_deliver(struct fm_engine_group *group, struct fm_engine_job *job, size_t count)
{
    const int slot = job->slot;
    if (count == 0 || !fm_sched_ranks_delivered(&group->sched, slot, count) || job == &group->own)
        return;
    group->jobs[slot] = NULL;
    job->over = true;
}

void fm_engine_job_release(const struct fm_engine_group *group, struct fm_engine_job *job)
{
    if (job->over && job != group->current)
        fm_engine_job_drop(job);
}

/* Its elements lie in the caller's arrays, and not in a row. */
static bool is_placed(const struct fm_engine_group *group, const struct fm_engine_job *job)
{
    return group->course != NULL && job == &group->own;
}

const char *fm_engine_job_inputs(const struct fm_engine_group *group,
                                 const struct fm_engine_job *job, const struct fm_sched_run *run,
                                 char **copy)
{
    const size_t size = group->map->in_size;
    *copy = NULL;
    if (size == 0)
        return NULL;
    if (!is_placed(group, job))
        return (const char *)job->work.in + (run->first - job->first) * size;
    *copy = malloc(run->count * size);
    if (*copy != NULL)
        fm_engine_course_gather(group->course, run->first, run->count, *copy);
    return *copy;
}

/* ---- What becomes of them ---- */

struct fm_engine_tally fm_engine_job_tally(const struct fm_engine_job *job)
{
    struct fm_engine_tally tally = {
        .failed = job->run.failed,
        .skipped = job->skipped,
        .listed = job->run.listed,
        .cloud = job->cloud,
        .busy_ns = job->busy_ns,
    };
    memcpy(tally.failures, job->run.failures, sizeof tally.failures);
    return tally;
}

void fm_engine_job_add(struct fm_engine_job *job, const struct fm_engine_tally *tally)
{
    job->skipped += (size_t)tally->skipped;
    job->busy_ns += tally->busy_ns;
    job->cloud += (size_t)tally->cloud;
    if (tally->failed > 0)
        fm_engine_failures_merge(&job->run, (size_t)tally->failed, tally->failures,
                                 (size_t)tally->listed);
}

/* ---- The scheduler's ports ---- */

size_t fm_engine_jobs_unbegun(void *context)
{
    const struct fm_engine_group *group = context;
    double sum = 0;
    for (const struct fm_engine_job *job = group->queue; job != NULL; job = job->next)
        sum += fm_tier_course_work(job->run.course, 0, job->work.n);
    if (group->current != NULL && !group->current->over)
        sum += fm_local_unbegun_work(group->current->run.frame);
    return (size_t)ceil(sum);
}

double fm_engine_jobs_begun(const struct fm_engine_group *group)
{
    size_t positions[RUNNING_MOST];
    const struct fm_engine_job *job = group->current;
    if (group->course == NULL || !group->course->ordered || job == NULL || job->over ||
        group->sched.workers <= 0)
        return group->sched.begun;
    const size_t count = fm_local_running(job->run.frame, positions, RUNNING_MOST);
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum +=
            fm_engine_course_left(group->course, job->first + positions[i], group->sched.cost_ns);
    return count < RUNNING_MOST ? sum / group->sched.workers : sum / RUNNING_MOST;
}

/* What elements of the job count in the scheduler. */
static size_t worth_of(const struct fm_engine_job *job, const struct fm_sched_run *run)
{
    const size_t from = run->first - job->first;
    return (size_t)ceil(fm_tier_course_work(job->run.course, from, from + run->count));
}

static size_t take_queued(struct fm_engine_group *group, size_t want, struct fm_sched_run *run)
{
    struct fm_engine_job **last = &group->queue;
    while ((*last)->next != NULL)
        last = &(*last)->next;
    struct fm_engine_job *job = *last;
    const size_t most = group->sched.link.run_most; /* light elements are many for their work */
    const size_t found = fm_tier_course_highest(job->run.course, 0, job->work.n, (double)want);
    const size_t taken = found < most ? found : most;
    job->work.n -= taken;
    *run =
        (struct fm_sched_run){.job = job->slot, .first = job->first + job->work.n, .count = taken};
    if (job->work.n == 0)
        *last = NULL;
    return worth_of(job, run);
}

size_t fm_engine_jobs_take(void *context, size_t want, struct fm_sched_run *run)
{
    struct fm_engine_group *group = context;
    if (group->queue != NULL)
        return take_queued(group, want, run);
    struct fm_engine_job *job = group->current;
    size_t first = 0;
    if (job == NULL || job->over)
        return 0;
    const size_t taken =
        fm_local_take(job->run.frame, (double)want, group->sched.link.run_most, &first);
    const double before = atomic_load_explicit(&job->run.taken_work, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->run.taken, taken, memory_order_relaxed);
    atomic_store_explicit(&job->run.taken_work,
                          before + fm_tier_course_work(job->run.course, first, first + taken),
                          memory_order_relaxed);
    *run = (struct fm_sched_run){.job = job->slot, .first = job->first + first, .count = taken};
    return worth_of(job, run);
}

/* ---- Copies of what is out ---- */

bool fm_engine_jobs_again(void *context, int slot, const struct fm_sched_run *run)
{
    struct fm_engine_group *group = context;
    const struct fm_engine_job *from = group->jobs[run->job];
    const struct fm_engine_header header = {
        .message = {.first = run->first, .count = run->count, .cost_ns = group->sched.cost_ns},
        .in_place = from->in_place};
    char *copy;
    const char *inputs = fm_engine_job_inputs(group, from, run, &copy);
    struct fm_engine_job *job = inputs != NULL || group->map->in_size == 0
                                    ? fm_engine_job_make(group, slot, &header, inputs)
                                    : NULL;
    free(copy);
    if (job != NULL && fm_engine_job_keep(group, job))
        return true;
    if (job != NULL)
        fm_engine_job_drop(job);
    return false;
}

void fm_engine_job_accept(struct fm_engine_group *group, const struct fm_sched_run *run,
                          const struct fm_engine_tally *tally, const char *outputs)
{
    struct fm_engine_job *job = group->jobs[run->job];
    const size_t size = group->map->out_size;
    if (size > 0 && is_placed(group, job))
        fm_engine_course_scatter(group->course, run->first, run->count, outputs);
    else if (size > 0)
        memcpy((char *)job->work.out + (run->first - job->first) * size, outputs,
               run->count * size);
    fm_engine_job_add(job, tally);
    fm_engine_job_deliver(group, job, run->count);
    fm_engine_job_release(group, job);
}

void fm_engine_jobs_accept(void *context, int slot, const struct fm_sched_run *run)
{
    struct fm_engine_group *group = context;
    const struct fm_engine_job *copy = group->jobs[slot];
    const struct fm_engine_tally tally = fm_engine_job_tally(copy);
    fm_engine_job_accept(group, run, &tally, copy->work.out);
}

void fm_engine_jobs_cancel(void *context, int slot)
{
    struct fm_engine_group *group = context;
    struct fm_engine_job *job = group->jobs[slot];
    struct fm_engine_job **at = &group->queue;
    group->jobs[slot] = NULL;
    job->over = true;
    while (*at != NULL && *at != job)
        at = &(*at)->next;
    if (*at == job)
        *at = job->next;
    if (job == group->current)
        fm_local_stop(job->run.frame);
    fm_engine_job_release(group, job);
}
