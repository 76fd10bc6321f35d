/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler of ranks at sizes that no test machine has: a discrete-event model of ranks, threads and a
 * network around the very code that ships (lib/sched/ranks.c). A message takes latency plus size over
 * bandwidth, and its sender and receiver a fixed time each, during which they handle no other message.
 * Threads take the next element of what lies at their rank; costs are drawn from the element's owner and
 * index, so every way of scheduling sees the same elements.
 *
 * The ideal is the sum of all costs over all threads. Printed beside fastmap, over the same costs: a greedy
 * list schedule without any overhead, which the longest elements bound; a static block (each rank its own
 * elements); and what a central master that hands out single elements reaches at most, for its message time.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/ranks.h"
#include "sched/tree.h"

struct options {
    int ranks;
    int threads;
    int per_node;
    size_t elements; /* for each rank, on average */
    double mean_ns;
    double sigma; /* of the lognormal distribution, 0: all alike */
    double latency_ns;
    double byte_ns;
    double message_ns;
    size_t bytes; /* of an element's input and output together */
    bool root_owned;
};

static struct options set = {.ranks = 16384,
                             .threads = 1,
                             .per_node = 64,
                             .elements = 100,
                             .mean_ns = 10e6,
                             .sigma = 1,
                             .latency_ns = 2e3,
                             .byte_ns = 0.1,
                             .message_ns = 400,
                             .bytes = 64};

/* ---- Costs ---- */

static double uniform01(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return ((double)((x ^ x >> 31) >> 11) + 0.5) / 9007199254740992.0;
}

static double cost_ns(int owner, size_t index)
{
    if (set.sigma <= 0)
        return set.mean_ns;
    const uint64_t name = ((uint64_t)(unsigned)owner << 32 | index) * 2;
    const double normal =
        sqrt(-2 * log(uniform01(name))) * cos(6.283185307179586 * uniform01(name + 1));
    return set.mean_ns * exp(set.sigma * normal - set.sigma * set.sigma / 2);
}

static size_t owned_by(int rank)
{
    if (!set.root_owned)
        return set.elements;
    return rank == 0 ? set.elements * (size_t)set.ranks : 0;
}

/* ---- Events: a binary heap ---- */

enum what { ARRIVAL, FINISH };

struct event {
    double at_ns;
    enum what what;
    int rank;
    int from;  /* ARRIVAL */
    int owner; /* ARRIVAL, of the elements that the message is about */
    int job;   /* FINISH */
    double cost_ns;
    struct fm_sched_message message;
};

static struct event **heap;
static size_t heap_count;
static size_t heap_room;
static double now_ns;

static void sift_up(size_t at)
{
    struct event *event = heap[at];
    for (; at > 0 && heap[(at - 1) / 2]->at_ns > event->at_ns; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = event;
}

static void push(const struct event *event)
{
    if (heap_count == heap_room) {
        heap_room = heap_room > 0 ? 2 * heap_room : 1024;
        heap = realloc(heap, heap_room * sizeof(struct event *));
    }
    struct event *kept = malloc(sizeof *kept);
    if (heap == NULL || kept == NULL) {
        fprintf(stderr, "simulate: no memory\n");
        exit(1);
    }
    *kept = *event;
    heap[heap_count] = kept;
    sift_up(heap_count++);
}

static struct event *pop(void)
{
    struct event *first = heap[0];
    struct event *last = heap[--heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap_count; at = child) {
        if (child + 1 < heap_count && heap[child + 1]->at_ns < heap[child]->at_ns)
            child++;
        if (heap[child]->at_ns >= last->at_ns)
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    return first;
}

/* ---- Ranks ---- */

struct span {
    struct span *next;
    int job;
    int owner;
    size_t first;
    size_t count;
};

struct rank {
    struct fm_sched_ranks sched;
    struct span *spans;
    int *owner_of; /* by job */
    int owner_room;
    int number;
    int working;       /* threads inside an element */
    double free_at_ns; /* for the next message */
    double arrived_ns; /* when what it sent last does */
    double learned_ns;
    size_t learned;
    double bytes;
};

static struct rank *ranks;
static size_t done;

static double serve(struct rank *rank, double from_ns)
{
    const double begun = from_ns > rank->free_at_ns ? from_ns : rank->free_at_ns;
    rank->free_at_ns = begun + set.message_ns;
    return rank->free_at_ns;
}

static void send(void *context, int to, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    struct rank *rank = context;
    const double bytes = 64 + (run != NULL ? (double)(run->count * set.bytes) / 2 : 0);
    rank->bytes += bytes;
    /* Messages of a rank arrive in the order in which it sent them. */
    const double arrives_ns =
        fmax(serve(rank, now_ns) + set.latency_ns + bytes * set.byte_ns, rank->arrived_ns);
    rank->arrived_ns = arrives_ns;
    push(&(struct event){.at_ns = arrives_ns,
                         .what = ARRIVAL,
                         .rank = to,
                         .from = rank->number,
                         .owner = run != NULL ? rank->owner_of[run->job] : -1,
                         .message = *message});
}

static size_t unbegun(void *context)
{
    size_t sum = 0;
    for (const struct span *s = ((struct rank *)context)->spans; s != NULL; s = s->next)
        sum += s->count;
    return sum;
}

static size_t take(void *context, size_t want, struct fm_sched_run *run)
{
    struct rank *rank = context;
    struct span *longest = rank->spans;
    for (struct span *s = rank->spans; s != NULL; s = s->next)
        if (s->count > longest->count)
            longest = s;
    if (longest == NULL)
        return 0;
    const size_t count = want < longest->count ? want : longest->count;
    longest->count -= count;
    *run = (struct fm_sched_run){
        .job = longest->job, .first = longest->first + longest->count, .count = count};
    return count;
}

static const struct fm_sched_ports ports = {.send = send, .unbegun = unbegun, .take = take};

static void add_span(struct rank *rank, int job, int owner, size_t first, size_t count)
{
    if (job >= rank->owner_room) {
        rank->owner_room = job + 8;
        rank->owner_of = realloc(rank->owner_of, (size_t)rank->owner_room * sizeof(int));
    }
    struct span *span = malloc(sizeof *span);
    *span = (struct span){
        .next = rank->spans, .job = job, .owner = owner, .first = first, .count = count};
    rank->owner_of[job] = owner;
    rank->spans = span;
}

/* Lets idle threads begin. */
static void start_threads(struct rank *rank)
{
    while (rank->working < set.threads) {
        while (rank->spans != NULL && rank->spans->count == 0) {
            struct span *empty = rank->spans;
            rank->spans = empty->next;
            free(empty);
        }
        struct span *span = rank->spans;
        if (span == NULL)
            return;
        const double cost = cost_ns(span->owner, span->first);
        span->first++;
        span->count--;
        rank->working++;
        push(&(struct event){.at_ns = now_ns + cost,
                             .what = FINISH,
                             .rank = rank->number,
                             .job = span->job,
                             .cost_ns = cost});
    }
}

static void turn(struct rank *rank)
{
    start_threads(rank);
    rank->sched.busy = rank->working == set.threads;
    fm_sched_ranks_turn(&rank->sched);
}

static void arrive(const struct event *event)
{
    struct rank *rank = &ranks[event->rank];
    struct fm_sched_run run;
    int job;
    fm_sched_ranks_receive(&rank->sched, event->from, &event->message, &job, &run);
    if (job >= 0)
        add_span(rank, job, event->owner, (size_t)event->message.first,
                 (size_t)event->message.count);
    if (run.count > 0)
        (void)fm_sched_ranks_delivered(&rank->sched, run.job, run.count);
    turn(rank);
}

static void finish(const struct event *event)
{
    struct rank *rank = &ranks[event->rank];
    rank->working--;
    rank->learned++;
    rank->learned_ns += event->cost_ns;
    rank->sched.cost_ns = rank->learned_ns / (double)rank->learned;
    done++;
    (void)fm_sched_ranks_delivered(&rank->sched, event->job, 1);
    turn(rank);
}

/* ---- A run ---- */

static void make_ranks(void)
{
    const size_t size = (size_t)set.ranks;
    int *node = malloc(size * sizeof *node);
    int *parent = malloc(4 * size * sizeof *parent);
    int *children = calloc(size, sizeof *children);
    ranks = calloc(size, sizeof *ranks);
    for (int r = 0; r < set.ranks; r++)
        node[r] = r / set.per_node;
    fm_sched_tree(set.ranks, node, FM_SCHED_FANOUT, parent + size, parent);
    for (int r = 0; r < set.ranks; r++)
        if (parent[r] >= 0)
            children[parent[r]]++;
    for (int r = 0; r < set.ranks; r++) {
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

static void begin(void)
{
    for (int r = 0; r < set.ranks; r++) {
        struct rank *rank = &ranks[r];
        struct fm_sched_edge *edges = rank->sched.edges;
        const int count = rank->sched.edge_count;
        if (!fm_sched_ranks_init(&rank->sched, &ports, rank, edges, count, set.threads,
                                 owned_by(r)))
            exit(1);
        rank->sched.link.latency_ns = 2 * set.latency_ns + 4 * set.message_ns;
        rank->sched.link.element_ns = (double)set.bytes * set.byte_ns;
        add_span(rank, 0, r, 0, owned_by(r));
    }
    for (int r = 0; r < set.ranks; r++)
        turn(&ranks[r]);
}

static void run(void)
{
    while (heap_count > 0) {
        struct event *event = pop();
        now_ns = event->at_ns;
        if (event->what == FINISH) {
            finish(event);
        } else {
            struct rank *rank = &ranks[event->rank];
            if (rank->free_at_ns > now_ns) { /* later, when its turn has come */
                event->at_ns = serve(rank, now_ns);
            } else {
                (void)serve(rank, now_ns);
            }
            arrive(event);
        }
        free(event);
    }
}

static double element_of_all(size_t i)
{
    return set.root_owned ? cost_ns(0, i) : cost_ns((int)(i / set.elements), i % set.elements);
}

/* When all is done if a free thread always has the next element at once: what no schedule beats by much that
   does not know costs beforehand. A heap of the times at which threads are free. */
static double greedy_ns(void)
{
    const size_t threads = (size_t)set.ranks * (size_t)set.threads;
    double *free_at = calloc(threads, sizeof *free_at);
    double last = 0;
    for (size_t i = 0; i < set.elements * (size_t)set.ranks && free_at != NULL; i++) {
        const double until = free_at[0] + element_of_all(i);
        size_t at = 0;
        for (size_t child; (child = 2 * at + 1) < threads; at = child) {
            if (child + 1 < threads && free_at[child + 1] < free_at[child])
                child++;
            if (free_at[child] >= until)
                break;
            free_at[at] = free_at[child];
        }
        free_at[at] = until;
        last = until > last ? until : last;
    }
    free(free_at);
    return last;
}

static void report(void)
{
    const double threads = (double)set.ranks * set.threads;
    double sum = 0;
    double block_most = 0;
    double messages = 0;
    double busiest = 0;
    double bytes = 0;
    for (int r = 0; r < set.ranks; r++) {
        double block = 0;
        const struct rank *rank = &ranks[r];
        const double handled = (double)(rank->sched.sent + rank->sched.received);
        for (size_t i = 0; i < set.elements; i++)
            block += element_of_all((size_t)r * set.elements + i);
        sum += block;
        block_most = block > block_most ? block : block_most;
        messages += handled;
        busiest = handled > busiest ? handled : busiest;
        bytes += rank->bytes;
    }
    const double ideal = sum / threads;
    const double elements = (double)set.ranks * (double)set.elements;
    const double master = fmax(sum / (threads - set.threads), 2 * elements * set.message_ns);
    printf(
        "%6d ranks x %d, %zu elements each, %s, sigma %g: efficiency %.4f; a greedy list without "
        "overhead %.4f; static %.4f; central master %.4f at most\n",
        set.ranks, set.threads, set.elements, set.root_owned ? "root-owned" : "distributed",
        set.sigma, ideal / now_ns, ideal / greedy_ns(), ideal / (block_most / set.threads),
        set.ranks > 1 ? ideal / master : 0.0);
    printf("       messages a rank %.1f, busiest rank %.0f = %.2f%% of a central master's; bytes a "
           "rank %.0f%s\n",
           messages / set.ranks, busiest, 100 * busiest / (2 * elements), bytes / set.ranks,
           done == (size_t)elements ? "" : "  ELEMENTS LOST");
}

static void usage(void)
{
    puts("usage: simulate [--ranks N] [--threads N] [--per-node N] [--elements N] [--mean-us X] "
         "[--sigma X]\n"
         "                [--latency-us X] [--gbps X] [--message-us X] [--bytes N] [--root]\n"
         "One map over that many ranks, in simulated time; --root: rank 0 owns all elements.");
}

static double number(const char *name, int argc, char **argv, double otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return atof(argv[i + 1]);
    return otherwise;
}

static bool has(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (has("--help", argc, argv)) {
        usage();
        return 0;
    }
    set.ranks = (int)number("--ranks", argc, argv, set.ranks);
    set.threads = (int)number("--threads", argc, argv, set.threads);
    set.per_node = (int)number("--per-node", argc, argv, set.per_node);
    set.elements = (size_t)number("--elements", argc, argv, (double)set.elements);
    set.mean_ns = number("--mean-us", argc, argv, set.mean_ns / 1e3) * 1e3;
    set.sigma = number("--sigma", argc, argv, set.sigma);
    set.latency_ns = number("--latency-us", argc, argv, set.latency_ns / 1e3) * 1e3;
    set.byte_ns = 1 / number("--gbps", argc, argv, 1 / set.byte_ns);
    set.message_ns = number("--message-us", argc, argv, set.message_ns / 1e3) * 1e3;
    set.bytes = (size_t)number("--bytes", argc, argv, (double)set.bytes);
    set.root_owned = has("--root", argc, argv);
    if (set.ranks < 1 || set.ranks > 1 << 20 || set.threads < 1 || set.per_node < 1 ||
        set.elements < 1) {
        usage();
        return 2;
    }
    make_ranks();
    begin();
    run();
    report();
    return done == set.elements * (size_t)set.ranks ? 0 : 1;
}
