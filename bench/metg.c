/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/metg: the minimum effective task granularity, after Task Bench (Slaughter et al., SC20): the
 * shortest element, by its time in the plain loop, at which a runner reaches a stated part of the
 * ideal speed of all cores. Found by bisection on the cost of the elements of a uniform map. On two
 * cores the plain loop itself has half of the ideal speed, so 90% is shown beside the usual 50%.
 */
#include "cell.h"
#include "clock.h"
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>

struct search {
    struct bench_cost cost;
    const struct bench_runner *runner;
    const struct bench_runner *loop;
    struct bench_map map;
    struct bench_element *in;
    double target; /* part of the ideal speed */
};

/* What one probe of the search saw. */
struct probe {
    double efficiency;
    double element_ns; /* in the plain loop */
};

static struct probe probe(const struct search *s, uint32_t steps)
{
    enum { rounds = 3 };
    const double batch_s = 1e-3;
    double efficiency[rounds], element_ns[rounds];
    for (size_t i = 0; i < s->map.n; i++)
        s->in[i] = (struct bench_element){.steps = steps, .seed = (uint32_t)i};
    const size_t loop_repeats = bench_repeats(s->loop, &s->map, batch_s);
    const size_t repeats = bench_repeats(s->runner, &s->map, batch_s);
    for (int i = 0; i < rounds; i++) {
        const double loop = bench_turn(s->loop, &s->map, loop_repeats);
        efficiency[i] = loop / bench_cores() / bench_turn(s->runner, &s->map, repeats);
        element_ns[i] = 1e9 * loop / (double)s->map.n;
    }
    return (struct probe){bench_quantile(efficiency, rounds, 0.5),
                          bench_quantile(element_ns, rounds, 0.5)};
}

/* Costs are tried up to a plain loop of 0.1 s, or four times what the shortest elements take. */
static double longest_loop_s(const struct search *s)
{
    const double shortest = 1e-9 * s->cost.call_ns * (double)s->map.n;
    return shortest > 0.025 ? 4 * shortest : 0.1;
}

static bool too_long(const struct search *s, uint32_t steps)
{
    return 1e-9 * s->cost.step_ns * steps * (double)s->map.n > longest_loop_s(s);
}

static void print_ns(const char *relation, double ns)
{
    printf(" %5s%9.1f", relation, ns);
    fflush(stdout);
}

/* Prints the shortest element that reaches the target, searched from `low` steps up: doubling first,
   then bisection to 5%. Returns steps from which a search for a higher target may begin. */
static uint32_t print_granularity(const struct search *s, uint32_t low)
{
    uint32_t high = low + 1;
    struct probe p = probe(s, low);
    if (p.efficiency >= s->target) {
        print_ns(low == 0 ? "<=" : "", p.element_ns);
        return low;
    }
    while ((p = probe(s, high)).efficiency < s->target) {
        low = high;
        high *= 2;
        if (too_long(s, high)) {
            print_ns(">", p.element_ns);
            return low;
        }
    }
    while (high - low > 1 + high / 20) {
        const uint32_t middle = low + (high - low) / 2;
        const struct probe at = probe(s, middle);
        if (at.efficiency >= s->target) {
            high = middle;
            p = at;
        } else {
            low = middle;
        }
    }
    print_ns("", p.element_ns);
    return high;
}

/* One runner: for each n, the granularity for each target, the lower one first. */
static void print_row(struct search *s)
{
    static const size_t ns[] = {1000, 100000, 10000000};
    static const double targets[] = {0.5, 0.9};
    printf("%-18s", s->runner->name);
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
        uint32_t low = 0;
        s->map.n = ns[i];
        for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) {
            s->target = targets[t];
            low = print_granularity(s, low);
        }
    }
    printf("\n");
}

static bool is_searched(enum bench_kind kind)
{
    return kind == BENCH_PEER || kind == BENCH_FASTMAP || kind == BENCH_BLOCK_FASTMAP;
}

int main(int argc, char **argv)
{
    static struct bench_plan plan;
    const size_t most = 10000000;
    struct search s = {.in = malloc(most * sizeof *s.in)};
    bench_value *out = malloc(most * sizeof *out);
    if (s.in == NULL || out == NULL)
        abort();
    plan.count = bench_runners(argc > 1 ? argv[1] : NULL, plan.runners);
    bench_expect(fastmap_global_init(&FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_QUIET)),
                 "fastmap_global_init");
    s.cost = bench_calibrate();
    bench_measure_init(&s.cost);
    s.map = (struct bench_map){.func = bench_element_func,
                               .block = bench_element_block,
                               .in = (const char *)s.in,
                               .out = (char *)out,
                               .in_size = sizeof *s.in,
                               .out_size = sizeof *out};
    bench_print_setting();
    printf("METG: the shortest element, in ns, at which a part of the ideal speed is reached\n"
           "%-18s %29s %29s %29s\n%-18s",
           "", "n = 1000", "n = 100000", "n = 10000000", "");
    for (int i = 0; i < 3; i++)
        printf(" %14s %14s", "50%", "90%");
    printf("\n");
    for (size_t r = 0; r < plan.count; r++) {
        s.runner = &plan.runners[r];
        s.loop = &plan.runners[bench_base(&plan, r)];
        if (is_searched(s.runner->kind))
            print_row(&s);
    }
    free(out);
    free(s.in);
    return 0;
}
