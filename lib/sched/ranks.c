/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger (jobs, leases), the edges (asks, demands, ends) and the turn that decides. See ranks.h.
 *
 * Rates. A thread is taken to be as fast as any other until it shows: a slow rank asks less often, since
 * what it was given lasts longer, and what it still holds is asked back from it.
 */
#include "sched/ranks.h"

#include <fastmap.h>
#include <stdlib.h>
#include <string.h>

#include "sched/split.h"

#define FREE (-2)
#define OWN (-1)
/* Of what the split equation grants, so much is given at once; the rest follows when it is asked for
   again. Estimates are means, and what stays can still go to whoever turns out to need it. With more,
   fewer messages and more bytes; the threads are as busy from 0.4 to 1 (bench/simulate). */
#define CONFIDENCE 0.8
/* An ask that stands is repeated when the need has grown so many times: an edge that has nothing to give
   does not care, and one that has looks at the asks of all. With twice, ranks exchange up to half as
   many messages again (bench/simulate, 256 and 1,024 ranks). */
#define GROWN 16
/* Latencies before a thread is expected to run out that its rank asks for more. */
#define LOOK_AHEAD 10
#define BEGUN 0.5 /* of an element, by each thread */

/* ---- Ledger ---- */

static int job_open(struct fm_sched_ranks *ranks, int giver, const struct fm_sched_message *given)
{
    int slot = 0;
    while (slot < ranks->job_slots && ranks->jobs[slot].giver != FREE)
        slot++;
    if (slot == ranks->job_slots) {
        const int slots = ranks->job_slots + 8;
        struct fm_sched_job *jobs = realloc(ranks->jobs, (size_t)slots * sizeof *jobs);
        if (jobs == NULL)
            return -1;
        for (int i = ranks->job_slots; i < slots; i++)
            jobs[i].giver = FREE;
        ranks->jobs = jobs;
        ranks->job_slots = slots;
    }
    ranks->jobs[slot] = (struct fm_sched_job){
        .giver = giver,
        .lease = given->lease,
        .first = (size_t)given->first,
        .count = (size_t)given->count,
        .left = (size_t)given->count,
    };
    return slot;
}

/* A slot for one more lease, or NULL. */
static struct fm_sched_lease *lease_slot(struct fm_sched_ranks *ranks)
{
    for (int i = 0; i < ranks->lease_slots; i++)
        if (ranks->leases[i].number == 0)
            return &ranks->leases[i];
    const int slots = ranks->lease_slots + 16;
    struct fm_sched_lease *leases = realloc(ranks->leases, (size_t)slots * sizeof *leases);
    if (leases == NULL)
        return NULL;
    memset(leases + ranks->lease_slots, 0, 16 * sizeof *leases);
    struct fm_sched_lease *found = &leases[ranks->lease_slots];
    ranks->leases = leases;
    ranks->lease_slots = slots;
    return found;
}

static struct fm_sched_lease *lease_find(const struct fm_sched_ranks *ranks, int thief,
                                         uint64_t number)
{
    for (int i = 0; i < ranks->lease_slots; i++)
        if (number != 0 && ranks->leases[i].number == number && ranks->leases[i].thief == thief)
            return &ranks->leases[i];
    return NULL;
}

/* ---- Messages ---- */

static void send(struct fm_sched_ranks *ranks, int rank, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    ranks->sent++;
    ranks->ports->send(ranks->context, rank, message, run);
}

static void send_plain(struct fm_sched_ranks *ranks, int rank, enum fm_sched_kind kind)
{
    const struct fm_sched_message message = {.kind = kind, .code = ranks->code};
    send(ranks, rank, &message, NULL);
}

static void end_all(struct fm_sched_ranks *ranks)
{
    if (ranks->ended)
        return;
    ranks->ended = true;
    for (int i = 0; i < ranks->edge_count; i++)
        send_plain(ranks, ranks->edges[i].rank, FM_SCHED_END);
}

static struct fm_sched_edge *edge_of(const struct fm_sched_ranks *ranks, int rank)
{
    for (int i = 0; i < ranks->edge_count; i++)
        if (ranks->edges[i].rank == rank)
            return &ranks->edges[i];
    return NULL;
}

/* ---- The turn ---- */

/* Whether an edge would begin the last of `left` elements sooner than this rank and its other rivals. */
static bool is_sooner(const struct fm_sched_ranks *ranks, size_t left, double own,
                      const struct fm_sched_edge *edge)
{
    const double rest_ns = BEGUN * ranks->cost_ns;
    const double here_ns = (double)(left - 1) / own * ranks->cost_ns + (ranks->busy ? rest_ns : 0);
    return here_ns > ranks->link.latency_ns + (edge->demand_idle ? 0 : rest_ns);
}

/* Elements for an edge, with `left` to give and `rivals` threads asking elsewhere. */
static size_t grant(const struct fm_sched_ranks *ranks, size_t left,
                    const struct fm_sched_edge *edge, double rivals)
{
    const double own = ranks->workers + rivals;
    const struct fm_sched_offer offer = {
        .left = left,
        .begun = ranks->busy ? BEGUN * ranks->workers : 0,
        .owner_ns = ranks->cost_ns / own,
        .thief_ns = ranks->cost_ns / edge->demand,
        .transport_ns = ranks->link.element_ns,
        .latency_ns = ranks->link.latency_ns + (edge->demand_idle ? 0 : BEGUN * ranks->cost_ns),
    };
    if (!is_sooner(ranks, left, own, edge))
        return 0;
    const size_t whole = fm_sched_split(&offer);
    const size_t sure = (size_t)((double)whole * CONFIDENCE);
    const size_t granted = sure > 0 ? sure : whole;
    return granted < ranks->link.run_most ? granted : ranks->link.run_most;
}

/* Gives to one edge; false: nothing could be given. */
static bool give(struct fm_sched_ranks *ranks, struct fm_sched_edge *edge, size_t count)
{
    struct fm_sched_lease *lease = lease_slot(ranks);
    if (lease == NULL)
        return false;
    struct fm_sched_run run = {0};
    run.count = ranks->ports->take(ranks->context, count, &run);
    if (run.count == 0)
        return false;
    *lease =
        (struct fm_sched_lease){.number = ++ranks->next_number, .thief = edge->rank, .run = run};
    const struct fm_sched_message message = {
        .kind = FM_SCHED_GIVE,
        .cost_ns = ranks->cost_ns,
        .lease = lease->number,
        .first = run.first,
        .count = run.count,
    };
    edge->demand = 0;
    ranks->given += run.count;
    send(ranks, edge->rank, &message, &run);
    return true;
}

/* What may be given: this rank's own idle threads come first. */
static size_t spare(const struct fm_sched_ranks *ranks, size_t unbegun)
{
    const size_t kept = ranks->busy ? 0 : (size_t)ranks->workers;
    return unbegun > kept ? unbegun - kept : 0;
}

/* Serves those who ask. Returns what is left. */
static size_t serve(struct fm_sched_ranks *ranks, size_t unbegun)
{
    double rivals = 0;
    for (int i = 0; i < ranks->edge_count; i++)
        rivals += ranks->edges[i].demand;
    for (int i = 0; i < ranks->edge_count && ranks->cost_ns > 0; i++) {
        struct fm_sched_edge *edge = &ranks->edges[i];
        const size_t left = spare(ranks, unbegun);
        if (edge->demand <= 0 || left == 0)
            continue;
        rivals -= edge->demand;
        const size_t count = grant(ranks, left, edge, rivals > 0 ? rivals : 0);
        if (count > 0 && give(ranks, edge, count))
            unbegun = ranks->ports->unbegun(ranks->context);
    }
    return unbegun;
}

/* Threads that have nothing to do, or soon will: before as many messages' time is over as hide an answer. */
static double own_need(const struct fm_sched_ranks *ranks, size_t unbegun)
{
    const double each = (double)unbegun / ranks->workers;
    const double left_ns = (each + (ranks->busy ? BEGUN : 0)) * ranks->cost_ns;
    const bool idle = !ranks->busy && unbegun == 0;
    return idle || left_ns < LOOK_AHEAD * ranks->link.latency_ns ? ranks->workers : 0;
}

/* Whether somebody other than that edge has nothing to do. */
static bool any_idle(const struct fm_sched_ranks *ranks, size_t unbegun, int but)
{
    bool idle = !ranks->busy && unbegun == 0;
    for (int i = 0; i < ranks->edge_count; i++)
        idle = idle || (i != but && ranks->edges[i].demand > 0 && ranks->edges[i].demand_idle);
    return idle;
}

static void ask(struct fm_sched_ranks *ranks, size_t unbegun)
{
    double need = own_need(ranks, unbegun);
    for (int i = 0; i < ranks->edge_count; i++)
        need += ranks->edges[i].demand;
    for (int i = 0; i < ranks->edge_count; i++) {
        struct fm_sched_edge *edge = &ranks->edges[i];
        const double wanted = need - edge->demand;
        const bool idle = any_idle(ranks, unbegun, i);
        if (!(wanted > 0) || (wanted < GROWN * edge->asked && (edge->asked_idle || !idle)))
            continue;
        edge->asked = wanted;
        edge->asked_idle = idle;
        const struct fm_sched_message message = {
            .kind = FM_SCHED_ASK, .workers = wanted, .idle = idle};
        send(ranks, edge->rank, &message, NULL);
    }
}

static void report(struct fm_sched_ranks *ranks)
{
    if (ranks->own_left > 0 || ranks->done_sent)
        return;
    int parent = -1;
    for (int i = 0; i < ranks->edge_count; i++) {
        if (ranks->edges[i].is_parent)
            parent = ranks->edges[i].rank;
        else if (!ranks->edges[i].done)
            return;
    }
    ranks->done_sent = true;
    if (parent >= 0)
        send_plain(ranks, parent, FM_SCHED_DONE);
    else
        end_all(ranks);
}

void fm_sched_ranks_turn(struct fm_sched_ranks *ranks)
{
    if (ranks->ended)
        return;
    if (!ranks->stopped)
        ask(ranks, serve(ranks, ranks->ports->unbegun(ranks->context)));
    report(ranks);
}

/* ---- Events ---- */

static void receive_give(struct fm_sched_ranks *ranks, struct fm_sched_edge *edge,
                         const struct fm_sched_message *message, int *job)
{
    edge->asked = 0;
    edge->asked_idle = false;
    if (ranks->cost_ns <= 0)
        ranks->cost_ns = message->cost_ns;
    if (ranks->ended)
        return;
    *job = job_open(ranks, edge->rank, message);
    if (*job < 0)
        fm_sched_ranks_fail(ranks, FASTMAP_ERR_MEMORY);
}

static void receive_result(struct fm_sched_ranks *ranks, int from,
                           const struct fm_sched_message *message, struct fm_sched_run *run)
{
    struct fm_sched_lease *lease = lease_find(ranks, from, message->lease);
    if (lease == NULL || lease->run.count != message->count || ranks->code != 0)
        return;
    *run = lease->run;
    lease->number = 0;
}

void fm_sched_ranks_receive(struct fm_sched_ranks *ranks, int from,
                            const struct fm_sched_message *message, int *job,
                            struct fm_sched_run *run)
{
    struct fm_sched_edge *edge = edge_of(ranks, from);
    *job = -1;
    run->count = 0;
    if (edge == NULL)
        return;
    ranks->received++;
    edge->heard = true;
    switch ((enum fm_sched_kind)message->kind) {
    case FM_SCHED_ASK:
        edge->demand = message->workers;
        edge->demand_idle = message->idle;
        break;
    case FM_SCHED_GIVE: receive_give(ranks, edge, message, job); break;
    case FM_SCHED_RESULT: receive_result(ranks, from, message, run); break;
    case FM_SCHED_DONE: edge->done = true; break;
    case FM_SCHED_STOP: fm_sched_ranks_stop(ranks); break;
    case FM_SCHED_END:
        edge->ended = true;
        if (ranks->code == 0)
            ranks->code = message->code;
        end_all(ranks);
        break;
    }
}

bool fm_sched_ranks_delivered(struct fm_sched_ranks *ranks, int job, size_t count)
{
    struct fm_sched_job *j = &ranks->jobs[job];
    j->left -= count;
    if (j->giver == OWN)
        ranks->own_left -= count;
    if (j->left > 0 || j->giver == OWN)
        return false;
    if (!ranks->ended) {
        const struct fm_sched_message message = {
            .kind = FM_SCHED_RESULT, .lease = j->lease, .count = j->count};
        const struct fm_sched_run run = {.job = job, .first = j->first, .count = j->count};
        send(ranks, j->giver, &message, &run);
    }
    j->giver = FREE;
    return true;
}

void fm_sched_ranks_stop(struct fm_sched_ranks *ranks)
{
    if (ranks->stopped || ranks->ended)
        return;
    ranks->stopped = true;
    for (int i = 0; i < ranks->edge_count; i++)
        send_plain(ranks, ranks->edges[i].rank, FM_SCHED_STOP);
}

void fm_sched_ranks_fail(struct fm_sched_ranks *ranks, int code)
{
    if (ranks->ended) /* with what all have been told */
        return;
    ranks->code = code;
    end_all(ranks);
}

bool fm_sched_ranks_is_through(const struct fm_sched_ranks *ranks)
{
    for (int i = 0; i < ranks->edge_count; i++)
        if (!ranks->edges[i].ended)
            return false;
    return ranks->ended;
}

/* ---- Life ---- */

bool fm_sched_ranks_init(struct fm_sched_ranks *ranks, const struct fm_sched_ports *ports,
                         void *context, struct fm_sched_edge *edges, int edge_count, int workers,
                         size_t n)
{
    *ranks = (struct fm_sched_ranks){
        .ports = ports,
        .context = context,
        .edges = edges,
        .edge_count = edge_count,
        .workers = workers,
        .own_left = n,
        .link = {.run_most = SIZE_MAX},
    };
    for (int i = 0; i < edge_count; i++)
        edges[i] = (struct fm_sched_edge){.rank = edges[i].rank, .is_parent = edges[i].is_parent};
    const struct fm_sched_message own = {.count = n};
    return job_open(ranks, OWN, &own) == 0;
}

void fm_sched_ranks_free(struct fm_sched_ranks *ranks)
{
    free(ranks->jobs);
    free(ranks->leases);
}

bool fm_sched_ranks_is_valid(const struct fm_sched_ranks *ranks)
{
    if (ranks->jobs[0].giver != OWN || ranks->own_left != ranks->jobs[0].left)
        return false;
    for (int i = 0; i < ranks->job_slots; i++)
        if (ranks->jobs[i].giver != FREE && ranks->jobs[i].left > ranks->jobs[i].count)
            return false;
    for (int i = 0; i < ranks->lease_slots; i++) {
        const struct fm_sched_lease *lease = &ranks->leases[i];
        if (lease->number == 0)
            continue;
        const struct fm_sched_job *job = &ranks->jobs[lease->run.job];
        if (job->giver == FREE || lease->run.count == 0 || lease->run.count > job->left ||
            lease->run.first < job->first ||
            lease->run.first + lease->run.count > job->first + job->count)
            return false;
    }
    for (int i = 0; i < ranks->edge_count; i++)
        if (ranks->edges[i].demand < 0)
            return false;
    return true;
}
