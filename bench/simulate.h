/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of the simulator share: the options, the elements' costs, simulated time, and the elements
 * that wait at a rank. Each way of scheduling is one function that makes a struct sim_outcome of them.
 */
#ifndef FM_BENCH_SIMULATE_H
#define FM_BENCH_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/ranks.h"

struct sim_options {
    int ranks;
    int threads;
    int per_node;
    size_t elements; /* for each rank, on average */
    double mean_ns;
    double sigma; /* of the lognormal shape */
    double latency_ns;
    double byte_ns;
    double message_ns;
    size_t bytes; /* of an element's input and output together */
    int shape;    /* index in sim_shapes */
    int own;      /* index in sim_owns */
    uint64_t seed;
};

extern struct sim_options sim;

struct sim_outcome {
    double end_ns;
    double begun_ns; /* when the last element begins, and ... */
    double busy_ns;  /* ... the threads' time inside elements until then; 0: not known */
    double messages; /* sent and received, all ranks */
    double busiest;  /* the same, of one rank */
    double bytes;
    size_t done;
};

/* ---- Elements (simulate_work.c) ---- */

extern const char *const sim_shapes[];
enum { SIM_UNIFORM, SIM_LOGNORMAL, SIM_PARETO, SIM_RAMP, SIM_SLOW_NODE, SIM_STALL };

extern const char *const sim_owns[];
enum { SIM_ROOT, SIM_DISTRIBUTED, SIM_CLUSTERED };

double sim_uniform01(uint64_t x);
size_t sim_total(void);
size_t sim_owned(int rank);
size_t sim_first_of(int rank);     /* elements are numbered through, in the order of their owners */
double sim_cost_ns(size_t number); /* on a rank of the usual speed */
double sim_time_ns(size_t number, int rank, double from_ns); /* on that rank, begun then */
double sim_ideal_ns(void);
double sim_greedy_ns(void);

/* ---- Events (simulate_events.c): equal times come in the order in which they were pushed ---- */

struct sim_event {
    double at_ns;
    uint64_t order;
    int what;
    int rank;
    int from;
    int job;
    unsigned generation; /* of the job's number */
    size_t base;         /* number of the owner's first element */
    double cost_ns;
    struct fm_sched_message message;
};

void sim_push(const struct sim_event *event);
bool sim_pop(struct sim_event *event); /* false: there is none */
void sim_drop_events(void);

/* ---- Elements that wait at a rank (simulate_events.c) ---- */

struct sim_span {
    struct sim_span *next;
    int job;
    size_t base;
    size_t first;
    size_t count;
};

struct sim_queue {
    struct sim_span *spans; /* none is empty */
    size_t count;
};

void sim_add(struct sim_queue *queue, int job, size_t base, size_t first, size_t count);
/* Takes up to `want` from the end of the longest span. */
struct sim_span sim_take(struct sim_queue *queue, size_t want);
/* The next element of the latest span; the queue is not empty. */
struct sim_span sim_next(struct sim_queue *queue);
/* Takes all of a job out. */
void sim_remove(struct sim_queue *queue, int job);

/* ---- Ways of scheduling ---- */

struct sim_outcome sim_fastmap(void); /* simulate_ranks.c */
struct sim_outcome sim_static(void);  /* simulate_peers.c, like the following */
struct sim_outcome sim_central(void); /* the best of fixed chunks */
struct sim_outcome sim_guided(void);
struct sim_outcome sim_factoring(void);
struct sim_outcome sim_trapezoid(void);
struct sim_outcome sim_stealing(void); /* simulate_steal.c */

#endif
