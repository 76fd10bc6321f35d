/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clairvoyant optimum: the longest elements first, each to the worker, here or there, that has it done
 * first. Here a worker can begin at once. There an element begins when it has crossed the link, one after
 * the other, and half a round trip; its result is back half a round trip after its end. Nothing else costs
 * any time: no call, no span, no look at a clock. Longest first is within some parts in a thousand of the
 * best of all schedules where there are more than a few elements a worker, and never better than it.
 *
 * Where the cloud only delays, it is left out: the better of the schedules with and without it counts.
 *
 * The blind one knows the mean only, and who is free: elements in their own order, each to whoever would have
 * one of mean cost done first. What lies between the two is the price of not knowing the costs, which no
 * scheduler that is told nothing of them can avoid.
 */
#include "optimum.h"

#include <math.h>
#include <stdlib.h>

static int longer(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double *earliest(double *free_at, int count)
{
    double *best = free_at;
    for (double *at = free_at; at < free_at + count; at++)
        if (*at < *best)
            best = at;
    return best;
}

/* thought_s: what each element is taken to cost when it is given to somebody; 0: what it does cost. free_at:
   of the workers here, then of the vCPUs; all 0. */
static double schedule(const struct bench_machine *m, const double *costs, size_t n, int vcpus,
                       double thought_s, double *free_at)
{
    double link = 0, makespan = 0;
    for (size_t i = 0; i < n; i++) {
        double *here = earliest(free_at, m->workers);
        const double thought = thought_s > 0 ? thought_s : costs[i];
        const double done = *here + thought;
        double back = INFINITY, *there = NULL;
        if (vcpus > 0) {
            there = earliest(free_at + m->workers, vcpus);
            const double arrived = link + m->element_s + m->round_trip_s / 2;
            back = fmax(*there, arrived) + thought + m->element_s + m->round_trip_s / 2;
        }
        if (back < done) {
            link += m->element_s;
            back += costs[i] - thought;
            *there = back - m->round_trip_s / 2 - m->element_s;
            makespan = fmax(makespan, back);
        } else {
            *here += costs[i];
            makespan = fmax(makespan, *here);
        }
    }
    return makespan;
}

static double better(const struct bench_machine *machine, const double *costs, size_t n,
                     double thought_s)
{
    double best = INFINITY;
    for (int with = 0; with < 2; with++) {
        double *free_at = calloc((size_t)(machine->workers + machine->vcpus), sizeof *free_at);
        if (free_at == NULL)
            abort();
        best =
            fmin(best, schedule(machine, costs, n, with ? machine->vcpus : 0, thought_s, free_at));
        free(free_at);
    }
    return best;
}

double bench_optimum(const struct bench_machine *machine, double *costs, size_t n)
{
    qsort(costs, n, sizeof *costs, longer);
    return better(machine, costs, n, 0);
}

double bench_blind(const struct bench_machine *machine, const double *costs, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += costs[i];
    return better(machine, costs, n, sum / (double)n);
}
