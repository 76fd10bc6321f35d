/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of runners, and those that need no other runtime: the loops and fastmap. Decides the order
 * of the columns. fastmap runs with default settings, except that it says nothing on standard error.
 */
#include "runners.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static void run_loop(const struct bench_map *m)
{
    fastmap_func *func = m->func;
    for (size_t i = 0; i < m->n; i++)
        func(m->in + i * m->in_size, m->out + i * m->out_size, m->shared);
}

static void run_fastmap(const struct bench_map *m)
{
    bench_expect(fastmap(m->func, m->in, m->in_size, m->out, m->out_size, m->n, m->shared, 0),
                 "fastmap");
}

static void run_block_loop(const struct bench_map *m)
{
    m->block(m->in, m->out, 0, m->n, m->shared);
}

static void run_block_fastmap(const struct bench_map *m)
{
    const struct fastmap_map map =
        FASTMAP_MAP(.block = m->block, .in = m->in, .in_size = m->in_size, .out = m->out,
                    .out_size = m->out_size, .n = m->n, .shared = m->shared);
    bench_expect(fastmap_run(&map, NULL), "fastmap_run with a block function");
}

static const struct bench_runner loops[] = {{"loop", BENCH_LOOP, run_loop, NULL},
                                            {"again", BENCH_AGAIN, run_loop, NULL},
                                            {NULL, BENCH_LOOP, NULL, NULL}};

static const struct bench_runner ours[] = {
    {"fastmap", BENCH_FASTMAP, run_fastmap, NULL},
    {"block-loop", BENCH_BLOCK_LOOP, run_block_loop, NULL},
    {"block-fastmap", BENCH_BLOCK_FASTMAP, run_block_fastmap, NULL},
    {NULL, BENCH_LOOP, NULL, NULL}};

void bench_expect(int code, const char *what)
{
    if (code == 0)
        return;
    fprintf(stderr, "%s failed: %s\n", what, fastmap_last_error());
    exit(2);
}

/* Whether name stands in a list separated by commas. */
static bool listed(const char *name, const char *list)
{
    const size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Ratios need their denominators, so the loops stay whatever is asked for. */
static bool wanted(const struct bench_runner *runner, const char *only)
{
    return only == NULL || runner->kind == BENCH_LOOP || runner->kind == BENCH_AGAIN ||
           runner->kind == BENCH_BLOCK_LOOP || listed(runner->name, only);
}

size_t bench_runners(const char *only, struct bench_runner runners[BENCH_RUNNERS_MAX])
{
    const struct bench_runner *const lists[] = {loops, bench_openmp_runners, bench_tbb_runners,
                                                ours};
    size_t count = 0;
    for (size_t l = 0; l < sizeof lists / sizeof lists[0]; l++) {
        for (const struct bench_runner *r = lists[l]; r->name != NULL; r++) {
            if (wanted(r, only) && count < BENCH_RUNNERS_MAX)
                runners[count++] = *r;
        }
    }
    return count;
}

int bench_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

void bench_print_setting(void)
{
    double load = 0;
    if (getloadavg(&load, 1) != 1)
        load = 0;
    printf("fastmap %s, %d cores, load %.1f before this run;", fastmap_version(), bench_cores(),
           load);
    if (bench_openmp_runners[0].name == NULL)
        printf(" OpenMP left out (not in this build);");
    if (bench_tbb_runners[0].name == NULL)
        printf(" oneTBB left out (not in this build);");
    printf(" environment:");
    bool any = false;
    for (char **e = environ; *e != NULL; e++) {
        if (strncmp(*e, "OMP_", 4) == 0 || strncmp(*e, "GOMP_", 5) == 0 ||
            strncmp(*e, "KMP_", 4) == 0 || strncmp(*e, "FASTMAP_", 8) == 0) {
            printf(" %s", *e);
            any = true;
        }
    }
    printf("%s\n", any ? "" : " no OMP_, GOMP_, KMP_ or FASTMAP_ variable set");
}
