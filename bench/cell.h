/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cell of the grid (n, cost of an element, shape), its measurement, and the ratios that follow from
 * it. All ratios are medians over the rounds of ratios taken within a round.
 */
#ifndef BENCH_CELL_H
#define BENCH_CELL_H

#include "runners.h"
#include "stats.h"
#include "work.h"

#include <stdbool.h>

struct bench_cell {
    size_t n;
    double cost_ns;
    enum bench_shape shape;
};

/* What was measured in one cell. */
struct bench_result {
    struct bench_cell cell;
    double ideal_share;    /* of the loop: 1 / cores, or the longest element if that is more */
    double informed_share; /* of the loop: bench_informed_share() */
    size_t rounds;
    double seconds[BENCH_RUNNERS_MAX][BENCH_ROUNDS_MAX]; /* of one call, per runner and round */
};

/* What a cell's measurement needs besides the cell. */
struct bench_plan {
    struct bench_cost cost;
    struct bench_runner runners[BENCH_RUNNERS_MAX];
    size_t count; /* of runners */
    size_t rounds;
    double batch_seconds;
};

/* Measures the cell. Ends the program if any runner's results differ from the plain loop's. */
void bench_measure_cell(const struct bench_plan *plan, const struct bench_cell *cell,
                        struct bench_result *result);

/* "10000,1us,ramp-up": the name to give to --cells. */
void bench_cell_name(const struct bench_cell *cell, char *text, size_t size);

/* "1us" for 1000. */
void bench_cost_name(double cost_ns, char *text, size_t size);

/* What a runner's time is divided by. */
enum bench_against { BENCH_AGAINST_LOOP, BENCH_AGAINST_PEER, BENCH_AGAINST_IDEAL, BENCH_AGAINST };

/* The runner of the kind, or count if there is none. */
size_t bench_find(const struct bench_plan *plan, enum bench_kind kind);

/* The loop that the runner is measured against: the block loop for fastmap with a block function. */
size_t bench_base(const struct bench_plan *plan, size_t runner);

/* The peer of the smallest median ratio to the loop, or count if no peer was run. */
size_t bench_best_peer(const struct bench_plan *plan, const struct bench_result *result);

/* The q-quantile over rounds of the runner's time over the given one. */
double bench_ratio(const struct bench_plan *plan, const struct bench_result *result, size_t runner,
                   enum bench_against against, double q);

/* The q-quantile over rounds of the runner's time in seconds. */
double bench_seconds(const struct bench_result *result, size_t runner, double q);

#endif
