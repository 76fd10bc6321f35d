/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The elements: who owns how many, what each costs, and the bounds that follow. Costs are drawn from an
 * element's number, so that every way of scheduling sees the same ones.
 */
#include <math.h>
#include <stdlib.h>

#include "random.h"
#include "simulate.h"

#define SLOW 10.0 /* times as long, on the slow node */

const char *const sim_shapes[] = {"uniform",   "lognormal", "pareto", "ramp",
                                  "slow-node", "stall",     NULL};
const char *const sim_owns[] = {"root", "distributed", "clustered", NULL};

double sim_uniform01(uint64_t x)
{
    return bench_uniform01(x + BENCH_GOLDEN);
}

size_t sim_total(void)
{
    return sim.elements * (size_t)sim.ranks;
}

/* Clustered: the last rank has half of all, the others share the rest. */
static size_t shared_by_others(void)
{
    return sim.ranks > 1 ? sim_total() / 2 / (size_t)(sim.ranks - 1) : 0;
}

size_t sim_owned(int rank)
{
    if (sim.own == SIM_ROOT)
        return rank == 0 ? sim_total() : 0;
    if (sim.own == SIM_DISTRIBUTED)
        return sim.elements;
    return rank < sim.ranks - 1 ? shared_by_others()
                                : sim_total() - shared_by_others() * (size_t)(sim.ranks - 1);
}

size_t sim_first_of(int rank)
{
    if (sim.own == SIM_ROOT)
        return rank == 0 ? 0 : sim_total();
    return (size_t)rank * (sim.own == SIM_DISTRIBUTED ? sim.elements : shared_by_others());
}

double sim_cost_ns(size_t number)
{
    const double u = sim_uniform01((uint64_t)number * 2 + (sim.seed << 40));
    switch (sim.shape) {
    case SIM_LOGNORMAL: {
        const double normal =
            sqrt(-2 * log(u)) *
            cos(6.283185307179586 * sim_uniform01((uint64_t)number * 2 + 1 + (sim.seed << 40)));
        return sim.mean_ns * exp(sim.sigma * normal - sim.sigma * sim.sigma / 2);
    }
    case SIM_PARETO: /* alpha 1.5, capped at 100 times the mean, which lowers it by a fifteenth */
        return sim.mean_ns * fmin(100, pow(u, -1 / 1.5) / 3);
    case SIM_RAMP: return sim.mean_ns * 2 * ((double)number + 0.5) / (double)sim_total();
    default: return sim.mean_ns;
    }
}

/* The last node is slow, or does nothing from a tenth to half of the ideal time. */
double sim_time_ns(size_t number, int rank, double from_ns)
{
    const double cost = sim_cost_ns(number);
    const double whole_ns = sim.mean_ns * (double)sim.elements / sim.threads;
    if (sim.shape < SIM_SLOW_NODE || rank / sim.per_node != (sim.ranks - 1) / sim.per_node)
        return cost;
    if (sim.shape == SIM_SLOW_NODE)
        return SLOW * cost;
    const bool stalls = from_ns + cost > 0.1 * whole_ns && from_ns < 0.5 * whole_ns;
    return stalls ? cost + 0.5 * whole_ns - fmax(from_ns, 0.1 * whole_ns) : cost;
}

/* All work over all threads at their speed, and at least the longest element. */
double sim_ideal_ns(void)
{
    double sum = 0;
    double longest = 0;
    double speed = 0;
    for (size_t i = 0; i < sim_total(); i++) {
        const double cost = sim_cost_ns(i);
        sum += cost;
        longest = cost > longest ? cost : longest;
    }
    for (int r = 0; r < sim.ranks; r++)
        speed += sim.shape == SIM_SLOW_NODE ? sim.mean_ns / sim_time_ns(0, r, 0) : 1;
    return fmax(sum / speed / sim.threads, longest);
}

/* When all is done if a free thread always has the next element at once: about what is possible without
   knowing costs beforehand. A heap of the times at which threads are free; a slow node is not in it. */
double sim_greedy_ns(void)
{
    const size_t threads = (size_t)sim.ranks * (size_t)sim.threads;
    double *free_at = calloc(threads, sizeof *free_at);
    double last = 0;
    for (size_t i = 0; i < sim_total() && free_at != NULL; i++) {
        const double until = free_at[0] + sim_cost_ns(i);
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
