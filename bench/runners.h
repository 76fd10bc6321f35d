/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is measured. A runner computes a whole map in one way: by the plain loop, by a schedule of an
 * OpenMP runtime, by oneTBB, or by fastmap. All call the same element function through the pointer in
 * the map. Which runtimes are compiled in is decided by local.mk: a missing one is an empty list. What
 * is computed is decided in work.h, how it is timed in measure.h.
 */
#ifndef BENCH_RUNNERS_H
#define BENCH_RUNNERS_H

#include <fastmap.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One map, as every runner sees it. */
struct bench_map {
    fastmap_func *func;
    fastmap_block_func *block;
    const char *in;
    char *out;
    size_t in_size;
    size_t out_size;
    size_t n;
    const void *shared;
};

/* What a runner is compared with, and as what. */
enum bench_kind {
    BENCH_LOOP,         /* the plain loop: the measure of all others */
    BENCH_AGAIN,        /* the plain loop once more: shows the noise */
    BENCH_PEER,         /* another runtime */
    BENCH_FASTMAP,      /* fastmap with an element function */
    BENCH_BLOCK_LOOP,   /* one call of the block function for all elements */
    BENCH_BLOCK_FASTMAP /* fastmap with the block function */
};

struct bench_runner {
    const char *name; /* NULL ends a list */
    enum bench_kind kind;
    void (*run)(const struct bench_map *map);
    void (*quieten)(void); /* sends spinning threads to sleep at once; NULL: they do so soon */
};

/* Lists that one source file each gives, empty where the runtime is missing. */
extern const struct bench_runner bench_openmp_runners[];
extern const struct bench_runner bench_tbb_runners[];
extern const struct bench_runner
    bench_tbb_region[]; /* for regions whose elements wait for each other */

#define BENCH_RUNNERS_MAX 16

/* Fills the list with all runners, the plain loop first, block runners last; returns how many. only:
   names separated by commas, or NULL for all; the loops are always there. */
size_t bench_runners(const char *only, struct bench_runner runners[BENCH_RUNNERS_MAX]);

/* Says on standard output which runtimes were left out, and what the environment tells OpenMP. */
void bench_print_setting(void);

/* Cores that this process may use. */
int bench_cores(void);

/* Ends the program with a sentence if a fastmap call failed. */
void bench_expect(int code, const char *what);

#ifdef __cplusplus
}
#endif

#endif
