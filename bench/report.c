/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of cells, for people and for programs. The summary is in summary.c. */
#include "report.h"

#include <string.h>

/* A runner's name is shown in two lines, broken at its first hyphen. */
static int column_width(const struct bench_runner *runner)
{
    const char *hyphen = strchr(runner->name, '-');
    const size_t longest = strlen(hyphen != NULL ? hyphen + 1 : runner->name);
    return longest < 6 ? 8 : (int)longest + 2;
}

void bench_print_heading(const struct bench_plan *plan)
{
    printf("\n%8s %5s %-12s %9s %-6s", "", "", "", "loop", "ratio");
    for (size_t r = 0; r < plan->count; r++) {
        const char *name = plan->runners[r].name, *hyphen = strchr(name, '-');
        const int width = column_width(&plan->runners[r]);
        printf("%*.*s", width, hyphen != NULL ? (int)(hyphen - name) : 0, name);
    }
    printf("\n%8s %5s %-12s %9s %-6s", "n", "cost", "shape", "takes", "to");
    for (size_t r = 0; r < plan->count; r++) {
        const char *name = plan->runners[r].name, *hyphen = strchr(name, '-');
        printf("%*s", column_width(&plan->runners[r]), hyphen != NULL ? hyphen + 1 : name);
    }
    printf("\n");
}

static void print_ratios(const struct bench_plan *plan, const struct bench_result *result,
                         enum bench_against against)
{
    for (size_t r = 0; r < plan->count; r++) {
        const double ratio = bench_ratio(plan, result, r, against, 0.5);
        printf("%*.*f", column_width(&plan->runners[r]), ratio < 100 ? 3 : 0, ratio);
    }
    printf("\n");
}

void bench_print_cell(const struct bench_plan *plan, const struct bench_result *result)
{
    char cost[16], loop[16];
    bench_cost_name(result->cell.cost_ns, cost, sizeof cost);
    bench_cost_name(1e9 * bench_seconds(result, bench_find(plan, BENCH_LOOP), 0.5), loop,
                    sizeof loop);
    printf("%8zu %5s %-12s %9s %-6s", result->cell.n, cost, bench_shape_name(result->cell.shape),
           loop, "loop");
    print_ratios(plan, result, BENCH_AGAINST_LOOP);
    if (bench_best_peer(plan, result) < plan->count) {
        printf("%44s", "peer  ");
        print_ratios(plan, result, BENCH_AGAINST_PEER);
    }
    printf("%44s", "ideal ");
    print_ratios(plan, result, BENCH_AGAINST_IDEAL);
    fflush(stdout);
}

void bench_write_heading(FILE *file)
{
    fprintf(file, "n\tcost_ns\tshape\tcores_ideal_share\tinformed_share\trunner\trounds\tmedian_s\t"
                  "min_s\tto_loop\tto_loop_q1\tto_loop_q3\tto_best_peer\tto_best_peer_q1\t"
                  "to_best_peer_q3\tto_ideal\tto_ideal_q1\tto_ideal_q3\tbest_peer\n");
}

void bench_write_cell(FILE *file, const struct bench_plan *plan, const struct bench_result *result)
{
    const size_t best = bench_best_peer(plan, result);
    for (size_t r = 0; r < plan->count; r++) {
        fprintf(file, "%zu\t%g\t%s\t%.6g\t%.6g\t%s\t%zu\t%.6g\t%.6g", result->cell.n,
                result->cell.cost_ns, bench_shape_name(result->cell.shape), result->ideal_share,
                result->informed_share, plan->runners[r].name, result->rounds,
                bench_seconds(result, r, 0.5), bench_seconds(result, r, 0));
        for (int against = 0; against < BENCH_AGAINST; against++) {
            fprintf(file, "\t%.6g\t%.6g\t%.6g",
                    bench_ratio(plan, result, r, (enum bench_against)against, 0.5),
                    bench_ratio(plan, result, r, (enum bench_against)against, 0.25),
                    bench_ratio(plan, result, r, (enum bench_against)against, 0.75));
        }
        fprintf(file, "\t%s\n", best < plan->count ? plan->runners[best].name : "");
    }
    fflush(file);
}
