/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store, a pool and a program in it, for tests: what a client of fastmapd would upload is taken from this
 * build, and a span is computed with one call.
 */
#ifndef CAGE_H
#define CAGE_H

#include <stdbool.h>

#include "../../launchers/fastmapd/pool.h"
#include "program/program.h"

#define MS ((uint64_t)1000000)
#define CAGE_IN 128
#define CAGE_OUT 1024

struct cage {
    char folder[64];
    struct fmd_store *store;
    struct fmd_pool *pool;
    struct fm_program program;
    char table[16384]; /* what the program's main() lists: names and offsets */
};

/* Limits that make attacks fail soon. */
struct fmd_pool_config cage_config(void);

/* False: a check has failed, or *why says why this machine cannot. `program` is a path in the build
   folder. */
bool cage_open(struct cage *cage, const struct fmd_pool_config *config, const char *program,
               const char **why);
void cage_close(struct cage *cage);

/* Uploads the program, as often as one likes, for any account. */
bool cage_upload(struct cage *cage, const char *account);

/* A map of the function that the program calls so. in: CAGE_IN bytes, out: CAGE_OUT, unless `terms` says
   else. */
struct fmd_map *cage_map(struct cage *cage, const char *account, const char *function,
                         unsigned vcpus);
struct fmd_map *cage_map_terms(struct cage *cage, struct fmd_pool_terms *terms,
                               const char *function);

struct cage_outcome {
    struct fmd_span_result result;
    struct fmd_span *span; /* to be released */
    bool done;
    char out[CAGE_OUT + 1]; /* of its first element */
};

/* Commits a span whose elements all have this text as input; waits for it. */
void cage_commit(struct fmd_map *map, uint64_t first, uint64_t count, const char *in,
                 uint64_t cpu_ns, struct cage_outcome *outcome);
void cage_wait(struct cage_outcome *outcome);
bool cage_is_done(const struct cage_outcome *outcome);

/* The same in two steps: the inputs' memory, which the caller fills, and the rest. */
void *cage_reserve(struct fmd_map *map, uint64_t first, uint64_t count,
                   struct cage_outcome *outcome);
void cage_commit_filled(uint64_t cpu_ns, struct cage_outcome *outcome);

/* CPU time that the next span which asks for more is granted, once. */
void cage_set_more(uint64_t cpu_ns);

/* Both, and releases it. */
void cage_run(struct fmd_map *map, uint64_t first, uint64_t count, const char *in, uint64_t cpu_ns,
              struct cage_outcome *outcome);

const char *cage_status(enum fmd_span_status status);

/* The same in a map of ada's own, and prints what became of it. Without such a function the test ends. */
void cage_try(struct cage *cage, const char *function, uint64_t first, uint64_t count,
              const char *in, uint64_t cpu_ns, struct cage_outcome *outcome);

/* For a test program that has a `struct cage cage`, and a has_cage() that opens it once and says in no_cage
   why it could not. */
#define NEEDS_CAGE()             \
    do {                         \
        if (!has_cage())         \
            SKIP("%s", no_cage); \
    } while (0)

/* The element gets nothing, and says so itself. */
#define GETS_NOTHING(test, function, input)                                   \
    TEST(test)                                                                \
    {                                                                         \
        struct cage_outcome outcome;                                          \
        NEEDS_CAGE();                                                         \
        cage_try(&cage, function, 7, 1, input, CPU, &outcome);                \
        CHECK_EQ_STR(cage_status(outcome.result.status), "done");             \
        CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out); \
    }

#endif
