/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program whose rank 0 makes maps while all other ranks only serve, started by tests/mpi.sh through
 * each launcher. Rank 0 compares byte by byte with the plain loop, looks at who computed, and prints
 * "ok SCENARIO"; a rank that serves prints "ok served" when it is let go.
 */
#include <fastmap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N 400
#define TABLE ((size_t)5 << 20) /* words of the large shared block: more than one message */

static int ranks;

static void pause_a_little(void)
{
    const struct timespec time = {.tv_nsec = 500000};
    nanosleep(&time, NULL);
}

static int add_index(const void *in, void *out, const void *shared)
{
    (void)shared;
    pause_a_little();
    *(uint64_t *)out = *(const uint64_t *)in * 3 + fastmap_index();
    return 0;
}

/* Looks at all of a small block, or at some words of the large one. */
static int look_up(const void *in, void *out, const void *shared)
{
    const uint64_t *table = shared;
    pause_a_little();
    *(uint64_t *)out = table[0] + table[*(const uint64_t *)in % table[0]];
    return 0;
}

static int fail_at_17(const void *in, void *out, const void *shared)
{
    (void)add_index(in, out, shared);
    return fastmap_index() == 17 ? 5 : 0;
}

static int triple_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)shared;
    for (size_t i = 0; i < count; i++) {
        pause_a_little();
        ((uint64_t *)out)[i] = ((const uint64_t *)in)[i] * 3 + first + i;
    }
    return 0;
}

static uint64_t in[N];
static uint64_t out[N];

static void say(const char *scenario, bool right)
{
    printf("%s %s\n", right ? "ok" : "NOT OK", scenario);
    (void)fflush(stdout);
}

static bool triples(void)
{
    for (size_t i = 0; i < N; i++)
        if (out[i] != in[i] * 3 + i)
            return false;
    return true;
}

static void maps_are_helped_with(void)
{
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = add_index, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = N);
    memset(out, 0, sizeof out);
    const int rc = fastmap_run(&map, &report);
    say("maps are helped with",
        rc == 0 && triples() && report.ranks == ranks && (ranks == 1 || report.away > 0));
}

static void blocks_are_functions_too(void)
{
    const struct fastmap_map map = FASTMAP_MAP(.block = triple_block, .in = in, .in_size = 8,
                                               .out = out, .out_size = 8, .n = N);
    memset(out, 0, sizeof out);
    const int rc = fastmap_run(&map, NULL);
    say("blocks are functions too", rc == 0 && triples());
}

static bool looked_up(const uint64_t *table)
{
    for (size_t i = 0; i < N; i++)
        if (out[i] != table[0] + table[in[i] % table[0]])
            return false;
    return true;
}

static void look_up_in(const char *scenario, const uint64_t *table, size_t words)
{
    memset(out, 0, sizeof out);
    const int rc = fastmap(look_up, in, 8, out, 8, N, table, words * 8);
    say(scenario, rc == 0 && looked_up(table));
}

static void shared_blocks_travel(void)
{
    uint64_t *table = malloc(TABLE * 8);
    if (table == NULL)
        return;
    for (size_t i = 0; i < TABLE; i++)
        table[i] = i * i + TABLE;
    table[0] = 100;
    look_up_in("a small shared block travels", table, 100);
    table[0] = TABLE;
    look_up_in("a large shared block travels", table, TABLE);
    look_up_in("a block that is known is found again", table, TABLE);
    for (size_t i = 0; i < N; i++) /* between the samples that are enough to compare blocks by */
        table[in[i] % TABLE]++;
    look_up_in("a block that changed a little is another", table, TABLE);
    for (size_t bytes = 800; bytes < 8000; bytes += 800) {
        table[0] = bytes / 8;
        look_up_in("many blocks, one after the other", table, bytes / 8);
    }
    free(table);
}

static void failures_come_home(void)
{
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = fail_at_17, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = N);
    const int rc = fastmap_run(&map, &report);
    say("failures come home", rc == FASTMAP_ERR_ELEMENT && report.failed == 1 &&
                                  report.failures[0].index == 17 && report.failures[0].code == 5);
}

/* Where the launcher said that all others serve, such maps are simply computed. */
static void maps_that_cannot_be_served(bool served)
{
    static const uint64_t pointed[2] = {1, 2};
    const int by_pointer = fastmap(look_up, in, 8, out, 8, N, pointed, 0);
    say("a pointer without a size", ranks == 1 || served ? by_pointer == 0 && looked_up(pointed)
                                                         : by_pointer == FASTMAP_ERR_RANKS);
    const struct fastmap_map map =
        FASTMAP_MAP(.func = add_index, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = N,
                    .spread = FASTMAP_SPREAD_REPLICATED);
    memset(out, 0, sizeof out);
    const int replicated = fastmap_run(&map, NULL);
    say("replicated elements",
        ranks == 1 || served ? replicated == 0 && triples() : replicated == FASTMAP_ERR_RANKS);
}

static int number(const char *open_mpi, const char *mpich, int otherwise)
{
    const char *text = getenv(open_mpi);
    if (text == NULL)
        text = getenv(mpich);
    return text != NULL ? atoi(text) : otherwise;
}

int main(int argc, char **argv)
{
    ranks = number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", 1);
    if (number("OMPI_COMM_WORLD_RANK", "PMI_RANK", 0) > 0) {
        const int rc = fastmap_serve();
        say(rc == 0 ? "served" : fastmap_last_error(), rc == 0);
        return rc != 0;
    }
    if (argc > 1 && strcmp(argv[1], "nothing") == 0) {
        say("no map at all", fastmap_global_finalize() == 0);
        return 0;
    }
    for (size_t i = 0; i < N; i++)
        in[i] = i * 7919 + 1;
    maps_are_helped_with();
    blocks_are_functions_too();
    shared_blocks_travel();
    failures_come_home();
    maps_that_cannot_be_served(getenv("FASTMAP_WORKER_RANKS") != NULL);
    maps_are_helped_with();
    return 0;
}
