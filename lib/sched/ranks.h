/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One rank's part in a map over many: what it asks of whom, what it gives away, what is still out, and when
 * the map is over. Pure: messages and times are arguments, messages and takings go through ports, so that
 * the MPI tier and bench/simulate drive the same code.
 *
 * Words
 * -----
 * job     a contiguous run of elements that this rank must deliver: its own map, or what it was given
 * lease   a part of a job that was given to a neighbour; it ends with that neighbour's result
 * edge    a neighbour in the tree (sched/tree.h): the only ranks that this one exchanges messages with
 *
 * How work finds idle ranks
 * -------------------------
 * A rank that runs low asks on every edge. An ask is not answered but kept until there is something to
 * give: whoever cannot serve it now adds it to what it asks of its own other neighbours, so need spreads
 * through the tree until it meets work, once for each edge and direction, without polling or retries. An
 * ask says how many threads stand behind it, the neighbours' included, and when they run dry: work that
 * comes is split in proportion, by the split equation, at every rank it passes, and whoever has as much to
 * do as the giver gets nothing. Work that was given can be given on; its results return the way it came,
 * whole leases at a time, and each lease is accepted once.
 *
 * What a neighbour still holds when it is overdue and does not answer (its processor is taken by others, its
 * node is in trouble), its giver computes again if it has nothing else to do, from a copy: a job of its own,
 * whose elements can be given on like others. Whichever comes first closes the lease, and the other is
 * dropped. Somebody who answers is inside a long element, which nobody else would finish sooner.
 *
 * An element goes only to somebody who would begin it sooner, and threads without work have the first claim
 * on what arrives at their rank: without these two rules the last elements are passed around for ever.
 *
 *     ASK      workers: so many threads could compute, from dry_ns on (their mean), idle: some have nothing
 *              to do right now; replaces the edge's earlier ask
 *     GIVE     lease, owner's first and count, with inputs; takes the ask back
 *     RESULT   lease, with outputs
 *     DONE     child to parent: all elements owned in this subtree are delivered; asks like ASK as well
 *     STOP     begin no more elements (an element failed, and the map's policy is to stop)
 *     END      the map is over
 *     PING     lease: is it being worked at?
 *     PONG     it is
 *
 * The root sends END to its children when everything is done, who pass it on, and each leaves at once: the
 * root of a map that it owns waits for nobody. Nothing but asks can be in flight then; the tier drops what
 * arrives for a map that is over. Where the map is wrong, whoever finds it out sends END with the reason on
 * all edges, and so does who receives the first of these; such an edge is closed when END has gone both
 * ways, and a rank is through when all its edges are, so that no large message is left half-way.
 */
#ifndef FM_SCHED_RANKS_H
#define FM_SCHED_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fm_sched_kind {
    FM_SCHED_ASK = 1,
    FM_SCHED_GIVE,
    FM_SCHED_RESULT,
    FM_SCHED_DONE,
    FM_SCHED_STOP,
    FM_SCHED_END,
    FM_SCHED_PING,
    FM_SCHED_PONG
};

struct fm_sched_message {
    int kind;
    int code;       /* END: 0, or why the map is wrong */
    double workers; /* ASK, DONE; 0: nothing is asked */
    double dry_ns;  /* ASK, DONE: until these threads have nothing to do, on average */
    bool idle;      /* ASK, DONE */
    double cost_ns; /* GIVE: an element's on one thread, as far as known */
    uint64_t lease; /* GIVE, RESULT, PING, PONG: the giver's number for it */
    uint64_t first; /* GIVE: index in the owner's map */
    uint64_t count; /* GIVE, RESULT: elements */
};

/* A run of elements of one of this rank's jobs. */
struct fm_sched_run {
    int job;
    size_t first; /* index in the owner's map */
    size_t count;
};

struct fm_sched_ports {
    /* Sends the message, with the inputs of `run` (GIVE) or the outputs of the whole job (RESULT). */
    void (*send)(void *context, int rank, const struct fm_sched_message *message,
                 const struct fm_sched_run *run);
    /* Elements that nobody here has begun; where they are known to differ, as many of mean cost as they are
       worth, but not 0. */
    size_t (*unbegun)(void *context);
    /* Takes so many of them, by the same count, out of the reach of this rank's threads: a contiguous run of
       one job. Returns how many, about; run->count is the true number. */
    size_t (*take)(void *context, size_t want, struct fm_sched_run *run);
    /* Makes a new job out of a copy of that run, to be computed. False: no memory. */
    bool (*again)(void *context, int job, const struct fm_sched_run *run);
    /* Such a job is complete, and the first: its outputs belong to that run, for which
       fm_sched_ranks_delivered() is to follow. */
    void (*accept)(void *context, int job, const struct fm_sched_run *run);
    /* A job is computed for nothing: forget it. */
    void (*cancel)(void *context, int job);
};

/* What it costs to move elements on an edge: measured, or a first guess of it. */
struct fm_sched_link {
    double latency_ns; /* from ask to the first element */
    double element_ns; /* to move an element's input and output */
    size_t run_most;   /* elements in one message at most */
};

struct fm_sched_edge {
    int rank;
    double asked;     /* threads we asked for and got nothing yet, 0: none */
    double demand;    /* threads they ask for, 0: none */
    double dry_at_ns; /* when these have nothing to do, on average */
    size_t away;      /* elements that they have of us */
    bool asked_idle;
    bool demand_idle;
    bool is_parent;
    bool
        yields; /* what it has not begun comes back as soon as somebody asks: it may have all it asks for */
    bool done;  /* a child: its subtree is */
    bool heard; /* it takes part in this map */
    bool ended; /* nothing more comes from it */
};

struct fm_sched_job {
    int giver;      /* rank; -1: an own map; -2: the slot is free; -3: a copy of what is out */
    uint64_t lease; /* the giver's number for it; of a copy: this rank's for what is out */
    size_t first;
    size_t count;
    size_t left; /* not delivered */
};

struct fm_sched_lease {
    uint64_t number; /* 0: the slot is free */
    int thief;
    double given_ns;
    double due_ns; /* then something is to be done about it */
    bool asked;    /* whether it is being worked at */
    bool again;    /* is computed here, too */
    struct fm_sched_run run;
};

struct fm_sched_ranks {
    const struct fm_sched_ports *ports;
    void *context;
    struct fm_sched_link link;
    double workers; /* threads of this rank; 0: it computes nothing itself */
    bool busy;      /* they are computing; kept up to date by the caller, like: */
    double begun;   /* elements, that are left of the one that each is in; at first half of one */
    double now_ns;  /* since any moment */
    double cost_ns; /* an element's on one of them, 0: unknown */
    struct fm_sched_edge *edges;
    int edge_count;
    struct fm_sched_job *jobs;
    int job_slots;
    struct fm_sched_lease *leases;
    int lease_slots;
    uint64_t next_number;
    size_t own_left; /* own elements not delivered */
    bool done_sent;
    bool ended; /* END has been sent on all edges */
    bool stopped;
    int code; /* why the map is wrong; 0: it is not */
    /* For reports and benchmarks: */
    uint64_t sent;
    uint64_t received;
    size_t given;
    size_t repeated; /* elements of copies */
};

/* Prepares a rank for a map of which it owns n elements; their job is number 0 (also where n is 0). edges:
   edge_count of them with rank, is_parent and yields set, kept by the caller until fm_sched_ranks_free().
   False: no memory. */
bool fm_sched_ranks_init(struct fm_sched_ranks *ranks, const struct fm_sched_ports *ports,
                         void *context, struct fm_sched_edge *edges, int edge_count, double workers,
                         size_t n);
void fm_sched_ranks_free(struct fm_sched_ranks *ranks);

/* Takes in a message. GIVE: *job is the new job, whose inputs came with it; -1 where it is to be dropped,
   as the map is wrong (or there is no memory: then the map is wrong from now on). RESULT: *run is where the
   outputs belong; fm_sched_ranks_delivered() is to follow when they are there; a count of 0: dropped, it
   has been accepted before. */
void fm_sched_ranks_receive(struct fm_sched_ranks *ranks, int from,
                            const struct fm_sched_message *message, int *job,
                            struct fm_sched_run *run);

/* `count` elements of the job are in place, computed here or by others. Sends the result of a job that is
   complete and gives its slot back; true then: its data may go. */
bool fm_sched_ranks_delivered(struct fm_sched_ranks *ranks, int job, size_t count);

/* What follows from all that: gives, asks, reports. To be called after every event, and now and then. */
void fm_sched_ranks_turn(struct fm_sched_ranks *ranks);

/* When a lease is due, if nothing else happens to this rank before; INFINITY: never. */
double fm_sched_ranks_due_ns(const struct fm_sched_ranks *ranks);

/* Begin no more elements, anywhere. */
void fm_sched_ranks_stop(struct fm_sched_ranks *ranks);

/* The map is wrong: ends it on all ranks with that code. */
void fm_sched_ranks_fail(struct fm_sched_ranks *ranks, int code);

/* Whether this rank may leave the map. */
bool fm_sched_ranks_is_through(const struct fm_sched_ranks *ranks);

/* Whether ledger and edges can be what they say. */
bool fm_sched_ranks_is_valid(const struct fm_sched_ranks *ranks);

#endif
