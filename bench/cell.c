/* SPDX-License-Identifier: BSD-3-Clause */
/* One cell: its arrays, its rounds, its ratios. See cell.h. */
#include "cell.h"

#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void bench_cost_name(double cost_ns, char *text, size_t size)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;
    while (cost_ns >= 1000 && unit < 3) {
        cost_ns /= 1000;
        unit++;
    }
    snprintf(text, size, "%.3g%s", cost_ns, units[unit]);
}

void bench_cell_name(const struct bench_cell *cell, char *text, size_t size)
{
    char cost[16];
    bench_cost_name(cell->cost_ns, cost, sizeof cost);
    snprintf(text, size, "%zu,%s,%s", cell->n, cost, bench_shape_name(cell->shape));
}

static void *allocate(size_t count, size_t size)
{
    void *block = malloc(count * size);
    if (block == NULL) {
        fprintf(stderr, "no memory for an array of %zu elements: leave that cell out\n", count);
        exit(2);
    }
    return block;
}

/* Rounds of turns. Who comes after whom changes from round to round. */
static void measure_rounds(const struct bench_plan *plan, const struct bench_map *map,
                           const bench_value *expected, struct bench_result *result)
{
    char name[64];
    size_t repeats[BENCH_RUNNERS_MAX];
    bench_cell_name(&result->cell, name, sizeof name);
    for (size_t r = 0; r < plan->count; r++) {
        bench_verify(&plan->runners[r], map, expected, name);
        repeats[r] = bench_repeats(&plan->runners[r], map, plan->batch_seconds);
        bench_turn(&plan->runners[r], map, 1);
    }
    for (size_t round = 0; round < plan->rounds; round++) {
        for (size_t k = 0; k < plan->count; k++) {
            const size_t turn = (k + round) % plan->count;
            const size_t r = round % 2 == 0 ? turn : plan->count - 1 - turn;
            result->seconds[r][round] = bench_turn(&plan->runners[r], map, repeats[r]);
            bench_compare(&plan->runners[r], map, expected, name);
        }
    }
}

void bench_measure_cell(const struct bench_plan *plan, const struct bench_cell *cell,
                        struct bench_result *result)
{
    struct bench_element *in = allocate(cell->n, sizeof *in);
    bench_value *out = allocate(cell->n, sizeof *out);
    bench_value *expected = allocate(cell->n, sizeof *expected);
    const struct bench_map map = {.func = bench_element_func,
                                  .block = bench_element_block,
                                  .in = (const char *)in,
                                  .out = (char *)out,
                                  .in_size = sizeof *in,
                                  .out_size = sizeof *out,
                                  .n = cell->n};
    const int cores = bench_cores();
    bench_fill(&plan->cost, cell->shape, cell->cost_ns, cell->n, in);
    for (size_t i = 0; i < cell->n; i++)
        bench_element_func(&in[i], &expected[i], NULL);
    result->cell = *cell;
    result->rounds = plan->rounds;
    result->ideal_share = fmax(1.0 / cores, bench_longest_share(&plan->cost, in, cell->n));
    /* With so many elements the order hardly matters, and sorting them would take long. */
    result->informed_share = cell->n > 100000
                                 ? result->ideal_share
                                 : bench_informed_share(&plan->cost, in, cell->n, cores);
    measure_rounds(plan, &map, expected, result);
    free(expected);
    free(out);
    free(in);
}

size_t bench_find(const struct bench_plan *plan, enum bench_kind kind)
{
    size_t r = 0;
    while (r < plan->count && plan->runners[r].kind != kind)
        r++;
    return r;
}

size_t bench_base(const struct bench_plan *plan, size_t runner)
{
    const int block = plan->runners[runner].kind == BENCH_BLOCK_FASTMAP;
    return bench_find(plan, block ? BENCH_BLOCK_LOOP : BENCH_LOOP);
}

size_t bench_best_peer(const struct bench_plan *plan, const struct bench_result *result)
{
    size_t best = plan->count;
    double least = INFINITY;
    for (size_t r = 0; r < plan->count; r++) {
        if (plan->runners[r].kind != BENCH_PEER)
            continue;
        const double ratio = bench_ratio(plan, result, r, BENCH_AGAINST_LOOP, 0.5);
        if (ratio < least) {
            least = ratio;
            best = r;
        }
    }
    return best;
}

double bench_ratio(const struct bench_plan *plan, const struct bench_result *result, size_t runner,
                   enum bench_against against, double q)
{
    size_t other = bench_base(plan, runner);
    const double share = against == BENCH_AGAINST_IDEAL ? result->ideal_share : 1;
    if (against == BENCH_AGAINST_PEER)
        other = bench_best_peer(plan, result);
    if (other == plan->count)
        return NAN;
    double ratios[BENCH_ROUNDS_MAX];
    for (size_t i = 0; i < result->rounds; i++)
        ratios[i] = result->seconds[runner][i] / (share * result->seconds[other][i]);
    return bench_quantile(ratios, result->rounds, q);
}

double bench_seconds(const struct bench_result *result, size_t runner, double q)
{
    return bench_quantile(result->seconds[runner], result->rounds, q);
}
