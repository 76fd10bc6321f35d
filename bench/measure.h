/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a runner is timed: its turn. In a turn the runner's threads are first woken by warm-up calls,
 * then some calls back to back are timed as one batch, then the process is left alone until no thread
 * of it spins any more, so that nobody disturbs the next one. Turns of different runners follow each
 * other in rounds; whoever calls this takes ratios within a round and medians over the rounds, since
 * the speed of a shared machine drifts.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "runners.h"
#include "work.h"

/* Makes the warm-up map; call once. */
void bench_measure_init(const struct bench_cost *cost);

/* Calls of the runner that make a batch last about batch_seconds; at least 1. */
size_t bench_repeats(const struct bench_runner *runner, const struct bench_map *map,
                     double batch_seconds);

/* One turn: seconds of one call, averaged over the batch. */
double bench_turn(const struct bench_runner *runner, const struct bench_map *map, size_t repeats);

/* Poisons the output, runs the map once, and ends the program with a sentence if the output is not
   byte for byte what is expected. */
void bench_verify(const struct bench_runner *runner, const struct bench_map *map,
                  const void *expected, const char *what);

/* Ends the program with a sentence if the output, as it is now, is not what is expected. */
void bench_compare(const struct bench_runner *runner, const struct bench_map *map,
                   const void *expected, const char *what);

#endif
