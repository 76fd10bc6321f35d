/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/local: fastmap against the plain loop and against other runtimes, over a grid of the number of
 * elements, the cost of one, and the shape of the map. This file decides which cells are measured and
 * how often; how is in measure.h, what is printed in report.h.
 */
#include "cell.h"
#include "clock.h"
#include "measure.h"
#include "report.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *only;  /* runners, or NULL */
    const char *cells; /* instead of the grid, or NULL */
    const char *tsv;   /* file to write, or NULL */
    double longest_s;  /* cells of a longer loop are left out */
    size_t rounds;
    double batch_s;
};

static const char usage[] =
    "usage: local [--quick | --full] [--rounds N] [--longest SECONDS] [--only RUNNER,...]\n"
    "             [--cells 'N,COST,SHAPE;...'] [--tsv FILE]\n"
    "  --quick    loops up to 0.03 s, 5 rounds: some minutes\n"
    "  --full     loops up to 3 s, 15 rounds: hours\n"
    "             neither: loops up to 0.3 s, 9 rounds: about half an hour\n"
    "  --only     these runners beside the loops, such as fastmap,gomp-dynamic-1,tbb\n"
    "  --cells    these cells only, such as '1000,10us,ramp-up;1,1ns,uniform'\n"
    "  --tsv      also write all medians, minima and quartiles to FILE, tab-separated\n";

static void fail(const char *what, const char *value)
{
    fprintf(stderr, "local: %s '%s'\n%s", what, value, usage);
    exit(2);
}

static double number(const char *text, const char *what, double least, double most)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        fail(what, text);
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option names[] = {{"quick", no_argument, NULL, 'q'},
                                          {"full", no_argument, NULL, 'f'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"longest", required_argument, NULL, 'l'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"cells", required_argument, NULL, 'c'},
                                          {"tsv", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct options o = {.longest_s = 0.3, .rounds = 9, .batch_s = 1e-3};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'q': o.longest_s = 0.03, o.rounds = 5, o.batch_s = 4e-4; break;
        case 'f': o.longest_s = 3, o.rounds = 15; break;
        case 'r':
            o.rounds = (size_t)number(optarg, "--rounds takes 1 to 101, not", 1, BENCH_ROUNDS_MAX);
            break;
        case 'l': o.longest_s = number(optarg, "--longest takes seconds, not", 0, 1e6); break;
        case 'o': o.only = optarg; break;
        case 'c': o.cells = optarg; break;
        case 't': o.tsv = optarg; break;
        case 'h': fputs(usage, stdout); exit(0);
        default: fputs(usage, stderr); exit(2);
        }
    }
    if (optind < argc)
        fail("no argument is expected, but there is", argv[optind]);
    return o;
}

/* ---- Which cells ------------------------------------------------------------------------------- */

struct cells {
    struct bench_cell *list;
    size_t count;
};

static void add_cell(struct cells *cells, struct bench_cell cell)
{
    cells->list = realloc(cells->list, (cells->count + 1) * sizeof *cells->list);
    if (cells->list == NULL)
        abort();
    cells->list[cells->count++] = cell;
}

/* Rounding apart: three elements of 10 ms count as 0.03 s. */
static bool fits(const struct bench_cell *cell, double longest_s)
{
    return (double)cell->n * cell->cost_ns <= 1e9 * longest_s * 1.001;
}

static struct cells grid(double longest_s)
{
    static const size_t ns[] = {1, 2, 3, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    static const double costs_ns[] = {1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7};
    struct cells cells = {NULL, 0};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++) {
        for (size_t c = 0; c < sizeof costs_ns / sizeof costs_ns[0]; c++) {
            for (int s = 0; s < BENCH_SHAPES; s++) {
                const struct bench_cell cell = {ns[i], costs_ns[c], (enum bench_shape)s};
                /* A single element has no shape. */
                if (fits(&cell, longest_s) && (ns[i] > 1 || s == BENCH_UNIFORM))
                    add_cell(&cells, cell);
            }
        }
    }
    return cells;
}

static double parse_cost_ns(const char *text)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    char *end;
    const double value = strtod(text, &end);
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        if (end != text && strcmp(end, units[u].name) == 0 && value > 0)
            return value * units[u].ns;
    }
    fail("a cost is a number and ns, us, ms or s, not", text);
    return 0;
}

static enum bench_shape parse_shape(const char *text)
{
    int s = 0;
    while (s < BENCH_SHAPES && strcmp(text, bench_shape_name((enum bench_shape)s)) != 0)
        s++;
    if (s == BENCH_SHAPES)
        fail("there is no shape", text);
    return (enum bench_shape)s;
}

static struct cells listed_cells(const char *text)
{
    struct cells cells = {NULL, 0};
    char *copy = strdup(text), *rest = NULL;
    for (char *item = strtok_r(copy, "; ", &rest); item; item = strtok_r(NULL, "; ", &rest)) {
        char n[24], cost[24], shape[24];
        if (sscanf(item, "%23[^,],%23[^,],%23s", n, cost, shape) != 3)
            fail("a cell is N,COST,SHAPE, not", item);
        add_cell(&cells, (struct bench_cell){(size_t)number(n, "not a number of elements:", 1, 1e9),
                                             parse_cost_ns(cost), parse_shape(shape)});
    }
    free(copy);
    return cells;
}

/* ---- The run ----------------------------------------------------------------------------------- */

static FILE *open_table(const char *name)
{
    FILE *file = fopen(name, "w");
    if (file == NULL)
        fail("cannot write the file", name);
    bench_write_heading(file);
    return file;
}

static void run(const struct bench_plan *plan, const struct cells *cells, FILE *table)
{
    struct bench_result *results = malloc((cells->count + 1) * sizeof *results);
    const size_t lines_between_headings = 16;
    if (results == NULL)
        abort();
    for (size_t i = 0; i < cells->count; i++) {
        if (i % lines_between_headings == 0)
            bench_print_heading(plan);
        bench_measure_cell(plan, &cells->list[i], &results[i]);
        bench_print_cell(plan, &results[i]);
        if (table != NULL)
            bench_write_cell(table, plan, &results[i]);
    }
    bench_print_summary(plan, results, cells->count);
    free(results);
}

int main(int argc, char **argv)
{
    const struct options o = parse_options(argc, argv);
    const struct cells cells = o.cells != NULL ? listed_cells(o.cells) : grid(o.longest_s);
    FILE *table = o.tsv != NULL ? open_table(o.tsv) : NULL;
    const double start = bench_now();
    static struct bench_plan plan;
    plan.rounds = o.rounds;
    plan.batch_seconds = o.batch_s;
    plan.count = bench_runners(o.only, plan.runners);
    bench_expect(fastmap_global_init(&FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_QUIET)),
                 "fastmap_global_init");
    plan.cost = bench_calibrate();
    bench_measure_init(&plan.cost);
    bench_print_setting();
    printf("%zu cells, %zu rounds, loops up to %g s; a call costs %.2f ns, a step %.3f ns\n",
           cells.count, plan.rounds, o.longest_s, plan.cost.call_ns, plan.cost.step_ns);
    run(&plan, &cells, table);
    printf("\nMeasured in %.0f s; every runner's results were the plain loop's, byte for byte.\n",
           bench_now() - start);
    if (table != NULL)
        fclose(table);
    free(cells.list);
    return 0;
}
