/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer: random stealing. A rank without work asks a rank drawn at random, which gives half of what it has
 * not begun, or refuses; after a refusal the thief waits, twice as long each time. That all is over is
 * known for free, and results need no message.
 */
#include <stdlib.h>

#include "simulate.h"

enum { REQUEST, HANDLE_REQUEST, REPLY, RETRY, FINISH };

#define BACK_OFF_MOST 1024 /* times the first pause */

struct rank {
    struct sim_queue queue;
    int number;
    int working;
    bool asking;
    double free_at_ns;
    double pause_ns;
    double messages;
};

static struct rank *ranks;
static struct sim_outcome outcome;
static double now_ns;
static double overrun_ns; /* of elements that the last one found begun, and of itself */
static uint64_t drawn;

static double serve(struct rank *rank)
{
    rank->messages++;
    rank->free_at_ns = (now_ns > rank->free_at_ns ? now_ns : rank->free_at_ns) + sim.message_ns;
    return rank->free_at_ns;
}

static void send(struct rank *rank, int what, int to, const struct sim_span *span)
{
    const double bytes = 64 + (double)(span->count * sim.bytes) / 2;
    outcome.bytes += bytes;
    sim_push(&(struct sim_event){.at_ns = serve(rank) + sim.latency_ns + bytes * sim.byte_ns,
                                 .what = what,
                                 .rank = to,
                                 .from = rank->number,
                                 .base = span->base,
                                 .message = {.first = span->first, .count = span->count}});
}

static void request(struct rank *rank)
{
    const int others = sim.ranks - 1;
    const int drawn_rank = others > 0 ? (int)(sim_uniform01(drawn++) * others) : 0;
    const struct sim_span none = {0};
    if (others == 0)
        return;
    rank->asking = true;
    send(rank, REQUEST, drawn_rank < rank->number ? drawn_rank : drawn_rank + 1, &none);
}

static void go_on(struct rank *rank)
{
    while (rank->working < sim.threads && rank->queue.count > 0) {
        const struct sim_span next = sim_next(&rank->queue);
        const size_t number = next.base + next.first;
        const double cost = sim_time_ns(number, rank->number, now_ns);
        rank->working++;
        outcome.busy_ns += cost;
        outcome.begun_ns = now_ns;
        overrun_ns = 0;
        sim_push(&(struct sim_event){.at_ns = now_ns + cost, .what = FINISH, .rank = rank->number});
    }
    if (rank->working < sim.threads && !rank->asking)
        request(rank);
}

static void receive_reply(struct rank *rank, const struct sim_event *event)
{
    (void)serve(rank);
    if (event->message.count > 0) {
        rank->asking = false;
        rank->pause_ns = 2 * sim.latency_ns;
        sim_add(&rank->queue, 0, event->base, (size_t)event->message.first,
                (size_t)event->message.count);
        go_on(rank);
        return;
    }
    sim_push(
        &(struct sim_event){.at_ns = now_ns + rank->pause_ns, .what = RETRY, .rank = rank->number});
    if (rank->pause_ns < BACK_OFF_MOST * 2 * sim.latency_ns)
        rank->pause_ns *= 2;
}

static void happen(struct rank *rank, struct sim_event *event)
{
    switch (event->what) {
    case REQUEST:
        event->what = HANDLE_REQUEST;
        event->at_ns = serve(rank);
        sim_push(event);
        break;
    case HANDLE_REQUEST: {
        const struct sim_span half = sim_take(&rank->queue, (rank->queue.count + 1) / 2);
        send(rank, REPLY, event->from, &half);
        break;
    }
    case REPLY: receive_reply(rank, event); break;
    case RETRY:
        rank->asking = false;
        go_on(rank);
        break;
    case FINISH:
        outcome.done++;
        overrun_ns += now_ns - outcome.begun_ns;
        rank->working--;
        go_on(rank);
        break;
    }
}

struct sim_outcome sim_stealing(void)
{
    struct sim_event event;
    outcome = (struct sim_outcome){0};
    now_ns = 0;
    overrun_ns = 0;
    drawn = 0;
    ranks = calloc((size_t)sim.ranks, sizeof *ranks);
    for (int r = 0; r < sim.ranks; r++) {
        ranks[r] = (struct rank){.number = r, .pause_ns = 2 * sim.latency_ns};
        sim_add(&ranks[r].queue, 0, sim_first_of(r), 0, sim_owned(r));
    }
    for (int r = 0; r < sim.ranks; r++)
        go_on(&ranks[r]);
    while (outcome.done < sim_total() && sim_pop(&event)) {
        now_ns = event.at_ns;
        happen(&ranks[event.rank], &event);
    }
    outcome.end_ns = now_ns;
    outcome.busy_ns -= overrun_ns;
    for (int r = 0; r < sim.ranks; r++) {
        outcome.messages += ranks[r].messages;
        outcome.busiest = ranks[r].messages > outcome.busiest ? ranks[r].messages : outcome.busiest;
    }
    sim_drop_events();
    free(ranks);
    return outcome;
}
