/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One rank of the tests under MPI, started by tests/mpi.sh through each launcher there is. Each scenario is
 * a map whose results are compared byte by byte with the plain loop; ranks own different numbers of
 * elements, some none. Knows nothing of MPI: the library finds out by itself (mpi_levels.c is the program
 * that calls MPI_Init). Prints one line, "ok SCENARIO", from each rank; anything else is a failure.
 */
#include <fastmap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mpi_ranks.h"

static int rank;
static int size;

struct big {
    uint64_t word[8192];
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 29;
}

static int hash(const void *in, void *out, const void *shared)
{
    const uint64_t key = shared != NULL ? *(const uint64_t *)shared : 7;
    uint64_t x = *(const uint64_t *)in + fastmap_index();
    for (int i = 0; i < 200; i++)
        x = mix(x + key);
    *(uint64_t *)out = x;
    return 0;
}

static int other_hash(const void *in, void *out, const void *shared)
{
    return hash(in, out, shared) + 0 * (int)*(const uint64_t *)in;
}

static int square_index(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    *(uint64_t *)out = fastmap_index() * fastmap_index();
    return 0;
}

static int nap(const void *in, void *out, const void *shared)
{
    const struct timespec time = {.tv_nsec = 1000000};
    nanosleep(&time, NULL);
    return hash(in, out, shared);
}

static int sum_big(const void *in, void *out, const void *shared)
{
    const struct big *a = in;
    struct big *b = out;
    for (size_t i = 0; i < 8192; i++)
        b->word[i] = mix(a->word[i] + i);
    return nap(a->word, b->word, shared);
}

static int block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)shared;
    for (size_t i = 0; i < count; i++)
        ((uint64_t *)out)[i] = ((const uint64_t *)in)[i] * 3 + first + i;
    usleep(200);
    return 0;
}

struct wide {
    uint64_t rest;
    uint64_t word;
};

static int narrow(const void *in, void *out, const void *shared)
{
    return nap(&((const struct wide *)in)->word, out, shared);
}

static int fails(const void *in, void *out, const void *shared)
{
    (void)nap(in, out, shared);
    return fastmap_index() % 10 == 3 ? 40 + (int)(fastmap_index() / 10) : 0;
}

/* ---- Maps against the loop ---- */

static void loop(const struct fastmap_map *map, char *out)
{
    const uintptr_t in = (uintptr_t)map->in;
    if (map->block != NULL) {
        if (map->n > 0)
            (void)map->block(map->in, out, 0, map->n, map->shared);
        return;
    }
    /* On one thread and at home fastmap() is the loop, and fastmap_index() works in it. */
    struct fastmap_session *session;
    const struct fastmap_config home =
        FASTMAP_CONFIG(.ranks = FASTMAP_RANKS_OFF, .max_local_workers = 1,
                       .verbosity = FASTMAP_VERBOSITY_QUIET);
    struct fastmap_map same = *map;
    same.out = map->n > 0 ? out : NULL;
    if (same.n == 0 || fastmap_init(&home, &session) != 0)
        return;
    (void)in;
    (void)fastmap_session_run(session, &same, NULL);
    (void)fastmap_finalize(session);
}

static bool same_as_loop(struct fastmap_map map, size_t *away)
{
    const size_t bytes = map.n * map.out_size;
    char *expected = calloc(bytes + 1, 1);
    char *found = calloc(bytes + 1, 1);
    struct fastmap_report report = FASTMAP_REPORT();
    map.out = map.out_size > 0 && map.n > 0 ? found : NULL;
    map.in = map.n > 0 ? map.in : NULL; /* ranks that own nothing have no arrays */
    const int error = fastmap_run(&map, &report);
    if (error != 0)
        printf("rank %d: %s\n", rank, fastmap_last_error());
    loop(&map, expected);
    const bool same = memcmp(expected, found, bytes) == 0;
    if (!same)
        printf("rank %d: results differ from the loop\n", rank);
    if (report.elements != map.n)
        printf("rank %d: %zu of %zu elements\n", rank, report.elements, map.n);
    if (away != NULL)
        *away = report.away;
    free(expected);
    free(found);
    return error == 0 && same && report.elements == map.n;
}

/* A map of `n` elements of 8 bytes of their own for each rank. */
static bool words(fastmap_func *func, size_t n, const uint64_t *shared, size_t *away)
{
    uint64_t *in = malloc((n + 1) * sizeof *in);
    for (size_t i = 0; i < n; i++)
        in[i] = mix(i + (uint64_t)rank * 1000003);
    const bool ok =
        same_as_loop(FASTMAP_MAP(.func = func, .in = in, .in_size = 8, .out_size = 8, .n = n,
                                 .shared = shared, .shared_size = shared != NULL ? 8 : 0),
                     away);
    free(in);
    return ok;
}

/* ---- Scenarios ---- */

static bool root_owned(void)
{
    size_t away = 0;
    const bool ok = words(nap, rank == 0 ? 400 : 0, NULL, &away);
    if (rank == 0 && size > 1 && away < 100)
        printf("rank 0: only %zu of 400 elements went to others\n", away);
    return ok && (rank != 0 || size == 1 || away >= 100);
}

static bool last_owned(void)
{
    return words(nap, rank == size - 1 ? 200 : 0, NULL, NULL);
}

static bool uneven(void)
{
    const uint64_t key = 99;
    return words(hash, (size_t)(rank * rank) * 3000 + 5, &key, NULL);
}

static bool nobody_owns(void)
{
    bool ok = true;
    for (int i = 0; i < 100; i++)
        ok = words(hash, 0, NULL, NULL) && ok;
    return ok;
}

static bool one_each(void)
{
    bool ok = true;
    for (int i = 0; i < 50; i++)
        ok = words(hash, 1, NULL, NULL) && ok;
    return ok;
}

static bool many(void)
{
    return words(hash, rank == 0 ? 300000 : 1000, NULL, NULL);
}

static bool indices(void)
{
    return same_as_loop(
        FASTMAP_MAP(.func = square_index, .out_size = 8, .n = rank == 0 ? 1000000 : 17), NULL);
}

static bool huge_elements(void)
{
    const size_t n = rank == 0 ? 60 : 0;
    struct big *in = calloc(n + 1, sizeof *in);
    for (size_t i = 0; i < n * 8192; i++)
        in[i / 8192].word[i % 8192] = mix(i);
    const bool ok = same_as_loop(FASTMAP_MAP(.func = sum_big, .in = in, .in_size = sizeof *in,
                                             .out_size = sizeof *in, .n = n),
                                 NULL);
    free(in);
    return ok;
}

static bool blocks(void)
{
    const size_t n = rank == 0 ? 4000 : 3;
    uint64_t *in = calloc(n, sizeof *in);
    const bool ok = same_as_loop(
        FASTMAP_MAP(.block = block, .in = in, .in_size = 8, .out_size = 8, .n = n), NULL);
    free(in);
    return ok;
}

static bool wide_to_narrow(void)
{
    const size_t n = rank == 0 ? 300 : 0;
    struct wide *in = calloc(n + 1, sizeof *in);
    for (size_t i = 0; i < n; i++)
        in[i] = (struct wide){.rest = mix(i), .word = mix(i + 9)};
    bool ok = true;
    for (int round = 0; round < 3; round++)
        ok = same_as_loop(FASTMAP_MAP(.func = narrow, .in = in, .in_size = sizeof *in,
                                      .out_size = 8, .n = n),
                          NULL) &&
             ok;
    free(in);
    return ok;
}

static bool in_place(void)
{
    const size_t n = rank == 0 ? 300 : 1;
    uint64_t *in = calloc(n, sizeof *in);
    uint64_t *expected = calloc(n, sizeof *in);
    for (size_t i = 0; i < n; i++)
        in[i] = i * 77;
    struct fastmap_map map =
        FASTMAP_MAP(.func = nap, .in = in, .in_size = 8, .out = in, .out_size = 8, .n = n);
    loop(&map, (char *)expected);
    const bool ok = fastmap_run(&map, NULL) == 0 && memcmp(in, expected, n * 8) == 0;
    free(in);
    free(expected);
    return ok;
}

static bool failures(void)
{
    const size_t n = rank == 0 ? 100 : 0;
    uint64_t in[100] = {0};
    uint64_t out[100];
    struct fastmap_report report = FASTMAP_REPORT();
    const int error = fastmap_run(
        &FASTMAP_MAP(.func = fails, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = n),
        &report);
    bool ok = error == (rank == 0 ? FASTMAP_ERR_ELEMENT : 0) && report.elements == n;
    ok = ok && report.failed == n / 10 && report.failures_listed == (rank == 0 ? 8 : 0);
    for (size_t i = 0; i < report.failures_listed; i++)
        ok = ok && report.failures[i].index == i * 10 + 3 &&
             report.failures[i].code == 40 + (int)i && report.failures[i].rank < size &&
             (report.failures[i].rank == 0) == (report.failures[i].tier == FASTMAP_TIER_LOCAL);
    if (!ok)
        printf("rank %d: error %d, %zu failed\n", rank, error, report.failed);
    return ok;
}

static bool stops(void)
{
    const size_t n = rank == 0 ? 1000 : 0;
    uint64_t *in = calloc(n + 1, 8);
    uint64_t *out = calloc(n + 1, 8);
    struct fastmap_report report = FASTMAP_REPORT();
    const int error =
        fastmap_run(&FASTMAP_MAP(.func = fails, .in = in, .in_size = 8, .out = out, .out_size = 8,
                                 .n = n, .on_error = FASTMAP_ON_ERROR_STOP),
                    &report);
    free(in);
    free(out);
    if (rank == 0 && report.elements >= n)
        printf("rank 0: all elements were computed\n");
    return rank == 0 ? error == FASTMAP_ERR_ELEMENT && report.elements < n : error == 0;
}

/* Rank 1 calls something else: nobody hangs, everybody is told. */
static bool expect_difference(const struct fastmap_map *map, const char *what)
{
    const int error = fastmap_run(map, NULL);
    const bool told = strstr(fastmap_last_error(), what) != NULL ||
                      strstr(fastmap_last_error(), "other ranks") != NULL;
    if (error != FASTMAP_ERR_RANKS || !told)
        printf("rank %d: %d, %s\n", rank, error, fastmap_last_error());
    return error == FASTMAP_ERR_RANKS && told;
}

static bool differences(void)
{
    static uint64_t in[64];
    static uint64_t out[128];
    const uint64_t key = rank == 1 ? 1 : 2;
    if (size == 1)
        return true;
    struct fastmap_map map =
        FASTMAP_MAP(.func = nap, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 64);
    struct fastmap_map function = map;
    function.func = rank == 1 ? other_hash : hash;
    struct fastmap_map bytes = map;
    bytes.out_size = rank == 1 ? 16 : 8;
    struct fastmap_map shared = map;
    shared.shared = &key;
    shared.shared_size = sizeof key;
    return expect_difference(&function, "the function") && expect_difference(&bytes, "out_size") &&
           expect_difference(&shared, "shared") && words(hash, 100, NULL, NULL);
}

/* All ranks pass the same, all get everything. */
static bool replicated(void)
{
    uint64_t in[500];
    for (size_t i = 0; i < 500; i++)
        in[i] = mix(i);
    bool ok = true;
    for (size_t n = 0; n <= 500; n += n < 4 ? 1 : 248)
        ok = same_as_loop(FASTMAP_MAP(.func = hash, .in = in, .in_size = 8, .out_size = 8, .n = n,
                                      .spread = FASTMAP_SPREAD_REPLICATED),
                          NULL) &&
             ok;
    return ok;
}

static bool replicated_failures(void)
{
    uint64_t in[100] = {0};
    uint64_t out[100];
    struct fastmap_report report = FASTMAP_REPORT();
    const int error =
        fastmap_run(&FASTMAP_MAP(.func = fails, .in = in, .in_size = 8, .out = out, .out_size = 8,
                                 .n = 100, .spread = FASTMAP_SPREAD_REPLICATED),
                    &report);
    bool ok = error == FASTMAP_ERR_ELEMENT && report.failed == 10 && report.failures_listed == 8;
    for (size_t i = 0; i < report.failures_listed; i++)
        ok = ok && report.failures[i].index == i * 10 + 3;
    return ok;
}

static bool at_home(void)
{
    struct fastmap_session *session;
    const struct fastmap_config home = FASTMAP_CONFIG(.ranks = FASTMAP_RANKS_OFF);
    uint64_t out[10] = {0};
    if (fastmap_init(&home, &session) != 0)
        return false;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = square_index, .out = out, .out_size = 8, .n = 10);
    /* Only one rank: a collective call would wait for ever. */
    const bool ok = rank != 0 || (fastmap_session_run(session, &map, NULL) == 0 && out[9] == 81);
    return fastmap_finalize(session) == 0 && ok;
}

static bool late(void)
{
    usleep(rank % 2 == 1 ? 300000 : 0);
    return words(nap, 20, NULL, NULL);
}

static int lasts(const void *in, void *out, const void *shared)
{
    usleep(400000);
    return hash(in, out, shared);
}

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* While one rank is inside an element that nobody can share, the others leave their cores to others: a rank
   that asks for messages again and again takes a whole one, each time. */
static bool waits_asleep(void)
{
    double least = 1;
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        const double before = cpu_seconds();
        ok = words(lasts, rank == 0 ? 1 : 0, NULL, NULL) && ok;
        const double used = cpu_seconds() - before;
        least = used < least ? used : least;
    }
    if (least > 0.2)
        printf("rank %d: %.2f s of CPU time in 0.4 s of waiting\n", rank, least);
    return ok && least <= 0.2;
}

static const struct {
    const char *name;
    bool (*run)(void);
} scenarios[] = {
    {"nobody_owns", nobody_owns}, /* first: from then on, all are there */
    {"root_owned", root_owned},
    {"last_owned", last_owned},
    {"uneven", uneven},
    {"one_each", one_each},
    {"many", many},
    {"indices", indices},
    {"huge_elements", huge_elements},
    {"blocks", blocks},
    {"in_place", in_place},
    {"wide_to_narrow", wide_to_narrow},
    {"failures", failures},
    {"stops", stops},
    {"differences", differences},
    {"replicated", replicated},
    {"replicated_failures", replicated_failures},
    {"at_home", at_home},
    {"late", late},
    {"waits_asleep", waits_asleep},
};

int mpi_ranks_main(int its_rank, int its_size)
{
    bool ok = true;
    rank = its_rank;
    size = its_size;
    alarm(120);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (scenarios[i].run())
            printf("ok %s\n", scenarios[i].name);
        else
            ok = false;
    return ok ? 0 : 1;
}
