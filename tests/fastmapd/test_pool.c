/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool: spans, workers that come and go, fairness, limits of time, closing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"
#include "cage.h"

#define CPU (5000 * MS)

/* A cage of its own for each test. */
static bool open_cage(struct cage *cage, struct fmd_pool_config config, const char **why)
{
    const bool opened = cage_open(cage, &config, "tests/fastmapd/prisoner", why);
    if (!opened && *why == NULL)
        *why = "the program could not be made ready";
    return opened;
}

#define NEEDS_CAGE_OF(config)                    \
    struct cage cage;                            \
    do {                                         \
        const char *why;                         \
        if (!open_cage(&cage, (config), &why)) { \
            cage_close(&cage);                   \
            SKIP("%s", why);                     \
        }                                        \
    } while (0)

static struct fmd_pool_numbers numbers_of(const struct cage *cage)
{
    struct fmd_pool_numbers numbers;
    fmd_pool_count(cage->pool, &numbers);
    return numbers;
}

static void wait_for_workers(const struct cage *cage, uint64_t count)
{
    for (int i = 0; i < 1000 && numbers_of(cage).workers != count; i++)
        usleep(5000);
    CHECK_EQ_SIZE(numbers_of(cage).workers, count);
}

TEST(a_span_has_the_outputs_and_failures_of_its_elements)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "echo", 1);
    cage_run(map, 1000, 5, "some text", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_EQ_SIZE(outcome.result.computed, 5);
    CHECK_EQ_STR(outcome.out, "some text");
    cage_run(map, 2000, 70, "fail", CPU, &outcome);
    CHECK_EQ_SIZE(outcome.result.failed, 70);
    CHECK_EQ_SIZE(outcome.result.listed, 64);
    CHECK_EQ_SIZE(outcome.result.failures[0].first, 2000);
    CHECK_EQ_INT(outcome.result.failures[63].code, -7);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

TEST(one_worker_serves_many_spans_and_ends_when_idle)
{
    struct fmd_pool_config config = cage_config();
    config.idle_ns = 200 * MS;
    NEEDS_CAGE_OF(config);
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "echo", 1);
    for (uint64_t i = 0; i < 300; i++) {
        char text[32];
        snprintf(text, sizeof text, "span %d", (int)i);
        cage_run(map, i * 10, 1 + i % 10, text, CPU, &outcome);
        if (!CHECK_EQ_STR(cage_status(outcome.result.status), "done") ||
            !CHECK_EQ_STR(outcome.out, text))
            break;
    }
    CHECK_EQ_SIZE(numbers_of(&cage).started, 1);
    wait_for_workers(&cage, 0);
    CHECK_EQ_SIZE(numbers_of(&cage).ended_idle, 1);
    cage_run(map, 0, 1, "again", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "again");
    CHECK_EQ_SIZE(numbers_of(&cage).started, 2);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

TEST(workers_grow_to_what_is_granted)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcomes[12];
    struct fmd_map *map = cage_map(&cage, "ada", "nap", 2);
    for (int i = 0; i < 12; i++)
        cage_commit(map, (uint64_t)i, 1, "30", CPU, &outcomes[i]);
    for (int i = 0; i < 12; i++) {
        cage_wait(&outcomes[i]);
        CHECK_EQ_STR(outcomes[i].out, "woke");
        fmd_span_release(outcomes[i].span);
    }
    CHECK_EQ_SIZE(numbers_of(&cage).started, 2);
    fmd_pool_map_close(map);
    wait_for_workers(&cage, 0);
    CHECK_EQ_SIZE(numbers_of(&cage).spans_bytes, 0);
    cage_close(&cage);
}

/* With all vcpus taken by one account's long spans, another one's short span does not wait for them. */
TEST(an_account_with_nothing_running_need_not_wait)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome, hogs[6];
    if (!cage_upload(&cage, "bob"))
        return;
    struct fmd_map *hog = cage_map(&cage, "ada", "nap", 6),
                   *small = cage_map(&cage, "bob", "nap", 6);
    for (int i = 0; i < 6; i++)
        cage_commit(hog, (uint64_t)i, 1, "5000", CPU, &hogs[i]);
    for (int i = 0; i < 1000 && numbers_of(&cage).running < 2; i++)
        usleep(5000);
    CHECK_EQ_SIZE(numbers_of(&cage).running, 2);
    cage_run(small, 0, 1, "1", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "woke");
    int done = 0;
    for (int i = 0; i < 6; i++)
        done += hogs[i].done;
    CHECK_EQ_INT(done, 0);
    fmd_pool_map_close(hog);
    for (int i = 0; i < 6; i++)
        fmd_span_release(hogs[i].span);
    fmd_pool_map_close(small);
    cage_close(&cage);
}

/* Of two accounts with much to do neither waits for the other's end, whoever came first. */
TEST(accounts_share)
{
    enum { SPANS = 20 };
    struct fmd_pool_config config = cage_config();
    config.vcpus = 1;
    NEEDS_CAGE_OF(config);
    static struct cage_outcome first[SPANS], second[SPANS];
    struct cage_outcome warm;
    if (!cage_upload(&cage, "bob"))
        return;
    struct fmd_map *maps[] = {cage_map(&cage, "ada", "work", 1), cage_map(&cage, "bob", "work", 1)};
    for (int i = 0; i < 2; i++) /* how long workers take to start is of no interest */
        cage_run(maps[i], 0, 1, "1", CPU, &warm);
    for (uint64_t i = 0; i < SPANS; i++)
        cage_commit(maps[0], i, 1, "10", CPU, &first[i]);
    for (uint64_t i = 0; i < SPANS; i++)
        cage_commit(maps[1], i, 1, "10", CPU, &second[i]);
    cage_wait(&second[1]);
    int done = 0;
    for (int i = 0; i < SPANS; i++)
        done += first[i].done;
    CHECK_TRUE(done < SPANS, "all of the first were done when the second had %d", 2);
    for (int i = 0; i < SPANS; i++) {
        cage_wait(&first[i]);
        cage_wait(&second[i]);
        fmd_span_release(first[i].span);
        fmd_span_release(second[i].span);
    }
    fmd_pool_map_close(maps[0]);
    fmd_pool_map_close(maps[1]);
    cage_close(&cage);
}

TEST(a_span_that_sleeps_too_long_is_late)
{
    struct fmd_pool_config config = cage_config();
    config.span_ns = 150 * MS;
    NEEDS_CAGE_OF(config);
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "sleep_long", 1), *silent;
    cage_run(map, 0, 1, "!", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "late");
    cage_run(map, 0, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    silent = cage_map(&cage, "ada", "say_nothing", 1);
    cage_run(silent, 0, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "late");
    fmd_pool_map_close(map);
    fmd_pool_map_close(silent);
    cage_close(&cage);
}

TEST(elements_before_the_one_that_crashed_are_there)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome = {0};
    struct fmd_map *map = cage_map(&cage, "ada", "crash", 1);
    struct fmd_span *span = fmd_span_reserve(map, 50, 9);
    fmd_span_release(span); /* its body broke off */
    cage_commit(map, 50, 9, "", CPU, &outcome);
    cage_wait(&outcome);
    fmd_span_release(outcome.span);
    /* Memory is reused: only the sixth element is to crash now. */
    cage_commit(map, 50, 9, "", CPU, &outcome);
    cage_wait(&outcome);
    fmd_span_release(outcome.span);
    fmd_pool_map_close(map);
    map = cage_map(&cage, "ada", "loop", 1);
    cage_commit(map, 50, 1, "", 1, &outcome); /* a nanosecond is not enough to start */
    cage_wait(&outcome);
    CHECK_TRUE(outcome.result.status == FMD_SPAN_CUT || outcome.result.status == FMD_SPAN_DONE,
               "%s", cage_status(outcome.result.status));
    fmd_span_release(outcome.span);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

TEST(a_span_is_granted_more_where_there_is_more)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "work", 1);
    cage_run(map, 0, 1, "60", 10 * MS, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "cut");
    CHECK_EQ_SIZE(outcome.result.granted_ns, 10 * MS);
    cage_set_more(CPU);
    cage_run(map, 0, 1, "60", 10 * MS, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_EQ_SIZE(outcome.result.granted_ns, CPU + 10 * MS);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

/* Endless elements, of which two run and others wait: together they get all that was granted to them
   together, but for what is too little to be measured, and not more. */
TEST(spans_of_a_map_use_up_what_all_were_granted)
{
    NEEDS_CAGE_OF(cage_config());
    enum { SPANS = 8 };
    static const uint64_t grants[SPANS] = {20 * MS, 280 * MS, 50 * MS, 10 * MS,
                                           10 * MS, 10 * MS,  10 * MS, 10 * MS};
    struct cage_outcome outcomes[SPANS];
    uint64_t used = 0, granted = 0;
    struct fmd_map *map = cage_map(&cage, "ada", "loop", 2);
    for (int i = 0; i < SPANS; i++)
        cage_commit(map, (uint64_t)i, 1, "!", grants[i], &outcomes[i]);
    for (int i = 0; i < SPANS; i++) {
        const struct fmd_span_result *result = &outcomes[i].result;
        cage_wait(&outcomes[i]);
        CHECK_EQ_STR(cage_status(result->status), "cut");
        granted += result->granted_ns;
        used += result->cpu_ns < result->granted_ns ? result->cpu_ns : result->granted_ns;
        fmd_span_release(outcomes[i].span);
    }
    CHECK_EQ_SIZE(granted, 400 * MS);
    CHECK_TRUE(used > 400 * MS - 20 * MS, "%llu ns of 400 ms", (unsigned long long)used);
    CHECK_TRUE(numbers_of(&cage).killed_cut < SPANS / 2, "a worker was ended for each");
    CHECK_TRUE(outcomes[0].result.granted_ns > 20 * MS, "the first was cut before its time");
    fmd_pool_map_close(map);
    cage_close(&cage);
}

static int kill_workers(void)
{
    return system("kill -KILL $(ps --ppid $PPID -o pid=,comm= | awk '$2 != \"sh\" && $2 != \"ps\" "
                  "&& $2 != \"awk\" { print $1 }')");
}

/* Killed from outside, idle or busy: the kernel, or an operator, may do that. */
TEST(a_worker_that_is_killed_is_replaced)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "nap", 1);
    cage_run(map, 0, 1, "1", CPU, &outcome);
    CHECK_EQ_INT(kill_workers(), 0);
    cage_run(map, 1, 1, "1", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    cage_commit(map, 2, 1, "20000", CPU, &outcome);
    for (int i = 0; i < 1000 && numbers_of(&cage).running == 0; i++)
        usleep(5000);
    usleep(100000); /* to begin with it: one that has not begun is given to another worker */
    CHECK_EQ_INT(kill_workers(), 0);
    cage_wait(&outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "lost");
    CHECK_EQ_SIZE(outcome.result.computed, 0);
    fmd_span_release(outcome.span);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

TEST(a_program_that_does_not_start_says_why)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome;
    static const char *const variables[] = {"LD_BIND_NOW=1", NULL};
    struct fmd_pool_terms terms = {.account = "ada",
                                   .in_size = CAGE_IN,
                                   .out_size = CAGE_OUT,
                                   .shared_fd = -1,
                                   .vcpus = 1,
                                   .variables = variables};
    struct fmd_tree *tree = NULL;
    struct fmd_store_missing *missing = NULL;
    size_t count;
    struct fmd_map *map = NULL;
    terms.module = "";
    CHECK_EQ_INT(fmd_store_stage(cage.store, "ada", cage.program.sha256, &tree, &missing, &count),
                 0);
    free(tree->worker);
    tree->worker = strdup("/nothing.so");
    CHECK_EQ_INT(fmd_pool_map_open(cage.pool, tree, &terms, &map), 0);
    cage_run(map, 0, 1, "", CPU, &outcome);
    printf("# %s\n", outcome.result.sentence);
    CHECK_EQ_STR(cage_status(outcome.result.status), "failed");
    CHECK_CONTAINS(outcome.result.sentence, "nothing.so");
    fmd_pool_map_close(map);
    cage_close(&cage);
}

/* Constructors run before any loop of ours: they may neither sleep nor compute for ever, and are paid for. */
TEST(a_program_that_never_gets_ready_is_ended)
{
    struct fmd_pool_config config = cage_config();
    config.start_ns = 300 * MS;
    NEEDS_CAGE_OF(config);
    static const char *const starts[] = {"PRISONER_START=spin", "PRISONER_START=sleep",
                                         "PRISONER_START=exit"};
    static const char *const says[] = {"has not said", "has not said", "status 6: I will not"};
    struct cage_outcome outcome;
    for (int i = 0; i < 3; i++) {
        const char *const variables[] = {starts[i], NULL};
        struct fmd_pool_terms terms = {.account = "ada",
                                       .in_size = CAGE_IN,
                                       .out_size = CAGE_OUT,
                                       .shared_fd = -1,
                                       .vcpus = 1,
                                       .variables = variables};
        struct fmd_map *map = cage_map_terms(&cage, &terms, "echo");
        cage_run(map, 0, 1, "", CPU, &outcome);
        CHECK_EQ_STR(cage_status(outcome.result.status), "failed");
        CHECK_CONTAINS(outcome.result.sentence, says[i]);
        CHECK_TRUE(i > 0 || outcome.result.cpu_ns >= 50 * MS, "%llu ns",
                   (unsigned long long)outcome.result.cpu_ns);
        fmd_pool_map_close(map);
    }
    cage_close(&cage);
}

TEST(memory_of_spans_has_a_limit)
{
    struct fmd_pool_config config = cage_config();
    config.spans_bytes = (uint64_t)1 << 20;
    NEEDS_CAGE_OF(config);
    struct fmd_map *map = cage_map(&cage, "ada", "echo", 1);
    struct fmd_span *spans[8];
    int count = 0;
    while (count < 8 && (spans[count] = fmd_span_reserve(map, 0, 256)) != NULL)
        count++;
    CHECK_EQ_INT(count, 3);
    CHECK_TRUE(fmd_span_reserve(map, 0, UINT64_MAX / 64) == NULL, "more than there can be");
    CHECK_TRUE(fmd_span_reserve(map, 0, 0) == NULL, "nothing");
    while (count > 0)
        fmd_span_release(spans[--count]);
    CHECK_TRUE((spans[0] = fmd_span_reserve(map, 0, 700)) != NULL, "what is free is given up");
    fmd_span_release(spans[0]);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

/* In a child: a pool with a worker in an endless element. Tells by the pipe that it runs, and waits. */
static void be_killed(int tell)
{
    struct cage cage;
    const char *why = NULL;
    struct cage_outcome outcome;
    char answer = 'n';
    if (open_cage(&cage, cage_config(), &why)) {
        struct fmd_map *map = cage_map(&cage, "ada", "loop", 1);
        cage_commit(map, 0, 1, "!", UINT64_MAX / 4, &outcome);
        while (numbers_of(&cage).running == 0)
            usleep(5000);
        snprintf(cage.table, sizeof cage.table, "rm -rf '%s'", cage.folder);
        answer = system(cage.table) == 0 ? 'y' : 'n'; /* nobody else will */
    }
    if (write(tell, &answer, 1) == 1)
        pause();
    _exit(1);
}

/* Room for one worker of the three that want to be: all get their turn, and no two are there at once. */
TEST(memory_of_workers_has_a_limit)
{
    struct fmd_pool_config config = cage_config();
    config.workers_bytes = (uint64_t)400 << 20;
    NEEDS_CAGE_OF(config);
    enum { SPANS = 12 };
    struct cage_outcome outcomes[SPANS];
    CHECK_TRUE(cage_upload(&cage, "bob"), "upload");
    struct fmd_map *maps[] = {cage_map(&cage, "ada", "nap", 2), cage_map(&cage, "ada", "nap", 2),
                              cage_map(&cage, "bob", "nap", 1)};
    for (int i = 0; i < SPANS; i++)
        cage_commit(maps[i % 3], (uint64_t)i, 1, "30", CPU, &outcomes[i]);
    for (int i = 0; i < SPANS; i++) {
        while (!cage_is_done(&outcomes[i])) {
            const struct fmd_pool_numbers now = numbers_of(&cage);
            CHECK_TRUE(now.workers <= 1 && now.workers_bytes <= config.workers_bytes,
                       "%llu workers, %llu bytes", (unsigned long long)now.workers,
                       (unsigned long long)now.workers_bytes);
            usleep(1000);
        }
        CHECK_EQ_STR(outcomes[i].out, "woke");
        fmd_span_release(outcomes[i].span);
    }
    for (int i = 0; i < 3; i++)
        fmd_pool_map_close(maps[i]);
    wait_for_workers(&cage, 0);
    CHECK_EQ_SIZE(numbers_of(&cage).workers_bytes, 0);
    cage_close(&cage);
}

/* Endless short spans of one account do not keep the only place from another. */
TEST(who_has_the_memory_gives_it_up_in_turn)
{
    struct fmd_pool_config config = cage_config();
    config.workers_bytes = (uint64_t)400 << 20;
    NEEDS_CAGE_OF(config);
    enum { SPANS = 60 };
    struct cage_outcome outcomes[SPANS], bobs;
    CHECK_TRUE(cage_upload(&cage, "bob"), "upload");
    struct fmd_map *ada = cage_map(&cage, "ada", "work", 1);
    struct fmd_map *bob = cage_map(&cage, "bob", "echo", 1);
    for (int i = 0; i < SPANS; i++)
        cage_commit(ada, (uint64_t)i, 1, "20", CPU, &outcomes[i]);
    cage_wait(&outcomes[0]);
    cage_commit(bob, 0, 1, "mine", CPU, &bobs);
    cage_wait(&bobs);
    CHECK_TRUE(!cage_is_done(&outcomes[SPANS - 1]), "bob waited for all of ada's");
    CHECK_EQ_STR(bobs.out, "mine");
    fmd_span_release(bobs.span);
    for (int i = 0; i < SPANS; i++) {
        cage_wait(&outcomes[i]);
        fmd_span_release(outcomes[i].span);
    }
    fmd_pool_map_close(ada);
    fmd_pool_map_close(bob);
    cage_close(&cage);
}

TEST(a_worker_larger_than_all_may_be_is_refused)
{
    struct fmd_pool_config config = cage_config();
    struct fmd_pool *pool;
    config.workers_bytes = (uint64_t)100 << 20;
    CHECK_EQ_INT(fmd_pool_open(&config, &pool), FASTMAP_ERR_CONFIG);
    config.worker_bytes = 0;
    config.scratch_bytes = 0;
    config.vcpus = 3;
    config.workers_bytes = (uint64_t)2 << 30;
    fmd_pool_settle(&config);
    CHECK_TRUE(config.worker_bytes > (uint64_t)200 << 20 && config.worker_bytes < (uint64_t)400
                                                                                      << 20,
               "%llu bytes of 2 GiB for each of four", (unsigned long long)config.worker_bytes);
    config.workers_bytes = (uint64_t)64 << 30;
    config.worker_bytes = 0;
    fmd_pool_settle(&config);
    CHECK_EQ_SIZE(config.worker_bytes, (size_t)1 << 30);
}

TEST(no_worker_outlives_fastmapd)
{
    int ends[2], status = 0;
    char answer = 'n';
    if (UNDER_TSAN)
        SKIP("threads that are made after fork() are not followed");
    CHECK_EQ_INT(pipe(ends), 0);
    CHECK_EQ_INT(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0); /* orphans become ours */
    const pid_t host = fork();
    if (host == 0)
        be_killed(ends[1]);
    close(ends[1]);
    const bool runs = read(ends[0], &answer, 1) == 1 && answer == 'y';
    close(ends[0]);
    kill(host, SIGKILL);
    CHECK_EQ_INT(waitpid(host, &status, 0), host);
    if (!runs)
        SKIP("there is no sandbox here");
    const pid_t worker = wait(&status); /* would wait for ever if it lived on */
    CHECK_TRUE(worker > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
               "process %d: status %d", (int)worker, status);
    CHECK_EQ_INT(wait(&status), -1);
}

TEST(spans_that_are_not_released_outlive_their_map)
{
    NEEDS_CAGE_OF(cage_config());
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "echo", 1);
    cage_commit(map, 0, 1, "kept", CPU, &outcome);
    cage_wait(&outcome);
    fmd_pool_map_close(map);
    CHECK_EQ_STR(fmd_span_out(outcome.span), "kept");
    fmd_span_release(outcome.span);
    cage_close(&cage);
}

/* ---- vCPUs that come and go ---- */

static void wait_for_vcpus(struct fmd_map *map, unsigned vcpus)
{
    for (int i = 0; i < 600 && fmd_pool_map_vcpus(map) != vcpus; i++)
        usleep(5000);
    CHECK_EQ_INT(fmd_pool_map_vcpus(map), vcpus);
}

/* So many spans that sleep for 5 s: keeps as many vCPUs busy as it gets, until the map is closed. */
static void occupy(struct fmd_map *map, struct cage_outcome *outcomes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        cage_commit(map, i, 1, "5000", CPU, &outcomes[i]);
}

static void release_all(struct cage_outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cage_wait(&outcomes[i]);
        fmd_span_release(outcomes[i].span);
    }
}

static struct fmd_pool_config config_of(unsigned vcpus)
{
    struct fmd_pool_config config = cage_config();
    config.vcpus = vcpus;
    return config;
}

TEST(a_map_shrinks_where_another_wants_vcpus_and_grows_when_that_is_over)
{
    enum { SPANS = 8 };
    NEEDS_CAGE_OF(config_of(4));
    static struct cage_outcome first[SPANS], second[SPANS];
    struct fmd_map *map = cage_map(&cage, "ada", "nap", 4);
    CHECK_EQ_INT(fmd_pool_map_vcpus(map), 4);
    occupy(map, first, SPANS);
    CHECK_EQ_INT(fmd_pool_map_vcpus(map), 4);
    struct fmd_map *other = cage_map(&cage, "ada", "nap", 4);
    CHECK_EQ_INT(fmd_pool_map_vcpus(other), 2);
    occupy(other, second, SPANS);
    wait_for_vcpus(map, 2);
    CHECK_EQ_INT(fmd_span_vcpus(first[0].span), 2);
    fmd_pool_map_close(other);
    CHECK_EQ_INT(fmd_pool_map_vcpus(map), 4);
    CHECK_EQ_INT(fmd_span_vcpus(second[0].span), 1);
    release_all(second, SPANS);
    fmd_pool_map_close(map);
    release_all(first, SPANS);
    cage_close(&cage);
}

TEST(a_map_that_is_alone_has_all_when_its_long_span_ends)
{
    NEEDS_CAGE_OF(config_of(4));
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "nap", 4);
    cage_commit(map, 0, 1, "900", CPU, &outcome);
    cage_wait(&outcome);
    CHECK_EQ_INT(fmd_span_vcpus(outcome.span), 4);
    fmd_span_release(outcome.span);
    fmd_pool_map_close(map);
    cage_close(&cage);
}

TEST(a_map_without_spans_leaves_its_vcpus_to_others_and_keeps_its_worker)
{
    enum { SPANS = 8 };
    NEEDS_CAGE_OF(config_of(4));
    static struct cage_outcome first[SPANS], second[SPANS];
    struct cage_outcome outcome;
    if (!cage_upload(&cage, "bob"))
        return;
    struct fmd_map *rests = cage_map(&cage, "ada", "nap", 4);
    cage_run(rests, 0, 1, "1", CPU, &outcome);
    struct fmd_map *works = cage_map(&cage, "bob", "nap", 4);
    occupy(works, first, SPANS);
    wait_for_vcpus(works, 4);
    for (int i = 0; i < 600 && numbers_of(&cage).running < 4; i++)
        usleep(5000);
    CHECK_EQ_SIZE(numbers_of(&cage).started, 5);
    cage_run(rests, 1, 1, "1", CPU, &outcome); /* beyond the four, since its account has none */
    CHECK_EQ_STR(outcome.out, "woke");
    CHECK_EQ_SIZE(numbers_of(&cage).started, 5);
    wait_for_vcpus(works, 3);
    occupy(rests, second, SPANS);
    CHECK_EQ_INT(fmd_pool_map_vcpus(rests) + fmd_pool_map_vcpus(works), 4);
    wait_for_vcpus(rests, 2);
    fmd_pool_map_close(rests);
    release_all(second, SPANS);
    wait_for_vcpus(works, 4);
    fmd_pool_map_close(works);
    release_all(first, SPANS);
    cage_close(&cage);
}

/* Two maps of a token, and one of another, on four vCPUs. */
TEST(maps_of_a_token_have_together_no_more_vcpus_than_it_may)
{
    enum { SPANS = 12 };
    NEEDS_CAGE_OF(config_of(4));
    static struct cage_outcome outcomes[2][SPANS];
    struct cage_outcome warm;
    struct fmd_pool_terms terms = {.account = "ada",
                                   .token = "0123456789abcdef",
                                   .token_vcpus = 2,
                                   .in_size = CAGE_IN,
                                   .out_size = CAGE_OUT,
                                   .shared_fd = -1,
                                   .vcpus = 4};
    struct fmd_map *maps[] = {cage_map_terms(&cage, &terms, "nap"),
                              cage_map_terms(&cage, &terms, "nap")};
    struct fmd_map *free_one = cage_map(&cage, "ada", "nap", 4);
    for (int i = 0; i < 2; i++)
        cage_run(maps[i], 0, 1, "1", CPU, &warm);
    for (uint64_t i = 0; i < 2 * SPANS; i++)
        cage_commit(maps[i % 2], i, 1, "40", CPU, &outcomes[i % 2][i / 2]);
    struct fmd_pool_token token;
    CHECK_TRUE(fmd_pool_next_token(cage.pool, 0, &token) && token.wants == 8, "%u", token.wants);
    CHECK_EQ_INT(fmd_pool_map_vcpus(maps[0]), 1);
    CHECK_EQ_INT(fmd_pool_map_vcpus(maps[1]), 1);
    uint64_t most = 0;
    for (int i = 0; i < 5000 && !cage_is_done(&outcomes[0][SPANS - 1]); i++) {
        const uint64_t running = numbers_of(&cage).running;
        most = running > most ? running : most;
        usleep(1000);
    }
    CHECK_EQ_SIZE(most, 2);
    CHECK_TRUE(fmd_pool_next_token(cage.pool, 0, &token), "the token is not there");
    CHECK_EQ_STR(token.token, terms.token);
    CHECK_EQ_INT(token.uses, 2);
    CHECK_TRUE(!fmd_pool_next_token(cage.pool, token.number, &token), "another has a limit");
    fmd_pool_allot(cage.pool, token.number, 3);
    terms.token_vcpus = 4; /* less than that is taken from a map that is opened, more is not */
    struct fmd_map *third = cage_map_terms(&cage, &terms, "nap");
    CHECK_TRUE(fmd_pool_next_token(cage.pool, 0, &token) && token.uses == 3, "%u", token.uses);
    fmd_pool_map_close(third);
    terms.token_vcpus = 1;
    third = cage_map_terms(&cage, &terms, "nap");
    fmd_pool_map_close(third);
    for (int i = 0; i < 400 && numbers_of(&cage).running > 1; i++)
        usleep(5000);
    CHECK_TRUE(fmd_pool_next_token(cage.pool, 0, &token) && token.uses == 1, "%u", token.uses);
    fmd_pool_allot(cage.pool, token.number, -1);
    CHECK_TRUE(!fmd_pool_next_token(cage.pool, 0, &token), "it has no limit any more");
    /* Neither was far ahead of the other. */
    CHECK_TRUE(cage_is_done(&outcomes[1][SPANS - 4]), "the second map has not had its turns");
    release_all(outcomes[0], SPANS);
    release_all(outcomes[1], SPANS);
    for (int i = 0; i < 2; i++)
        fmd_pool_map_close(maps[i]);
    fmd_pool_map_close(free_one);
    cage_close(&cage);
}
