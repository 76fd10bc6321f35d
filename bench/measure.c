/* SPDX-License-Identifier: BSD-3-Clause */
/* A runner's turn: see measure.h. */
#include "measure.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A map of about 1 ms: enough for every runtime to have all its threads awake. */
enum { wake_n = 1000 };
static struct bench_element wake_in[wake_n];
static bench_value wake_out[wake_n];
static const struct bench_map wake_map = {.func = bench_element_func,
                                          .block = bench_element_block,
                                          .in = (const char *)wake_in,
                                          .out = (char *)wake_out,
                                          .in_size = sizeof wake_in[0],
                                          .out_size = sizeof wake_out[0],
                                          .n = wake_n};

void bench_measure_init(const struct bench_cost *cost)
{
    bench_fill(cost, BENCH_UNIFORM, 1000, wake_n, wake_in);
}

static double batch(const struct bench_runner *runner, const struct bench_map *map, size_t repeats)
{
    const double start = bench_now();
    for (size_t i = 0; i < repeats; i++)
        runner->run(map);
    return bench_now() - start;
}

size_t bench_repeats(const struct bench_runner *runner, const struct bench_map *map,
                     double batch_seconds)
{
    size_t repeats = 1;
    double seconds = batch(runner, map, repeats);
    while (seconds < batch_seconds / 4) {
        repeats *= 2;
        seconds = batch(runner, map, repeats);
    }
    const double fitting = (double)repeats * batch_seconds / seconds;
    return fitting < 1 ? 1 : (size_t)fitting;
}

/* Waits until the process's threads use no CPU time while the caller sleeps: two quiet milliseconds
   in a row, since a thread may just not have had its turn in one. Gives up after 0.5 s. */
static void settle(const struct bench_runner *runner)
{
    const double window = 1e-3;
    int quiet = 0;
    if (runner->quieten != NULL)
        runner->quieten();
    for (int i = 0; i < 500 && quiet < 2; i++) {
        const double wall = bench_now(), cpu = bench_cpu_time();
        bench_sleep(window);
        quiet = bench_cpu_time() - cpu < 0.15 * (bench_now() - wall) ? quiet + 1 : 0;
    }
}

/* A loop leaves no thread spinning. */
static int is_serial(const struct bench_runner *runner)
{
    return runner->kind == BENCH_LOOP || runner->kind == BENCH_AGAIN ||
           runner->kind == BENCH_BLOCK_LOOP;
}

double bench_turn(const struct bench_runner *runner, const struct bench_map *map, size_t repeats)
{
    const double long_call = 0.02; /* a map above this is not run twice just to warm up */
    runner->run(&wake_map);
    const double first = batch(runner, map, repeats > 4 ? repeats / 4 : 1);
    const double seconds = repeats == 1 && first > long_call ? first : batch(runner, map, repeats);
    if (!is_serial(runner))
        settle(runner);
    return seconds / (double)repeats;
}

void bench_compare(const struct bench_runner *runner, const struct bench_map *map,
                   const void *expected, const char *what)
{
    const char *want = expected;
    if (memcmp(map->out, want, map->n * map->out_size) == 0)
        return;
    size_t i = 0;
    while (map->out[i] == want[i])
        i++;
    fprintf(stderr, "%s: %s computed element %zu of %zu differently from the plain loop\n", what,
            runner->name, i / map->out_size, map->n);
    exit(1);
}

void bench_verify(const struct bench_runner *runner, const struct bench_map *map,
                  const void *expected, const char *what)
{
    memset(map->out, 0xa5, map->n * map->out_size);
    runner->run(map);
    bench_compare(runner, map, expected, what);
}
