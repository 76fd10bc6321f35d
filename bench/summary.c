/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The summary of bench/local: a table over the runners, then each number to reach with the cells that
 * reach it and the worst ones. A cell's value is the median over the rounds. Since the machine is
 * noisy, the loop that is run a second time is judged too where that makes sense, and of the cells
 * that miss it is said how many miss even by the better quartile of their rounds, and by the least
 * times of all rounds, which a disturbance does not lengthen.
 */
#include "report.h"

#include <math.h>
#include <stdlib.h>

/* What a criterion looks at: one runner in one cell. */
struct view {
    const struct bench_plan *plan;
    const struct bench_result *result;
    size_t runner;
    size_t base; /* its loop */
    size_t best; /* peer; count if none */
};

static double loop_median(const struct view *v)
{
    return bench_seconds(v->result, v->base, 0.5);
}

static bool is_tiny(const struct view *v)
{
    return loop_median(v) < 5e-6;
}

static bool is_any(const struct view *v)
{
    return v->runner < v->plan->count;
}

static bool is_long(const struct view *v)
{
    return loop_median(v) > 200e-6;
}

static bool is_long_with_peer(const struct view *v)
{
    return is_long(v) && v->best < v->plan->count;
}

/* Seconds of one call, of one round or the least of all. */
struct times {
    double mine;
    double loop;
    double ideal;
    double peer; /* the best one; NAN if none */
};

static double over_tiny(const struct times *t)
{
    return t->mine / (1.05 * t->loop + 40e-9);
}

static double over_loop(const struct times *t)
{
    return t->mine / (1.02 * t->loop + 50e-9);
}

static double over_peer(const struct times *t)
{
    return t->mine / t->peer;
}

static double over_ideal(const struct times *t)
{
    return t->mine / t->ideal;
}

static const struct criterion {
    const char *text;
    bool (*applies)(const struct view *v);
    double (*value)(const struct times *t);
    double limit;      /* of the value */
    bool judges_again; /* whether the loop's second run shows the noise of it */
} criteria[] = {
    {"loop under 5 us: time / (1.05 loop + 40 ns), at most 1", is_tiny, over_tiny, 1, true},
    {"everywhere: time / (1.02 loop + 50 ns), at most 1", is_any, over_loop, 1, true},
    {"loop over 200 us: time / best peer, at most 1.02, geometric mean at most 1.00",
     is_long_with_peer, over_peer, 1.02, false},
    {"loop over 200 us: time / ideal, at most 1.04", is_long, over_ideal, 1.04, false},
};

static struct times times_of_round(const struct view *v, size_t round)
{
    const struct bench_result *result = v->result;
    const double loop = result->seconds[v->base][round];
    return (struct times){result->seconds[v->runner][round], loop, loop * result->ideal_share,
                          v->best < v->plan->count ? result->seconds[v->best][round] : NAN};
}

/* The q-quantile over the rounds of the criterion's value. */
static double value_at(const struct criterion *c, const struct view *v, double q)
{
    double values[BENCH_ROUNDS_MAX];
    for (size_t i = 0; i < v->result->rounds; i++) {
        const struct times t = times_of_round(v, i);
        values[i] = c->value(&t);
    }
    return bench_quantile(values, v->result->rounds, q);
}

/* The criterion's value where each runner's time is the least of all rounds. */
static double value_of_least(const struct criterion *c, const struct view *v)
{
    struct times least = times_of_round(v, 0);
    for (size_t i = 1; i < v->result->rounds; i++) {
        const struct times t = times_of_round(v, i);
        least.mine = fmin(least.mine, t.mine);
        least.loop = fmin(least.loop, t.loop);
        least.ideal = fmin(least.ideal, t.ideal);
        least.peer = fmin(least.peer, t.peer);
    }
    return c->value(&least);
}

struct judged {
    struct view view;
    double value;
};

static int by_value_falling(const void *a, const void *b)
{
    const double x = ((const struct judged *)a)->value, y = ((const struct judged *)b)->value;
    return (x < y) - (x > y);
}

/* The worst cell, and up to ten that miss. */
static void print_worst(const struct criterion *c, const struct judged *cells, size_t count)
{
    const size_t most = 10;
    for (size_t i = 0; i < count && i < most && (i == 0 || cells[i].value > c->limit); i++) {
        const struct view *v = &cells[i].view;
        const size_t again = bench_find(v->plan, BENCH_AGAIN);
        char name[64], loop[16], mine[16];
        bench_cell_name(&v->result->cell, name, sizeof name);
        bench_cost_name(1e9 * loop_median(v), loop, sizeof loop);
        bench_cost_name(1e9 * bench_seconds(v->result, v->runner, 0.5), mine, sizeof mine);
        printf("      %7.3f (quartiles %.3f to %.3f, of least times %.3f)  %-26s loop %s, this %s, "
               "again/loop %.3f",
               cells[i].value, value_at(c, v, 0.25), value_at(c, v, 0.75), value_of_least(c, v),
               name, loop, mine, bench_ratio(v->plan, v->result, again, BENCH_AGAINST_LOOP, 0.5));
        if (v->best < v->plan->count && c->value == over_peer)
            printf(", peer %s", v->plan->runners[v->best].name);
        if (c->value == over_ideal)
            printf(", longest first %.3f", v->result->informed_share / v->result->ideal_share);
        printf("\n");
    }
}

static void print_counts(const struct criterion *c, const struct judged *cells, size_t count)
{
    size_t passed = 0, by_quartile = 0, by_least = 0, hopeless = 0;
    struct bench_geomean mean = {0};
    for (size_t i = 0; i < count; i++) {
        const struct view *v = &cells[i].view;
        bench_geomean_add(&mean, cells[i].value);
        if (cells[i].value <= c->limit) {
            passed++;
            continue;
        }
        by_quartile += value_at(c, v, 0.25) > c->limit;
        by_least += value_of_least(c, v) > c->limit;
        hopeless +=
            c->value == over_ideal && v->result->informed_share > c->limit * v->result->ideal_share;
    }
    printf("    %s: %zu of %zu cells; geometric mean %.3f",
           cells[0].view.plan->runners[cells[0].view.runner].name, passed, count,
           bench_geomean_get(&mean));
    if (passed < count)
        printf(
            "; of %zu that miss, %zu miss by their better quartile too, %zu by their least times",
            count - passed, by_quartile, by_least);
    if (hopeless > 0)
        printf(", %zu have so few elements that even longest-first with known costs misses",
               hopeless);
    printf("\n");
}

static void judge(const struct criterion *c, const struct bench_plan *plan,
                  const struct bench_result *results, size_t count, size_t runner)
{
    struct judged *cells = malloc((count + 1) * sizeof *cells);
    size_t judged = 0;
    if (cells == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        const struct view v = {plan, &results[i], runner, bench_base(plan, runner),
                               bench_best_peer(plan, &results[i])};
        if (c->applies(&v))
            cells[judged++] = (struct judged){v, value_at(c, &v, 0.5)};
    }
    if (judged > 0) {
        qsort(cells, judged, sizeof *cells, by_value_falling);
        print_counts(c, cells, judged);
        print_worst(c, cells, judged);
    }
    free(cells);
}

/* One line of the table over the runners: over the cells whose loop takes more than 200 us. */
static void print_runner(const struct bench_plan *plan, const struct bench_result *results,
                         size_t count, size_t runner)
{
    struct bench_geomean mean[BENCH_AGAINST] = {{0}};
    double worst[BENCH_AGAINST] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct view v = {plan, &results[i], runner, bench_base(plan, runner),
                               bench_best_peer(plan, &results[i])};
        for (int a = 0; a < BENCH_AGAINST && is_long(&v); a++) {
            const double ratio = bench_ratio(plan, &results[i], runner, (enum bench_against)a, 0.5);
            if (isnan(ratio))
                continue;
            bench_geomean_add(&mean[a], ratio);
            worst[a] = fmax(worst[a], ratio);
        }
    }
    printf("%-18s", plan->runners[runner].name);
    for (int a = 0; a < BENCH_AGAINST; a++) {
        if (mean[a].count > 0)
            printf(" %10.3f %10.3f", bench_geomean_get(&mean[a]), worst[a]);
        else
            printf(" %10s %10s", "-", "-");
    }
    printf("\n");
}

void bench_print_summary(const struct bench_plan *plan, const struct bench_result *results,
                         size_t count)
{
    printf("\nCells whose loop takes over 200 us: geometric mean and worst ratio\n%-18s %21s %21s "
           "%21s\n",
           "", "to the loop", "to the best peer", "to the ideal");
    for (size_t r = 0; r < plan->count; r++)
        print_runner(plan, results, count, r);
    printf("\nNumbers to reach, and the worst cells (name: n,cost,shape as --cells takes it)\n");
    for (size_t c = 0; c < sizeof criteria / sizeof criteria[0]; c++) {
        printf("  %s\n", criteria[c].text);
        for (size_t r = 0; r < plan->count; r++) {
            const enum bench_kind kind = plan->runners[r].kind;
            if (kind == BENCH_FASTMAP || kind == BENCH_BLOCK_FASTMAP ||
                (kind == BENCH_AGAIN && criteria[c].judges_again))
                judge(&criteria[c], plan, results, count, r);
        }
    }
}
