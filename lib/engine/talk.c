/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of a map over ranks: what goes with the scheduler's messages (terms, inputs, outputs, failures),
 * what becomes of those that arrive, and how often anybody looks.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/blocks.h"
#include "engine/cloud.h"
#include "engine/letters.h"
#include "engine/question.h"
#include "tier/local/local.h"

#define LATENCY_NS 30000.0 /* from an ask to the first element, between busy processes */
#define GAUGE_NS 1e8 /* between looks at how far the map is: half as long as between its lines */
#define TALK_NS 100000.0 /* between looks at messages, at least */
#define CROWDED_TALK_NS 1000000.0
#define EAGER_NS 100000.0 /* a waiting rank looks all the time for so long ... */
#define CROWDED_EAGER_NS 10000.0
#define NAP_NS 20000u        /* ... and then sleeps for at least, and ... */
#define NAP_MOST_NS 1000000u /* ... at most so long */

/* ---- Sending ---- */

static _Noreturn void give_up_memory(size_t bytes)
{
    fm_base_log(FASTMAP_VERBOSITY_QUIET, FASTMAP_VERBOSITY_QUIET,
                "no memory for a message of %zu bytes to another rank: the job cannot go on",
                bytes);
    abort(); /* the other ranks would wait for ever */
}

/* The bytes that go with a message, in a row. *copy is to be freed. Results are never of the own job, so all
   of them lie so. */
static const char *payload_of(const struct fm_engine_group *group,
                              const struct fm_sched_message *message,
                              const struct fm_sched_run *run, size_t *bytes, char **copy)
{
    *bytes = 0;
    *copy = NULL;
    if (run == NULL)
        return NULL;
    const struct fm_engine_job *job = group->jobs[run->job];
    const bool give = message->kind == FM_SCHED_GIVE;
    const size_t size = give ? group->map->in_size : group->map->out_size;
    *bytes = run->count * size;
    if (*bytes == 0)
        return NULL;
    const char *payload = give ? fm_engine_job_inputs(group, job, run, copy)
                               : (const char *)job->work.out + (run->first - job->first) * size;
    if (payload == NULL)
        give_up_memory(*bytes);
    return payload;
}

char *fm_engine_talk_pack(const struct fm_engine_header *header, const void *payload, size_t bytes)
{
    char *message = malloc(sizeof *header + bytes);
    if (message == NULL)
        give_up_memory(bytes);
    memcpy(message, header, sizeof *header);
    if (bytes > 0)
        memcpy(message + sizeof *header, payload, bytes);
    return message;
}

void fm_engine_talk_post(struct fm_engine_world *world, int tag, int to,
                         const struct fm_engine_header *header, const void *payload, size_t bytes)
{
    struct fm_engine_header stamped = *header;
    stamped.serves = world->serves;
    char *message = fm_engine_talk_pack(&stamped, payload, bytes);
    if (to == world->is.size)
        fm_engine_pieces_receive(world->cloud, message);
    else
        (void)world->tier->send(to, tag, message, sizeof stamped + bytes);
}

static void send(void *context, int rank, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    struct fm_engine_group *group = context;
    struct fm_engine_header header = {
        .message = *message, .terms = group->terms, .charges = group->charges};
    size_t payload_bytes;
    char *copy;
    const char *payload = payload_of(group, message, run, &payload_bytes, &copy);
    header.spent = fm_engine_gateway_spent(group);
    if (message->kind == FM_SCHED_GIVE)
        header.in_place = group->jobs[run->job]->in_place;
    if (message->kind == FM_SCHED_RESULT)
        header.tally = fm_engine_job_tally(group->jobs[run->job]);
    fm_engine_talk_post(group->world, group->tag, rank, &header, payload, payload_bytes);
    free(copy);
}

const struct fm_sched_ports fm_engine_talk_ports = {.send = send,
                                                    .unbegun = fm_engine_jobs_unbegun,
                                                    .take = fm_engine_jobs_take,
                                                    .again = fm_engine_jobs_again,
                                                    .accept = fm_engine_jobs_accept,
                                                    .cancel = fm_engine_jobs_cancel};

/* Those who serve learn from it what is to be computed. To others any message says as much, so none is sent
   to them by a rank that will say something soon. */
void fm_engine_talk_hello(struct fm_engine_group *group, bool is_soon)
{
    const struct fm_engine_header hello = {
        .message = {.kind = FM_SCHED_ASK}, .terms = group->terms, .charges = group->charges};
    const struct fm_engine_world *world = group->world;
    for (int i = 0; i < world->edge_count; i++) /* the cloud's courier knows */
        if (!is_soon || world->roles[i] != FM_ENGINE_ROLE_CALLS)
            fm_engine_talk_post(group->world, group->tag, world->edges[i].rank, &hello,
                                &group->opening, group->opening_bytes);
}

/* ---- Receiving ---- */

static void note_difference(struct fm_engine_group *group, int from,
                            const struct fm_engine_header *header)
{
    const char *what = fm_engine_terms_differ(&group->terms, &header->terms);
    if (what == NULL || header->message.kind == FM_SCHED_END)
        return;
    (void)snprintf(group->differs, sizeof group->differs, "rank %d and rank %d differ in %s",
                   group->world->is.rank, from, what);
    fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_RANKS);
}

static void receive_inputs(struct fm_engine_group *group, int slot,
                           const struct fm_engine_header *header, const char *payload)
{
    struct fm_engine_job *job = fm_engine_job_make(group, slot, header, payload);
    if (job != NULL && fm_engine_job_keep(group, job))
        return;
    if (job != NULL)
        fm_engine_job_drop(job);
    fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_MEMORY);
}

static size_t payload_expected(const struct fm_engine_group *group,
                               const struct fm_sched_message *message)
{
    switch (message->kind) {
    case FM_SCHED_GIVE: return (size_t)message->count * group->map->in_size;
    case FM_SCHED_RESULT: return (size_t)message->count * group->map->out_size;
    default: return 0;
    }
}

/* A message of the scheduler's. */
static void receive_sched(struct fm_engine_group *group, int from,
                          const struct fm_engine_header *header, const char *payload, size_t bytes)
{
    struct fm_sched_run run;
    int slot;
    note_difference(group, from, header);
    if (group->sched.code == 0 && header->message.kind != FM_SCHED_ASK &&
        bytes != payload_expected(group, &header->message))
        fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_RANKS);
    fm_sched_ranks_receive(&group->sched, from, &header->message, &slot, &run);
    if (slot >= 0 && group->sched.code == 0)
        receive_inputs(group, slot, header, payload);
    if (run.count > 0) {
        struct fm_engine_job *job = group->jobs[run.job];
        job->away += run.count - (job == &group->own ? (size_t)header->tally.home : 0);
        fm_engine_job_accept(group, &run, &header->tally, payload);
    }
}

void fm_engine_talk_receive(void *context, int from, char *bytes, size_t size)
{
    struct fm_engine_group *group = context;
    struct fm_engine_header header;
    if (size >= sizeof header) {
        memcpy(&header, bytes, sizeof header);
        group->sched.now_ns = fm_base_ticks_to_ns(fm_base_ticks() - group->begun_ticks);
        fm_engine_world_know(group->world, from, header.serves != 0);
        group->spent = header.spent > group->spent ? header.spent : group->spent;
        if (header.charges.say != FM_ENGINE_CHARGES_UNKNOWN)
            group->charges = header.charges;
        if (header.message.kind == FM_ENGINE_NEED)
            fm_engine_block_answer(group, from, &header);
        else if (header.message.kind == FM_ENGINE_GATEWAY)
            fm_engine_gateway_hear(group, from, header.message.code);
        else if (header.message.kind == FM_ENGINE_QUESTION ||
                 header.message.kind == FM_ENGINE_ANSWER)
            fm_engine_question_hear(group, from, &header, bytes + sizeof header,
                                    size - sizeof header);
        else if (header.message.kind < FM_ENGINE_NEED)
            receive_sched(group, from, &header, bytes + sizeof header, size - sizeof header);
    }
    free(bytes);
}

/* ---- Talking ---- */

/* Begins no more elements here: what waits is over, what is being computed stops at its next element. Again
   and again, for what was under way when the others heard of it. */
static void halt(struct fm_engine_group *group)
{
    while (group->queue != NULL) {
        struct fm_engine_job *job = group->queue;
        group->queue = job->next;
        job->skipped += job->work.n;
        if (group->sched.code == 0)
            fm_engine_job_deliver(group, job, job->work.n);
        fm_engine_job_release(group, job);
    }
    if (group->current != NULL)
        fm_local_stop(group->current->run.frame);
}

/* Pauses between looks at messages while there is something to compute. A look costs a microsecond, but where
   ranks share processors MPI gives the processor to another in it; a look at a bell costs nothing. */
double fm_engine_talk_pause_ns(const struct fm_engine_group *group)
{
    return group->world->crowded && !group->world->rings ? CROWDED_TALK_NS : TALK_NS;
}

/* How long a rank that computes may take to look at its messages: its pause, and as long as an element of
   its lasts or until its porter looks. */
static double silence_ns(const struct fm_engine_group *group)
{
    const double cost_ns = group->sched.cost_ns;
    const double pause_ns = fm_engine_talk_pause_ns(group);
    const double porter_ns = group->world->is.any_thread ? 2 * pause_ns : cost_ns;
    const double element_ns = cost_ns < porter_ns ? cost_ns : porter_ns;
    return element_ns > pause_ns ? element_ns : pause_ns;
}

static void note_cost(struct fm_engine_group *group)
{
    if (group->current == NULL)
        return;
    const double mean_ns = atomic_load_explicit(&group->current->run.mean_ns, memory_order_relaxed);
    if (mean_ns > 0)
        group->sched.cost_ns = mean_ns;
    if (atomic_load_explicit(&group->current->run.stopped, memory_order_relaxed))
        fm_sched_ranks_stop(&group->sched);
}

/* What the current frame has begun of the own elements, those that came back from the cloud included. */
static size_t begun_here(const struct fm_engine_group *group)
{
    const struct fm_engine_job *job = group->current;
    if (job == NULL || job->over ||
        (job != &group->own && group->sched.jobs[job->slot].giver != group->world->is.size))
        return 0;
    const size_t taken = atomic_load_explicit(&job->run.taken, memory_order_relaxed);
    const size_t not_begun = fm_local_unbegun(job->run.frame) + taken;
    return job->work.n > not_begun ? job->work.n - not_begun : 0;
}

void fm_engine_talk_gauge(struct fm_engine_group *group)
{
    const size_t left = group->sched.jobs[0].left;
    const size_t landed = group->cloud != NULL ? fm_engine_pieces_held(group->cloud) : 0;
    const size_t more = begun_here(group) + landed;
    atomic_store_explicit(&group->gauge.done, group->gauge.n - (left > more ? left - more : 0),
                          memory_order_relaxed);
}

static void read_gauge(struct fm_engine_group *group, uint64_t now)
{
    if (group->gauge.n == 0 || fm_base_ticks_to_ns(now - group->gauge.read_ticks) < GAUGE_NS)
        return;
    group->gauge.read_ticks = now;
    fm_engine_talk_gauge(group);
}

void fm_engine_talk_decide(struct fm_engine_group *group)
{
    const uint64_t now = fm_base_ticks();
    note_cost(group);
    atomic_store_explicit(&group->pace_ns, group->sched.cost_ns, memory_order_relaxed);
    group->sched.busy = group->current != NULL;
    group->sched.begun = fm_engine_jobs_begun(group);
    group->sched.now_ns = fm_base_ticks_to_ns(now - group->begun_ticks);
    group->sched.link.latency_ns = LATENCY_NS + silence_ns(group);
    fm_sched_ranks_turn(&group->sched);
    if (group->sched.stopped || group->sched.ended)
        halt(group);
    if (group->cloud != NULL)
        fm_engine_cloud_consider(group->cloud);
    read_gauge(group, now);
    atomic_store_explicit(&group->looked_ticks, now, memory_order_relaxed);
    atomic_store_explicit(&group->due_ns,
                          fm_sched_ranks_due_ns(&group->sched) - group->sched.now_ns,
                          memory_order_relaxed);
}

static bool talk(struct fm_engine_group *group)
{
    const bool near = group->world->tier->poll(group->tag, fm_engine_talk_receive, group);
    const bool any = (group->cloud != NULL && fm_engine_pieces_poll(group)) || near;
    atomic_store_explicit(&group->polled_ticks, fm_base_ticks(), memory_order_relaxed);
    fm_engine_talk_decide(group);
    return any;
}

static bool is_past(const _Atomic uint64_t *ticks, double ns)
{
    return fm_base_ticks() - atomic_load_explicit(ticks, memory_order_relaxed) >
           fm_base_ns_to_ticks(ns);
}

/* Whether there may be messages. */
static bool stirs(const struct fm_engine_group *group)
{
    return !group->world->rings || fm_engine_pieces_stir(group->cloud) ||
           group->world->tier->stirs(group->tag) ||
           is_past(&group->polled_ticks, FM_ENGINE_SILENT_NS);
}

void fm_engine_talk_look(struct fm_engine_group *group)
{
    if (stirs(group))
        (void)talk(group);
    else
        fm_engine_talk_decide(group);
}

bool fm_engine_talk_poll(struct fm_engine_group *group)
{
    pthread_mutex_lock(&group->world->mutex);
    const bool any = talk(group);
    pthread_mutex_unlock(&group->world->mutex);
    return any;
}

bool fm_engine_talk_is_due(const struct fm_engine_group *group, double pause_ns)
{
    return is_past(&group->looked_ticks, pause_ns);
}

void fm_engine_talk_between(void *context)
{
    struct fm_engine_group *group = context;
    /* Who has the mutex looks already, and may have lost its processor in the middle of it. */
    if (!fm_engine_talk_is_due(group, fm_engine_talk_pause_ns(group)) ||
        pthread_mutex_trylock(&group->world->mutex) != 0)
        return;
    group->spread = group->heard;
    fm_engine_talk_look(group);
    pthread_mutex_unlock(&group->world->mutex);
}

/* ---- Waiting ---- */

void fm_engine_wait_ns(uint64_t ns)
{
    const struct timespec time = {.tv_sec = 0, .tv_nsec = (long)ns};
    (void)nanosleep(&time, NULL);
}

/* Eager at first, since work or the end may be a message away; then in sleeps of a quarter of the time that
   has been waited already, so that an idle rank leaves its core to others and is late by little. */
void fm_engine_wait_idle(const struct fm_engine_world *world, double idle_ns)
{
    const double nap_ns = idle_ns / 4;
    if (!world->crowded && idle_ns < EAGER_NS)
        sched_yield();
    else
        fm_engine_wait_ns(nap_ns < NAP_NS        ? NAP_NS
                          : nap_ns < NAP_MOST_NS ? (uint64_t)nap_ns
                                                 : NAP_MOST_NS);
}

/* A bell ends the sleep, so it may be long; being woken takes longer than having looked at it. */
void fm_engine_wait_message(const struct fm_engine_world *world, int tag, double idle_ns,
                            double most_ns)
{
    const struct fm_tier_ranks *tier = world->tier;
    const double eager_ns = world->crowded ? CROWDED_EAGER_NS : EAGER_NS;
    const uint64_t begun = fm_base_ticks();
    const uint64_t eager = fm_base_ns_to_ticks(eager_ns);
    if (!world->rings) {
        fm_engine_wait_idle(world, idle_ns);
        return;
    }
    while (idle_ns < eager_ns && fm_base_ticks() - begun < eager && !tier->stirs(tag))
        sched_yield();
    if (!tier->stirs(tag) && most_ns > 0)
        tier->rest((uint64_t)(most_ns < FM_ENGINE_SILENT_NS ? most_ns : FM_ENGINE_SILENT_NS));
    else if (idle_ns >=
             eager_ns) /* a message moves as long as its other end is inside an element */
        fm_engine_wait_idle(world, idle_ns);
}
