/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clairvoyant optimum: the longest elements first, each to the worker, here or there, that has it done
 * first. Here a worker can begin at once. There an element begins when it has crossed the link, one after
 * the other, and half a round trip; its result is back half a round trip after its end. Nothing else costs
 * any time: no call, no span, no look at a clock. Longest first is within some parts in a thousand of the
 * best of all schedules where there are more than a few elements a worker, and never better than it.
 *
 * Where the cloud only delays, it is left out: the better of the schedules with and without it counts.
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

/* free_at: of the workers here, then of the vCPUs; all 0. */
static double schedule(const struct bench_machine *m, const double *costs, size_t n, int vcpus,
                       double *free_at)
{
    double link = 0, makespan = 0;
    for (size_t i = 0; i < n; i++) {
        double *here = earliest(free_at, m->workers);
        double done = *here + costs[i], back = INFINITY, *there = NULL;
        if (vcpus > 0) {
            there = earliest(free_at + m->workers, vcpus);
            const double arrived = link + m->element_s + m->round_trip_s / 2;
            back = fmax(*there, arrived) + costs[i] + m->element_s + m->round_trip_s / 2;
        }
        if (back < done) {
            link += m->element_s;
            *there = back - m->round_trip_s / 2 - m->element_s;
            done = back;
        } else {
            *here = done;
        }
        makespan = fmax(makespan, done);
    }
    return makespan;
}

double bench_optimum(const struct bench_machine *machine, double *costs, size_t n)
{
    double best = INFINITY;
    qsort(costs, n, sizeof *costs, longer);
    for (int with = 0; with < 2; with++) {
        double *free_at = calloc((size_t)(machine->workers + machine->vcpus), sizeof *free_at);
        if (free_at == NULL)
            abort();
        best = fmin(best, schedule(machine, costs, n, with ? machine->vcpus : 0, free_at));
        free(free_at);
    }
    return best;
}
