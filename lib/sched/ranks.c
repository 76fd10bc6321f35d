/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger (jobs, leases), the edges (asks, demands, ends) and the turn that decides. See ranks.h.
 *
 * Rates. A thread is taken to be as fast as any other until it shows: a slow rank asks less often, since
 * what it was given lasts longer, and what it still holds is asked back from it.
 */
#include "sched/ranks.h"

#include <fastmap.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sched/split.h"

#define OWN (-1)
#define FREE (-2)
#define AGAIN (-3)
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
#define BEGUN 0.5 /* of an element, by each thread, where that is not known better */
/* A lease is overdue when it is late by so many elements' time and by such a part of the time that it should
   take, and its thief silent when it has not answered for so many latencies, and for as many elements' time
   again: a rank that hundreds talk to at once is not silent. */
#define LATE_ELEMENTS 4
#define LATE_PART 0.5
#define SILENT 4

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

static int copy_of(const struct fm_sched_ranks *ranks, uint64_t lease)
{
    for (int i = 0; i < ranks->job_slots; i++)
        if (ranks->jobs[i].giver == AGAIN && ranks->jobs[i].lease == lease)
            return i;
    return -1;
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

/* A map that is complete ends down the tree, one that is wrong everywhere. */
static void end_all(struct fm_sched_ranks *ranks)
{
    if (ranks->ended)
        return;
    ranks->ended = true;
    for (int i = 0; i < ranks->edge_count; i++)
        if (ranks->code != 0 || !ranks->edges[i].is_parent)
            send_plain(ranks, ranks->edges[i].rank, FM_SCHED_END);
}

static struct fm_sched_edge *edge_of(const struct fm_sched_ranks *ranks, int rank)
{
    for (int i = 0; i < ranks->edge_count; i++)
        if (ranks->edges[i].rank == rank)
            return &ranks->edges[i];
    return NULL;
}

/* ---- Copies of what is out ---- */

/* The lease has ended, and so has what is computed of its elements here. Copies of parts of a copy are closed
   in the same way. */
static void close_lease(struct fm_sched_ranks *ranks, struct fm_sched_lease *lease)
{
    const int copy = lease->again ? copy_of(ranks, lease->number) : -1;
    edge_of(ranks, lease->thief)->away -= lease->run.count;
    lease->number = 0;
    if (copy < 0)
        return;
    for (int i = 0; i < ranks->lease_slots; i++)
        if (ranks->leases[i].number != 0 && ranks->leases[i].run.job == copy)
            close_lease(ranks, &ranks->leases[i]);
    ranks->jobs[copy].giver = FREE;
    ranks->ports->cancel(ranks->context, copy);
}

/* The copy is complete: its outputs are the lease's. */
static void accept_copy(struct fm_sched_ranks *ranks, int copy)
{
    for (int i = 0; i < ranks->lease_slots; i++) {
        struct fm_sched_lease *lease = &ranks->leases[i];
        if (lease->number == 0 || lease->number != ranks->jobs[copy].lease)
            continue;
        const struct fm_sched_run run = lease->run;
        lease->again = false;
        close_lease(ranks, lease);
        ranks->ports->accept(ranks->context, copy, &run);
        return;
    }
}

/* It has as long again as it has had: its thief works at it, or there is no memory for a copy. */
static void extend(const struct fm_sched_ranks *ranks, struct fm_sched_lease *lease)
{
    lease->asked = false;
    lease->due_ns = 2 * ranks->now_ns - lease->given_ns;
}

static void compute_again(struct fm_sched_ranks *ranks, struct fm_sched_lease *lease)
{
    const struct fm_sched_message given = {
        .lease = lease->number, .first = lease->run.first, .count = lease->run.count};
    const int job = job_open(ranks, AGAIN, &given);
    lease->again = job >= 0 && ranks->ports->again(ranks->context, job, &lease->run);
    if (lease->again) {
        ranks->repeated += lease->run.count;
        return;
    }
    if (job >= 0)
        ranks->jobs[job].giver = FREE;
    extend(ranks, lease);
}

static void remind(struct fm_sched_ranks *ranks, struct fm_sched_lease *lease)
{
    const struct fm_sched_message ping = {.kind = FM_SCHED_PING, .lease = lease->number};
    lease->asked = true;
    lease->due_ns =
        ranks->now_ns + SILENT * ranks->link.latency_ns + LATE_ELEMENTS * ranks->cost_ns;
    send(ranks, lease->thief, &ping, NULL);
}

/* The lease that is overdue first, of those that are not computed here already. */
static struct fm_sched_lease *first_due(const struct fm_sched_ranks *ranks)
{
    struct fm_sched_lease *first = NULL;
    for (int i = 0; i < ranks->lease_slots; i++) {
        struct fm_sched_lease *lease = &ranks->leases[i];
        if (lease->number != 0 && !lease->again && (first == NULL || lease->due_ns < first->due_ns))
            first = lease;
    }
    return first;
}

static void see_to(struct fm_sched_ranks *ranks, struct fm_sched_lease *lease)
{
    if (lease->asked)
        compute_again(ranks, lease);
    else
        remind(ranks, lease);
}

double fm_sched_ranks_due_ns(const struct fm_sched_ranks *ranks)
{
    const struct fm_sched_lease *first = first_due(ranks);
    const bool idle = !ranks->busy && !ranks->stopped && !ranks->ended && ranks->cost_ns > 0;
    return idle && first != NULL ? first->due_ns : INFINITY;
}

/* ---- The turn ---- */

/* Threads, and the sum of the times until they have nothing to do. */
struct threads {
    double count;
    double dry_ns;
};

/* Until the threads that an edge asks for have nothing to do, on average. */
static double dry_ns(const struct fm_sched_ranks *ranks, const struct fm_sched_edge *edge)
{
    const double ns = edge->dry_at_ns - ranks->now_ns;
    return ns > 0 ? ns : 0;
}

static void add_demand(const struct fm_sched_ranks *ranks, const struct fm_sched_edge *edge,
                       struct threads *threads)
{
    threads->count += edge->demand;
    threads->dry_ns += edge->demand * dry_ns(ranks, edge);
}

/* Those who would compute what is left if that edge got nothing: this rank's, and those that other edges ask
   for and that have not been passed over. */
static struct threads rivals_of(const struct fm_sched_ranks *ranks,
                                const struct fm_sched_edge *edge)
{
    const double begun = ranks->busy ? ranks->begun * ranks->workers : 0;
    struct threads threads = {ranks->workers, begun * ranks->cost_ns};
    for (const struct fm_sched_edge *other = edge + 1; other < ranks->edges + ranks->edge_count;
         other++)
        add_demand(ranks, other, &threads);
    return threads;
}

/* Whether an edge would begin the last of `left` elements sooner than this rank. */
static bool is_sooner(const struct fm_sched_ranks *ranks, size_t left, double own, double wait_ns)
{
    const double rest_ns = ranks->busy ? ranks->begun * ranks->cost_ns : 0;
    return (double)(left - 1) / own * ranks->cost_ns + rest_ns > wait_ns;
}

/* Elements for an edge, with `left` to give. */
static size_t grant(const struct fm_sched_ranks *ranks, size_t left,
                    const struct fm_sched_edge *edge)
{
    const struct threads own = rivals_of(ranks, edge);
    if (!(own.count > 0)) /* nobody else would compute them */
        return left < ranks->link.run_most ? left : ranks->link.run_most;
    const double dry = dry_ns(ranks, edge);
    const double wait_ns = dry > ranks->link.latency_ns ? dry : ranks->link.latency_ns;
    const struct fm_sched_offer offer = {
        .left = left,
        .begun = own.dry_ns / ranks->cost_ns,
        .owner_ns = ranks->cost_ns / own.count,
        .thief_ns = ranks->cost_ns / edge->demand,
        .transport_ns = ranks->link.element_ns,
        .latency_ns = wait_ns,
    };
    if (!is_sooner(ranks, left, own.count, edge->demand_idle ? ranks->link.latency_ns : wait_ns))
        return 0;
    const size_t whole = fm_sched_split(&offer);
    const size_t sure = (size_t)((double)whole * (edge->yields ? 1 : CONFIDENCE));
    const size_t granted = sure > 0 ? sure : whole;
    return granted < ranks->link.run_most ? granted : ranks->link.run_most;
}

/* When the result of so many elements is overdue. */
static double due_ns(const struct fm_sched_ranks *ranks, const struct fm_sched_edge *edge,
                     size_t count)
{
    const double takes_ns =
        dry_ns(ranks, edge) + ranks->link.latency_ns +
        (double)count * (ranks->cost_ns / edge->demand + ranks->link.element_ns);
    return ranks->now_ns + (1 + LATE_PART) * takes_ns + LATE_ELEMENTS * ranks->cost_ns +
           ranks->link.latency_ns;
}

/* Gives to one edge what lies in a row; returns how many elements that were, by their worth. */
static size_t give(struct fm_sched_ranks *ranks, struct fm_sched_edge *edge, size_t count)
{
    struct fm_sched_lease *lease = lease_slot(ranks);
    if (lease == NULL)
        return 0;
    struct fm_sched_run run = {0};
    const size_t worth = ranks->ports->take(ranks->context, count, &run);
    if (run.count == 0)
        return 0;
    *lease = (struct fm_sched_lease){.number = ++ranks->next_number,
                                     .thief = edge->rank,
                                     .given_ns = ranks->now_ns,
                                     .due_ns = due_ns(ranks, edge, worth),
                                     .run = run};
    const struct fm_sched_message message = {
        .kind = FM_SCHED_GIVE,
        .cost_ns = ranks->cost_ns,
        .lease = lease->number,
        .first = run.first,
        .count = run.count,
    };
    edge->away += run.count;
    ranks->given += run.count;
    send(ranks, edge->rank, &message, &run);
    return worth;
}

/* Whoever yields gets all at once, however many runs that takes; others ask again. False: nothing could be
   given. */
static bool give_all(struct fm_sched_ranks *ranks, struct fm_sched_edge *edge, size_t count)
{
    size_t sum = 0;
    size_t given;
    do {
        given = give(ranks, edge, count - sum);
        sum += given;
    } while (edge->yields && given > 0 && sum < count);
    if (sum > 0)
        edge->demand = 0;
    return sum > 0;
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
    for (int i = 0; i < ranks->edge_count && ranks->cost_ns > 0; i++) {
        struct fm_sched_edge *edge = &ranks->edges[i];
        const size_t left = spare(ranks, unbegun);
        if (edge->demand <= 0 || left == 0)
            continue;
        const size_t count = grant(ranks, left, edge);
        if (count > 0 && give_all(ranks, edge, count))
            unbegun = ranks->ports->unbegun(ranks->context);
    }
    return unbegun;
}

/* What is needed on this side of an edge: by threads that have nothing to do, or run dry before as many
   messages' time is over as hide an answer. */
struct need {
    struct threads threads;
    bool idle; /* somebody has nothing to do right now */
};

static struct need need_but(const struct fm_sched_ranks *ranks, const struct fm_sched_edge *but,
                            size_t unbegun)
{
    const double workers = ranks->workers > 0 ? ranks->workers : 1;
    const double each = (double)unbegun / workers + (ranks->busy ? ranks->begun : 0);
    const double left_ns = each * ranks->cost_ns;
    struct need need = {.idle = ranks->workers > 0 && !ranks->busy && unbegun == 0};
    if (need.idle ||
        (ranks->workers > 0 && ranks->cost_ns > 0 && left_ns < LOOK_AHEAD * ranks->link.latency_ns))
        need.threads = (struct threads){ranks->workers, left_ns * ranks->workers};
    for (int i = 0; i < ranks->edge_count; i++) {
        const struct fm_sched_edge *edge = &ranks->edges[i];
        if (edge == but || edge->demand <= 0)
            continue;
        add_demand(ranks, edge, &need.threads);
        need.idle = need.idle || edge->demand_idle;
    }
    return need;
}

/* Writes the need into a message that asks for it, and notes that. */
static void put_need(struct fm_sched_edge *edge, const struct need *need,
                     struct fm_sched_message *message)
{
    edge->asked = need->threads.count;
    edge->asked_idle = need->idle;
    message->workers = need->threads.count;
    message->dry_ns = need->threads.dry_ns / need->threads.count;
    message->idle = need->idle;
}

/* Whether the edge could have something to give: it has come, and owns elements still, or has some of
   ours. */
static bool may_have(const struct fm_sched_edge *edge)
{
    return edge->is_parent || (edge->heard && (!edge->done || edge->away > 0));
}

/* Whether the need is worse than the edge was told. */
static bool is_news(const struct fm_sched_edge *edge, const struct need *need)
{
    return need->threads.count >= GROWN * edge->asked || (need->idle && !edge->asked_idle);
}

static bool is_worth_asking(const struct fm_sched_edge *edge, const struct need *need)
{
    return need->threads.count > 0 && may_have(edge) && is_news(edge, need);
}

static void ask(struct fm_sched_ranks *ranks, size_t unbegun)
{
    for (int i = 0; i < ranks->edge_count; i++) {
        struct fm_sched_edge *edge = &ranks->edges[i];
        const struct need need = need_but(ranks, edge, unbegun);
        struct fm_sched_message message = {.kind = FM_SCHED_ASK};
        if (!is_worth_asking(edge, &need))
            continue;
        put_need(edge, &need, &message);
        send(ranks, edge->rank, &message, NULL);
    }
}

static void report_done(struct fm_sched_ranks *ranks, struct fm_sched_edge *edge, size_t unbegun)
{
    const struct need need = need_but(ranks, edge, unbegun);
    struct fm_sched_message message = {.kind = FM_SCHED_DONE};
    if (is_worth_asking(edge, &need))
        put_need(edge, &need, &message);
    send(ranks, edge->rank, &message, NULL);
}

static void report(struct fm_sched_ranks *ranks, size_t unbegun)
{
    if (ranks->own_left > 0 || ranks->done_sent)
        return;
    struct fm_sched_edge *parent = NULL;
    for (int i = 0; i < ranks->edge_count; i++) {
        if (ranks->edges[i].is_parent)
            parent = &ranks->edges[i];
        else if (!ranks->edges[i].done)
            return;
    }
    ranks->done_sent = true;
    if (parent != NULL)
        report_done(ranks, parent, unbegun);
    else
        end_all(ranks);
}

void fm_sched_ranks_turn(struct fm_sched_ranks *ranks)
{
    if (ranks->ended)
        return;
    size_t unbegun = ranks->ports->unbegun(ranks->context);
    if (!ranks->stopped)
        unbegun = serve(ranks, unbegun);
    report(ranks, unbegun);
    if (ranks->stopped || ranks->ended)
        return;
    ask(ranks, unbegun);
    if (unbegun == 0 && fm_sched_ranks_due_ns(ranks) <= ranks->now_ns)
        see_to(ranks, first_due(ranks));
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
    close_lease(ranks, lease);
}

/* A result that is on its way is answer enough. */
static void receive_ping(struct fm_sched_ranks *ranks, int from,
                         const struct fm_sched_message *message)
{
    const struct fm_sched_message pong = {.kind = FM_SCHED_PONG, .lease = message->lease};
    for (int i = 0; i < ranks->job_slots && !ranks->ended; i++)
        if (ranks->jobs[i].giver == from && ranks->jobs[i].lease == message->lease)
            send(ranks, from, &pong, NULL);
}

static void receive_pong(const struct fm_sched_ranks *ranks, int from,
                         const struct fm_sched_message *message)
{
    struct fm_sched_lease *lease = lease_find(ranks, from, message->lease);
    if (lease != NULL && !lease->again)
        extend(ranks, lease);
}

static void receive_ask(const struct fm_sched_ranks *ranks, struct fm_sched_edge *edge,
                        const struct fm_sched_message *message)
{
    edge->demand = message->workers;
    edge->dry_at_ns = ranks->now_ns + message->dry_ns;
    edge->demand_idle = message->idle;
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
    case FM_SCHED_ASK: receive_ask(ranks, edge, message); break;
    case FM_SCHED_GIVE: receive_give(ranks, edge, message, job); break;
    case FM_SCHED_RESULT: receive_result(ranks, from, message, run); break;
    case FM_SCHED_DONE:
        edge->done = true;
        if (message->workers > 0)
            receive_ask(ranks, edge, message);
        break;
    case FM_SCHED_STOP: fm_sched_ranks_stop(ranks); break;
    case FM_SCHED_PING: receive_ping(ranks, from, message); break;
    case FM_SCHED_PONG: receive_pong(ranks, from, message); break;
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
    if (j->giver == AGAIN) {
        j->giver = FREE;
        accept_copy(ranks, job);
        return true;
    }
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
    for (int i = 0; i < ranks->edge_count && ranks->code != 0; i++)
        if (!ranks->edges[i].ended)
            return false;
    return ranks->ended;
}

/* ---- Life ---- */

bool fm_sched_ranks_init(struct fm_sched_ranks *ranks, const struct fm_sched_ports *ports,
                         void *context, struct fm_sched_edge *edges, int edge_count, double workers,
                         size_t n)
{
    *ranks = (struct fm_sched_ranks){
        .ports = ports,
        .context = context,
        .edges = edges,
        .edge_count = edge_count,
        .workers = workers,
        .begun = BEGUN,
        .own_left = n,
        .link = {.run_most = SIZE_MAX},
    };
    for (int i = 0; i < edge_count; i++)
        edges[i] = (struct fm_sched_edge){
            .rank = edges[i].rank, .is_parent = edges[i].is_parent, .yields = edges[i].yields};
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
