/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler of ranks at sizes that no test machine has, beside its peers: reads the options, runs each
 * way of scheduling over the same elements in simulated time and prints what came of it. The model is in
 * the other files: simulate.h lists them.
 *
 * Efficiency is to the ideal: all costs over all threads, or the longest element where that is more.
 * "greedy" is a list schedule without any overhead, in the order of the elements: where elements differ much
 * and are few, no schedule that does not know costs beforehand comes near the ideal.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulate.h"

struct sim_options sim = {.ranks = 256,
                          .threads = 1,
                          .per_node = 64,
                          .elements = 100,
                          .mean_ns = 10e6,
                          .sigma = 1,
                          .latency_ns = 2e3,
                          .byte_ns = 0.1,
                          .message_ns = 400,
                          .bytes = 64,
                          .shape = SIM_LOGNORMAL};

static const struct way {
    const char *name;
    struct sim_outcome (*run)(void);
    int ranks_least;
} ways[] = {
    {"fastmap", sim_fastmap, 1},   {"static", sim_static, 1},       {"central", sim_central, 2},
    {"guided", sim_guided, 2},     {"factoring", sim_factoring, 2}, {"trapezoid", sim_trapezoid, 2},
    {"stealing", sim_stealing, 1},
};

static bool csv;
static const char *only;
static int lost;

static void print(const char *way, double ideal_ns, const struct sim_outcome *out)
{
    const double threads = (double)sim.ranks * sim.threads;
    const double busy = out->begun_ns > 0 ? out->busy_ns / threads / out->begun_ns : NAN;
    const double percent = 100 * out->busiest / (2 * (double)sim_total());
    char row[256];
    (void)snprintf(row, sizeof row,
                   "%6d,%3d,%6zu,%7g,%-9s,%-11s,%-9s,%6.4f,%6.4f,%9.1f,%9.0f,%8.3f,%11.0f",
                   sim.ranks, sim.threads, sim.elements, sim.mean_ns / 1e3, sim_shapes[sim.shape],
                   sim_owns[sim.own], way, ideal_ns / out->end_ns, busy, out->messages / sim.ranks,
                   out->busiest, percent, out->bytes / sim.ranks);
    for (char *c = row; *c != '\0'; c++)
        if (!csv && *c == ',')
            putchar(' ');
        else if (!csv || *c != ' ')
            putchar(*c);
    putchar('\n');
    (void)fflush(stdout);
}

static void run_cell(void)
{
    const double ideal_ns = sim_ideal_ns();
    const struct sim_outcome greedy = {.end_ns = sim_greedy_ns()};
    print("greedy", ideal_ns, &greedy);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        if (sim.ranks < ways[w].ranks_least || (only != NULL && strcmp(only, ways[w].name) != 0))
            continue;
        const struct sim_outcome out = ways[w].run();
        print(ways[w].name, ideal_ns, &out);
        if (out.done == sim_total())
            continue;
        fprintf(stderr, "simulate: %s lost elements: %zu of %zu\n", ways[w].name, out.done,
                sim_total());
        lost = 1;
    }
}

static void usage(void)
{
    puts("usage: simulate [--ranks N] [--threads N] [--per-node N] [--elements N] [--mean-us X]\n"
         "                [--shape uniform|lognormal|pareto|ramp|slow-node|stall] [--sigma X]\n"
         "                [--own root|distributed|clustered] [--bytes N]\n"
         "                [--latency-us X] [--gbps X] [--message-us X] [--only WAY] [--seed N] "
         "[--csv]\n"
         "One map over that many ranks, in simulated time; --elements for each rank, --gbps in\n"
         "gigabytes. Without --shape or --own: each in turn.");
}

static const char *option(const char *name, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static double number(const char *name, int argc, char **argv, double otherwise)
{
    const char *given = option(name, argc, argv);
    return given != NULL ? atof(given) : otherwise;
}

static bool has(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

/* -1: all of them; -2: there is none of that name. */
static int choice(const char *given, const char *const *names)
{
    if (given == NULL)
        return -1;
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(given, names[i]) == 0)
            return i;
    return -2;
}

static void read_options(int argc, char **argv)
{
    sim.ranks = (int)number("--ranks", argc, argv, sim.ranks);
    sim.threads = (int)number("--threads", argc, argv, sim.threads);
    sim.per_node = (int)number("--per-node", argc, argv, sim.per_node);
    sim.elements = (size_t)number("--elements", argc, argv, (double)sim.elements);
    sim.mean_ns = number("--mean-us", argc, argv, sim.mean_ns / 1e3) * 1e3;
    sim.sigma = number("--sigma", argc, argv, sim.sigma);
    sim.latency_ns = number("--latency-us", argc, argv, sim.latency_ns / 1e3) * 1e3;
    sim.byte_ns = 1 / number("--gbps", argc, argv, 1 / sim.byte_ns);
    sim.message_ns = number("--message-us", argc, argv, sim.message_ns / 1e3) * 1e3;
    sim.bytes = (size_t)number("--bytes", argc, argv, (double)sim.bytes);
    sim.seed = (uint64_t)number("--seed", argc, argv, 0);
    csv = has("--csv", argc, argv);
    only = option("--only", argc, argv);
}

int main(int argc, char **argv)
{
    const int shape = choice(option("--shape", argc, argv), sim_shapes);
    const int own = choice(option("--own", argc, argv), sim_owns);
    read_options(argc, argv);
    const bool sane = sim.ranks >= 1 && sim.ranks <= 1 << 20 && sim.threads >= 1 &&
                      sim.per_node >= 1 && sim.elements >= 1 && sim.mean_ns > 0;
    if (has("--help", argc, argv) || !sane || shape == -2 || own == -2) {
        usage();
        return has("--help", argc, argv) ? 0 : 2;
    }
    puts(csv ? "ranks,threads,elements,mean_us,shape,own,way,efficiency,busy,messages_a_rank,"
               "busiest,"
               "busiest_percent_of_master,bytes_a_rank"
             : " ranks thr  elems mean/us  shape      own          way        effic.    busy  "
               "msgs/rank   "
               "busiest of master  bytes/rank");
    for (sim.shape = 0; sim_shapes[sim.shape] != NULL; sim.shape++)
        for (sim.own = 0; sim_owns[sim.own] != NULL; sim.own++)
            if ((shape < 0 || shape == sim.shape) && (own < 0 || own == sim.own))
                run_cell();
    return lost;
}
