/* SPDX-License-Identifier: BSD-3-Clause */
/* An ordinary program, its libraries and the real worker loop, staged and run in the sandbox. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "cage.h"

#define CPU (5000 * MS)

static struct cage cage;
static const char *no_cage;

static bool has_cage(void)
{
    static bool tried;
    struct fmd_pool_config config = cage_config();
    config.worker_bytes = (uint64_t)256 << 20;
    if (UNDER_SANITIZER)
        no_cage = "a sanitizer's shadow memory does not fit a worker";
    else if (!tried && !cage_open(&cage, &config, "tests/fastmapd/honest", &no_cage) &&
             no_cage == NULL)
        no_cage = "the program could not be made ready";
    tried = true;
    return no_cage == NULL;
}

__attribute__((destructor)) static void close_cage(void)
{
    if (cage.pool != NULL)
        cage_close(&cage);
}

TEST(elements_are_computed)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "echo", 0, 10, "hello", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_EQ_STR(outcome.out, "hello");
    cage_try(&cage, "echo", 40, 3, "fail", CPU, &outcome);
    CHECK_EQ_SIZE(outcome.result.failed, 3);
    CHECK_EQ_SIZE(outcome.result.failures[2].first, 42);
    CHECK_EQ_INT(outcome.result.failures[2].code, -7);
}

TEST(the_index_is_the_maps_own)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "index_of", 123456789, 4, "", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "123456789");
}

TEST(elements_with_trails_have_the_indices_of_these_and_tell_their_time)
{
    enum { TRAIL = FM_WIRE_WORKER_TRAIL_BYTES, COUNT = 3 };
    static const char *const indices[COUNT] = {"40", "7", "123456789"};
    struct cage_outcome outcome;
    struct fmd_pool_terms terms = {.account = "ada",
                                   .trail = true,
                                   .in_size = TRAIL,
                                   .out_size = CAGE_OUT + TRAIL,
                                   .shared_fd = -1,
                                   .vcpus = 1};
    NEEDS_CAGE();
    struct fmd_map *map = cage_map_terms(&cage, &terms, "index_of");
    uint8_t *in = cage_reserve(map, 0, COUNT, &outcome);
    for (size_t i = 0; i < COUNT; i++)
        fm_wire_worker_trail_put(in + i * TRAIL, strtoull(indices[i], NULL, 10), 0);
    cage_commit_filled(CPU, &outcome);
    cage_wait(&outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_EQ_SIZE(outcome.result.computed, COUNT);
    const uint8_t *out = fmd_span_out(outcome.span);
    for (size_t i = 0; i < COUNT; i++, out += CAGE_OUT + TRAIL) {
        CHECK_EQ_STR((const char *)out, indices[i]);
        const uint64_t ns = fm_wire_worker_trail_get(out + CAGE_OUT);
        CHECK_TRUE(ns > 0 && ns < outcome.result.wall_ns, "%llu of %llu ns", (unsigned long long)ns,
                   (unsigned long long)outcome.result.wall_ns);
    }
    fmd_span_release(outcome.span);
    fmd_pool_map_close(map);
}

TEST(the_shared_block_is_read_from_its_blob)
{
    struct cage_outcome outcome;
    struct fmd_pool_terms terms = {
        .account = "ada", .in_size = CAGE_IN, .out_size = CAGE_OUT, .shared_bytes = 6, .vcpus = 1};
    char path[256];
    NEEDS_CAGE();
    snprintf(path, sizeof path, "%s/block", cage.folder);
    FILE *block = fopen(path, "w");
    CHECK_TRUE(block != NULL && fwrite("world", 1, 6, block) == 6 && fclose(block) == 0, "%s",
               path);
    terms.shared_fd = open(path, O_RDONLY | O_CLOEXEC);
    struct fmd_map *map = cage_map_terms(&cage, &terms, "join");
    close(terms.shared_fd);
    cage_run(map, 0, 1, "hello ", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "hello world");
    fmd_pool_map_close(map);
    unlink(path);
}

TEST(a_crash_names_its_element_and_leaves_those_before)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "crash", 100, 9, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "died");
    CHECK_EQ_INT(outcome.result.crash_signal, SIGSEGV);
    CHECK_EQ_SIZE(outcome.result.crash_index, 103);
    CHECK_EQ_SIZE(outcome.result.computed, 3);
    CHECK_EQ_STR(outcome.out, "fine");
}

TEST(an_overflow_of_the_stack_is_told_from_other_crashes)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "overflow", 0, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "died");
    CHECK_CONTAINS(outcome.result.sentence, "overflowed the stack");
}

TEST(an_element_that_calls_exit_is_told)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "leave", 0, 1, "5", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "died");
    CHECK_EQ_INT(outcome.result.crash_status, 5);
    CHECK_CONTAINS(outcome.result.sentence, "exit");
}

TEST(maps_inside_elements_work)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "nested", 0, 2, "", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "0 328350");
}

TEST(a_function_that_is_not_there_is_refused)
{
    struct cage_outcome outcome;
    struct fmd_pool_terms terms = {
        .account = "ada", .in_size = CAGE_IN, .out_size = CAGE_OUT, .shared_fd = -1, .vcpus = 1};
    struct fmd_tree *tree = NULL;
    struct fmd_store_missing *missing = NULL;
    size_t count;
    struct fmd_map *map = NULL;
    NEEDS_CAGE();
    CHECK_EQ_INT(fmd_store_stage(cage.store, "ada", cage.program.sha256, &tree, &missing, &count),
                 0);
    terms.module = "/lib/nothing.so";
    CHECK_EQ_INT(fmd_pool_map_open(cage.pool, tree, &terms, &map), 0);
    for (int i = 0; i < 2; i++) { /* the worker goes on */
        cage_run(map, 0, 1, "", CPU, &outcome);
        CHECK_EQ_STR(cage_status(outcome.result.status), "refused");
        CHECK_CONTAINS(outcome.result.sentence, "nothing.so");
    }
    fmd_pool_map_close(map);
}
