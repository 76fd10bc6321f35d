/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peers that need no events among ranks: a static block, and a dedicated master (rank 0) that hands out
 * chunks by a rule. A worker's thread asks when its chunk is done; the master handles one message at a
 * time. Owners do not matter to them: the inputs are taken to be at the master.
 */
#include <math.h>
#include <stdlib.h>

#include "simulate.h"

struct sim_outcome sim_static(void)
{
    struct sim_outcome out = {.done = sim_total()};
    for (int r = 0; r < sim.ranks; r++) {
        /* Each thread a block of its own. */
        for (size_t t = 0; t < (size_t)sim.threads; t++) {
            double at_ns = 0;
            const size_t begin = (size_t)r * sim.elements;
            const size_t to = begin + sim.elements * (t + 1) / (size_t)sim.threads;
            for (size_t i = begin + sim.elements * t / (size_t)sim.threads; i < to; i++)
                at_ns += sim_time_ns(i, r, at_ns);
            out.end_ns = fmax(out.end_ns, at_ns);
        }
    }
    out.messages = 4.0 * (sim.ranks - 1);
    out.busiest = 2.0 * (sim.ranks - 1);
    return out;
}

/* ---- A master ---- */

/* Elements of the next chunk; `handed` chunks are out. */
typedef size_t chunk_rule(size_t left, size_t threads, size_t handed, size_t argument);

static size_t fixed(size_t left, size_t threads, size_t handed, size_t argument)
{
    (void)left;
    (void)threads;
    (void)handed;
    return argument;
}

static size_t guided(size_t left, size_t threads, size_t handed, size_t argument)
{
    (void)handed;
    (void)argument;
    return (left + threads - 1) / threads;
}

/* Rounds in which each thread gets one chunk; a round is half of what was left, so half of each. */
static size_t factoring(size_t left, size_t threads, size_t handed, size_t argument)
{
    (void)left;
    (void)argument;
    return (size_t)ceil((double)sim_total() / (double)threads *
                        pow(0.5, (double)(handed / threads) + 1));
}

/* From the half of a fair share down to one, in equal steps. */
static size_t trapezoid(size_t left, size_t threads, size_t handed, size_t argument)
{
    (void)left;
    (void)argument;
    const double largest = fmax(1, (double)sim_total() / (2 * (double)threads));
    const double chunks = ceil(2 * (double)sim_total() / (largest + 1));
    const double step = chunks > 1 ? (largest - 1) / (chunks - 1) : 0;
    return (size_t)fmax(1, largest - step * (double)handed);
}

static double compute_ns(size_t first, size_t count, int rank, double at_ns)
{
    double ns = 0;
    for (size_t i = first; i < first + count; i++)
        ns += sim_time_ns(i, rank, at_ns + ns);
    return ns;
}

static struct sim_outcome master(chunk_rule *rule, size_t argument)
{
    struct sim_outcome out = {0};
    struct sim_event asks;
    const size_t threads = (size_t)(sim.ranks - 1) * (size_t)sim.threads;
    size_t handed = 0;
    double free_at = 0;
    for (size_t t = 0; t < threads; t++)
        sim_push(&(struct sim_event){.at_ns = sim.latency_ns,
                                     .rank = 1 + (int)(t / (size_t)sim.threads)});
    while (sim_pop(&asks)) {
        free_at = fmax(free_at, asks.at_ns) + sim.message_ns;
        out.busiest++;
        out.end_ns = fmax(out.end_ns, free_at);
        const size_t left = sim_total() - out.done;
        if (left == 0)
            continue;
        const size_t wanted = rule(left, threads, handed++, argument);
        const size_t count = wanted < left ? wanted : left;
        const double move_ns =
            sim.latency_ns + sim.message_ns + (64 + (double)(count * sim.bytes) / 2) * sim.byte_ns;
        free_at += sim.message_ns;
        out.busiest++;
        const double begun = free_at + move_ns;
        asks.at_ns = begun + compute_ns(out.done, count, asks.rank, begun) + move_ns;
        out.done += count;
        out.bytes += 128 + (double)(count * sim.bytes);
        sim_push(&asks);
    }
    out.messages = 2 * out.busiest;
    return out;
}

struct sim_outcome sim_central(void)
{
    struct sim_outcome best = {.end_ns = INFINITY};
    for (size_t chunk = 1; chunk <= sim.elements; chunk *= 4) {
        const struct sim_outcome out = master(fixed, chunk);
        best = out.end_ns < best.end_ns ? out : best;
    }
    return best;
}

struct sim_outcome sim_guided(void)
{
    return master(guided, 0);
}

struct sim_outcome sim_factoring(void)
{
    return master(factoring, 0);
}

struct sim_outcome sim_trapezoid(void)
{
    return master(trapezoid, 0);
}
