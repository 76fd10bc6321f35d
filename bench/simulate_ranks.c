/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmap's ranks in simulated time, around the very code that ships (lib/sched/ranks.c). A message takes
 * latency plus size over bandwidth, and its sender and receiver a fixed time each, during which they handle
 * no other message. Threads take the next element of what lies at their rank.
 */
#include <math.h>
#include <stdlib.h>

#include "sched/tree.h"
#include "simulate.h"

enum { ARRIVAL, HANDLED, FINISH, WAKE };

/* What has a job's number. */
struct place {
    size_t base;         /* number of its owner's first element */
    unsigned generation; /* of those that have had it */
};

struct rank {
    struct fm_sched_ranks sched;
    struct sim_queue queue;
    struct place *jobs;
    int job_room;
    int number;
    int working;       /* threads inside an element */
    double wake_at_ns; /* 0: it sleeps until something comes */
    double free_at_ns; /* for the next message */
    double arrived_ns; /* when what it sent last does */
    double learned_ns;
    size_t learned;
};

static struct rank *ranks;
static struct sim_outcome outcome;
static double now_ns;
static double overrun_ns; /* of elements that the last one found begun, and of itself */

static double serve(struct rank *rank)
{
    rank->free_at_ns = (now_ns > rank->free_at_ns ? now_ns : rank->free_at_ns) + sim.message_ns;
    return rank->free_at_ns;
}

static void send(void *context, int to, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    struct rank *rank = context;
    const double bytes = 64 + (run != NULL ? (double)(run->count * sim.bytes) / 2 : 0);
    const double at_ns = serve(rank) + sim.latency_ns + bytes * sim.byte_ns;
    outcome.bytes += bytes;
    /* Messages of a rank arrive in the order in which it sent them. */
    rank->arrived_ns = at_ns > rank->arrived_ns ? at_ns : rank->arrived_ns;
    sim_push(&(struct sim_event){.at_ns = rank->arrived_ns,
                                 .what = ARRIVAL,
                                 .rank = to,
                                 .from = rank->number,
                                 .base = run != NULL ? rank->jobs[run->job].base : 0,
                                 .message = *message});
}

static size_t unbegun(void *context)
{
    return ((struct rank *)context)->queue.count;
}

static size_t take(void *context, size_t want, struct fm_sched_run *run)
{
    const struct sim_span span = sim_take(&((struct rank *)context)->queue, want);
    *run = (struct fm_sched_run){.job = span.job, .first = span.first, .count = span.count};
    return span.count;
}

static void add_job(struct rank *rank, int job, size_t base, size_t first, size_t count)
{
    if (job >= rank->job_room) {
        const size_t room = 2 * (size_t)job + 8;
        rank->jobs = realloc(rank->jobs, room * sizeof *rank->jobs);
        if (rank->jobs == NULL)
            exit(1);
        while (rank->job_room < (int)room)
            rank->jobs[rank->job_room++] = (struct place){0};
    }
    rank->jobs[job].base = base;
    rank->jobs[job].generation++;
    sim_add(&rank->queue, job, base, first, count);
}

/* Elements that are in place; owners count them. */
static void deliver(struct rank *rank, int job, size_t count)
{
    outcome.done += job == 0 ? count : 0;
    (void)fm_sched_ranks_delivered(&rank->sched, job, count);
}

static bool again(void *context, int job, const struct fm_sched_run *run)
{
    struct rank *rank = context;
    add_job(rank, job, rank->jobs[run->job].base, run->first, run->count);
    return true;
}

static void accept(void *context, int job, const struct fm_sched_run *run)
{
    (void)job;
    deliver(context, run->job, run->count);
}

static void cancel(void *context, int job)
{
    struct rank *rank = context;
    rank->jobs[job].generation++;
    sim_remove(&rank->queue, job);
}

static const struct fm_sched_ports ports = {.send = send,
                                            .unbegun = unbegun,
                                            .take = take,
                                            .again = again,
                                            .accept = accept,
                                            .cancel = cancel};

/* So that it looks when something is overdue. */
static void set_alarm(struct rank *rank)
{
    const double at_ns = fm_sched_ranks_due_ns(&rank->sched);
    if (!(at_ns < INFINITY) || (rank->wake_at_ns > now_ns && rank->wake_at_ns <= at_ns))
        return;
    rank->wake_at_ns = at_ns;
    sim_push(&(struct sim_event){
        .at_ns = at_ns > now_ns ? at_ns : now_ns, .what = WAKE, .rank = rank->number});
}

static void begin_elements(struct rank *rank)
{
    while (rank->working < sim.threads && rank->queue.count > 0 && !rank->sched.ended) {
        const struct sim_span next = sim_next(&rank->queue);
        const double cost = sim_time_ns(next.base + next.first, rank->number, now_ns);
        rank->working++;
        outcome.busy_ns += cost;
        outcome.begun_ns = now_ns;
        overrun_ns = 0;
        sim_push(&(struct sim_event){.at_ns = now_ns + cost,
                                     .what = FINISH,
                                     .rank = rank->number,
                                     .job = next.job,
                                     .generation = rank->jobs[next.job].generation,
                                     .cost_ns = cost});
    }
}

static void turn(struct rank *rank)
{
    size_t repeated;
    do {
        repeated = rank->sched.repeated;
        begin_elements(rank);
        rank->sched.busy = rank->working == sim.threads;
        rank->sched.now_ns = now_ns;
        fm_sched_ranks_turn(&rank->sched);
    } while (rank->sched.repeated > repeated);
    set_alarm(rank);
}

static void handle(struct rank *rank, const struct sim_event *event)
{
    struct fm_sched_run run;
    int job;
    rank->sched.now_ns = now_ns;
    fm_sched_ranks_receive(&rank->sched, event->from, &event->message, &job, &run);
    if (job >= 0)
        add_job(rank, job, event->base, (size_t)event->message.first, (size_t)event->message.count);
    if (run.count > 0)
        deliver(rank, run.job, run.count);
    turn(rank);
}

static void finish(struct rank *rank, const struct sim_event *event)
{
    rank->working--;
    rank->learned++;
    rank->learned_ns += event->cost_ns;
    rank->sched.cost_ns = rank->learned_ns / (double)rank->learned;
    overrun_ns += now_ns - outcome.begun_ns;
    if (rank->jobs[event->job].generation == event->generation && !rank->sched.ended)
        deliver(rank, event->job, 1);
    turn(rank);
}

/* ---- A run ---- */

static void make_edges(void)
{
    const size_t size = (size_t)sim.ranks;
    int *node = malloc(size * sizeof *node);
    int *parent = malloc(4 * size * sizeof *parent);
    int *children = calloc(size, sizeof *children);
    for (int r = 0; r < sim.ranks; r++)
        node[r] = r / sim.per_node;
    fm_sched_tree(sim.ranks, node, FM_SCHED_FANOUT, parent + size, parent);
    for (int r = 1; r < sim.ranks; r++)
        children[parent[r]]++;
    for (int r = 0; r < sim.ranks; r++) {
        ranks[r].number = r;
        ranks[r].sched.edges = calloc((size_t)children[r] + 1, sizeof *ranks[r].sched.edges);
        if (parent[r] < 0)
            continue;
        struct fm_sched_ranks *up = &ranks[parent[r]].sched;
        ranks[r].sched.edges[ranks[r].sched.edge_count++] =
            (struct fm_sched_edge){.rank = parent[r], .is_parent = true};
        up->edges[up->edge_count++] = (struct fm_sched_edge){.rank = r};
    }
    free(node);
    free(parent);
    free(children);
}

/* A child is asked for nothing before it has said something. */
static void greet(struct rank *rank)
{
    const struct fm_sched_message hello = {.kind = FM_SCHED_ASK};
    for (int i = 0; i < rank->sched.edge_count; i++)
        send(rank, rank->sched.edges[i].rank, &hello, NULL);
}

static void begin(void)
{
    for (int r = 0; r < sim.ranks; r++) {
        struct rank *rank = &ranks[r];
        if (!fm_sched_ranks_init(&rank->sched, &ports, rank, rank->sched.edges,
                                 rank->sched.edge_count, sim.threads, sim_owned(r)))
            exit(1);
        rank->sched.link.latency_ns = 2 * sim.latency_ns + 4 * sim.message_ns;
        rank->sched.link.element_ns = (double)sim.bytes * sim.byte_ns;
        add_job(rank, 0, sim_first_of(r), 0, sim_owned(r));
    }
    for (int r = 0; r < sim.ranks; r++) {
        if (sim_owned(r) > 0)
            greet(&ranks[r]);
        turn(&ranks[r]);
    }
}

static void end(void)
{
    for (int r = 0; r < sim.ranks; r++) {
        const double handled = (double)(ranks[r].sched.sent + ranks[r].sched.received);
        outcome.messages += handled;
        outcome.busiest = handled > outcome.busiest ? handled : outcome.busiest;
        free(ranks[r].sched.edges);
        free(ranks[r].jobs);
        while (ranks[r].queue.count > 0) /* copies that came too late */
            (void)sim_next(&ranks[r].queue);
        fm_sched_ranks_free(&ranks[r].sched);
    }
    free(ranks);
}

struct sim_outcome sim_fastmap(void)
{
    struct sim_event event;
    outcome = (struct sim_outcome){0};
    now_ns = 0;
    overrun_ns = 0;
    ranks = calloc((size_t)sim.ranks, sizeof *ranks);
    make_edges();
    begin();
    while (sim_pop(&event)) {
        struct rank *rank = &ranks[event.rank];
        if (event.what == WAKE && rank->sched.ended)
            continue;
        now_ns = event.at_ns;
        if (event.what == FINISH) {
            finish(rank, &event);
        } else if (event.what == WAKE) {
            turn(rank);
        } else if (event.what == HANDLED) {
            handle(rank, &event);
        } else { /* its turn comes after what the rank handles already */
            event.what = HANDLED;
            event.at_ns = serve(rank);
            sim_push(&event);
        }
    }
    outcome.end_ns = now_ns;
    outcome.busy_ns -= overrun_ns;
    end();
    return outcome;
}
