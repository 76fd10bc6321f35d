/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The element functions, their calibration and the shapes. This file is compiled by the same compiler
 * for every binary of the bench, so that libgomp and libomp are compared on the same code.
 */
#include "work.h"

#include "clock.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

/* A chain of `steps` dependent operations, two cycles each. */
static inline bench_value chain(struct bench_element e)
{
    bench_value x = e.seed;
    for (uint32_t i = 0; i < e.steps; i++)
        x = (x >> 7 | x << 57) + UINT64_C(0x9e3779b97f4a7c15);
    return x;
}

int bench_element_func(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(bench_value *)out = chain(*(const struct bench_element *)in);
    return 0;
}

int bench_element_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    const struct bench_element *elements = in;
    bench_value *values = out;
    (void)first, (void)shared;
    for (size_t i = 0; i < count; i++)
        values[i] = chain(elements[i]);
    return 0;
}

/* ---- Calibration ------------------------------------------------------------------------------- */

/* Nanoseconds of one element with so many steps: the best of many short trials. */
static double element_ns(uint32_t steps, size_t n)
{
    enum { most = 1000 };
    static struct bench_element in[most];
    static bench_value out[most];
    int (*volatile pointer)(const void *, void *, const void *) = bench_element_func;
    int (*func)(const void *, void *, const void *) = pointer;
    double best = 1e300;
    for (size_t i = 0; i < n; i++)
        in[i] = (struct bench_element){.steps = steps, .seed = (uint32_t)i};
    for (int trial = 0; trial < 200; trial++) {
        const double start = bench_now();
        for (size_t i = 0; i < n; i++)
            func(&in[i], &out[i], NULL);
        best = fmin(best, bench_now() - start);
    }
    return 1e9 * best / (double)n;
}

struct bench_cost bench_calibrate(void)
{
    struct bench_cost cost = {.call_ns = element_ns(0, 1000)};
    cost.step_ns = (element_ns(200000, 1) - cost.call_ns) / 200000;
    return cost;
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

/* A uniform deviate in (0, 1) that depends on i only. */
static double deviate(uint64_t i)
{
    return bench_uniform01((i + 1) * BENCH_GOLDEN);
}

static double w_uniform(size_t i, size_t n)
{
    (void)i, (void)n;
    return 1;
}

static double w_ramp_up(size_t i, size_t n)
{
    (void)n;
    return (double)i + 0.5;
}

static double w_ramp_down(size_t i, size_t n)
{
    return (double)(n - i) - 0.5;
}

static double w_lognormal(size_t i, size_t n)
{
    (void)n;
    const double two_pi = 6.283185307179586;
    return exp(sqrt(-2 * log(deviate(2 * i))) * cos(two_pi * deviate(2 * i + 1)));
}

static double w_bimodal(size_t i, size_t n)
{
    (void)n;
    return deviate(i) < 0.1 ? 10 : 1;
}

/* The heavy part has `part` elements that hold `share` of the work. */
static double heavy(int inside, size_t part, size_t n, double share)
{
    if (part >= n)
        return 1;
    return inside ? share / (double)part : (1 - share) / (double)(n - part);
}

static size_t tenth(size_t n)
{
    return n < 10 ? 1 : n / 10;
}

static double w_front(size_t i, size_t n)
{
    return heavy(i < tenth(n), tenth(n), n, 0.9);
}

static double w_end(size_t i, size_t n)
{
    return heavy(i >= n - tenth(n), tenth(n), n, 0.9);
}

static double w_giant_front(size_t i, size_t n)
{
    return heavy(i == 0, 1, n, 0.5);
}

static double w_giant_middle(size_t i, size_t n)
{
    return heavy(i == n / 2, 1, n, 0.5);
}

static double w_giant_end(size_t i, size_t n)
{
    return heavy(i == n - 1, 1, n, 0.5);
}

/* Weight of element i of n; any scale, since they are normalised. */
static const struct {
    const char *name;
    double (*weight)(size_t i, size_t n);
} shapes[BENCH_SHAPES] = {
    [BENCH_UNIFORM] = {"uniform", w_uniform},
    [BENCH_RAMP_UP] = {"ramp-up", w_ramp_up},
    [BENCH_RAMP_DOWN] = {"ramp-down", w_ramp_down},
    [BENCH_LOGNORMAL] = {"lognormal", w_lognormal},
    [BENCH_BIMODAL] = {"bimodal", w_bimodal},
    [BENCH_FRONT] = {"front", w_front},
    [BENCH_END] = {"end", w_end},
    [BENCH_GIANT_FRONT] = {"giant-front", w_giant_front},
    [BENCH_GIANT_MIDDLE] = {"giant-middle", w_giant_middle},
    [BENCH_GIANT_END] = {"giant-end", w_giant_end},
};

const char *bench_shape_name(enum bench_shape shape)
{
    return shapes[shape].name;
}

void bench_fill(const struct bench_cost *cost, enum bench_shape shape, double mean_ns, size_t n,
                struct bench_element *elements)
{
    double sum = 0, owed = 0;
    for (size_t i = 0; i < n; i++)
        sum += shapes[shape].weight(i, n);
    /* Whole steps only: what rounding leaves is owed to the next element, so that the mean holds. */
    const double scale = fmax(0, mean_ns - cost->call_ns) / cost->step_ns * (double)n / sum;
    for (size_t i = 0; i < n; i++) {
        owed += shapes[shape].weight(i, n) * scale;
        const double steps = floor(owed + 1e-9);
        owed -= steps;
        elements[i] = (struct bench_element){.steps = (uint32_t)steps, .seed = (uint32_t)i};
    }
}

/* ---- What a schedule can reach ----------------------------------------------------------------- */

static double expected_ns(const struct bench_cost *cost, const struct bench_element *e)
{
    return cost->call_ns + cost->step_ns * e->steps;
}

static double total_ns(const struct bench_cost *cost, const struct bench_element *elements,
                       size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++)
        total += expected_ns(cost, &elements[i]);
    return total;
}

double bench_longest_share(const struct bench_cost *cost, const struct bench_element *elements,
                           size_t n)
{
    double longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = fmax(longest, expected_ns(cost, &elements[i]));
    return longest / total_ns(cost, elements, n);
}

static int by_steps_falling(const void *a, const void *b)
{
    const uint32_t x = ((const struct bench_element *)a)->steps;
    const uint32_t y = ((const struct bench_element *)b)->steps;
    return (x < y) - (x > y);
}

static double *least(double *values, int count)
{
    double *best = values;
    for (int i = 1; i < count; i++)
        best = values[i] < *best ? &values[i] : best;
    return best;
}

double bench_informed_share(const struct bench_cost *cost, const struct bench_element *elements,
                            size_t n, int cores)
{
    struct bench_element *sorted = malloc(n * sizeof *sorted);
    double *busy = calloc((size_t)cores, sizeof *busy);
    double most = 0;
    if (sorted == NULL || busy == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        sorted[i] = elements[i];
    qsort(sorted, n, sizeof *sorted, by_steps_falling);
    for (size_t i = 0; i < n; i++) {
        double *free_first = least(busy, cores);
        *free_first += expected_ns(cost, &sorted[i]);
        most = fmax(most, *free_first);
    }
    free(busy);
    free(sorted);
    return most / total_ns(cost, elements, n);
}
