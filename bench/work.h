/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is computed: elements of a stated cost, and maps of a stated shape. An element's input says how
 * many steps of a dependent integer chain it takes, so that its cost comes with the data, its result
 * is the same for everybody, and the function is pure. Nothing here knows who runs it.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

struct bench_element {
    uint32_t steps;
    uint32_t seed;
};

typedef uint64_t bench_value;

int bench_element_func(const void *in, void *out, const void *shared);
int bench_element_block(const void *in, void *out, size_t first, size_t count, const void *shared);

/* How the cost is spread over the map. All shapes have the same mean. */
enum bench_shape {
    BENCH_UNIFORM,
    BENCH_RAMP_UP,
    BENCH_RAMP_DOWN,
    BENCH_LOGNORMAL,    /* sigma 1 */
    BENCH_BIMODAL,      /* one in ten costs ten times the others */
    BENCH_FRONT,        /* the first tenth holds nine tenths of the work */
    BENCH_END,          /* the last tenth does */
    BENCH_GIANT_FRONT,  /* the first element holds half of the work */
    BENCH_GIANT_MIDDLE, /* the one in the middle does */
    BENCH_GIANT_END,    /* the last one does */
    BENCH_SHAPES
};

const char *bench_shape_name(enum bench_shape shape);

/* What a step and the rest of a call cost on this machine. */
struct bench_cost {
    double call_ns;
    double step_ns;
};

/* Measures the cost; takes about 0.1 s. */
struct bench_cost bench_calibrate(void);

/* Fills n elements of the shape with the given mean cost, as near as whole steps come to it. */
void bench_fill(const struct bench_cost *cost, enum bench_shape shape, double mean_ns, size_t n,
                struct bench_element *elements);

/* The longest element's part of the whole, 0 to 1. */
double bench_longest_share(const struct bench_cost *cost, const struct bench_element *elements,
                           size_t n);

/* The part of the whole that the busiest of `cores` threads has in a schedule that knows all costs
   beforehand and gives out the longest first: what no schedule without that knowledge must reach. */
double bench_informed_share(const struct bench_cost *cost, const struct bench_element *elements,
                            size_t n, int cores);

#endif
