/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The attack suite: elements that try to get out of the sandbox, to take more than they may, to lie to the
 * service or to be paid for by others. Each is one numbered check, whose lines above it show what happened.
 * The elements are in attacks.c. Runs as root, with a user number for each worker, and as any other user.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "cage.h"

static struct cage cage;
static const char *no_cage; /* why there is none */

#define CPU (5000 * MS)

static bool has_cage(void)
{
    static bool tried;
    const struct fmd_pool_config config = cage_config();
    if (!tried && !cage_open(&cage, &config, "tests/fastmapd/prisoner", &no_cage) &&
        no_cage == NULL)
        no_cage = "the program could not be made ready";
    if (!tried && no_cage == NULL)
        printf("# confined by %s\n", fmd_pool_confinement(cage.pool));
    tried = true;
    return no_cage == NULL;
}

__attribute__((destructor)) static void close_cage(void)
{
    if (cage.pool != NULL)
        cage_close(&cage);
}

/* After an attack the pool goes on as if nothing had been. */
static void works_still(void)
{
    struct cage_outcome outcome;
    struct fmd_map *map = cage_map(&cage, "ada", "echo", 1);
    cage_run(map, 0, 2, "hello", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_EQ_STR(outcome.out, "hello");
    fmd_pool_map_close(map);
}

/* It gets no more than so much. */
#define GETS_AT_MOST(test, function, most)                                                     \
    TEST(test)                                                                                 \
    {                                                                                          \
        struct cage_outcome outcome;                                                           \
        NEEDS_CAGE();                                                                          \
        cage_try(&cage, function, 7, 1, "", CPU, &outcome);                                    \
        CHECK_EQ_STR(cage_status(outcome.result.status), "done");                              \
        CHECK_TRUE(outcome.out[0] >= '0' && outcome.out[0] <= '9', "%s", outcome.out);         \
        CHECK_TRUE(strtoull(outcome.out, NULL, 10) <= (most), "%s, at most %llu", outcome.out, \
                   (unsigned long long)(most));                                                \
        works_still();                                                                         \
    }

/* The attempt is the end of the worker. */
#define IS_KILLED(test, function)                                 \
    TEST(test)                                                    \
    {                                                             \
        struct cage_outcome outcome;                              \
        char in[32];                                              \
        NEEDS_CAGE();                                             \
        snprintf(in, sizeof in, "%d", (int)getpid());             \
        cage_try(&cage, function, 7, 1, in, CPU, &outcome);       \
        CHECK_EQ_STR(cage_status(outcome.result.status), "died"); \
        CHECK_EQ_INT(outcome.result.crash_signal, SIGSYS);        \
        CHECK_EQ_SIZE(outcome.result.crash_index, 7);             \
    }

/* What it says is not believed, and its own map pays. */
#define IS_NOT_BELIEVED(test, function)                               \
    TEST(test)                                                        \
    {                                                                 \
        struct cage_outcome outcome;                                  \
        NEEDS_CAGE();                                                 \
        cage_try(&cage, function, 7, 1, "", CPU, &outcome);           \
        CHECK_EQ_STR(cage_status(outcome.result.status), "nonsense"); \
        CHECK_TRUE(outcome.result.cpu_ns > 0, "it is free");          \
        CHECK_EQ_SIZE(outcome.result.computed, 0);                    \
        works_still();                                                \
    }

/* ---- The machine's files ---- */

TEST(files_of_the_host_cannot_be_read)
{
    struct cage_outcome outcome;
    char secret[128];
    NEEDS_CAGE();
    snprintf(secret, sizeof secret, "%s/secret", cage.folder);
    FILE *file = fopen(secret, "w");
    CHECK_TRUE(file != NULL && fputs("secret", file) >= 0 && fclose(file) == 0, "%s", secret);
    cage_try(&cage, "read_files", 7, 1, secret, CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
    unlink(secret);
}

TEST(files_cannot_be_written_but_in_its_own_tmp)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "write_files", 7, 1, cage.program.files[0].path, CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
}

TEST(its_root_has_its_program_and_nothing_else)
{
    struct cage_outcome outcome;
    static const char *const others[] = {" /proc ", " /dev ",  " /sys ", " /etc ",
                                         " /var ",  " /root ", " /run "};
    NEEDS_CAGE();
    cage_try(&cage, "list_root", 7, 1, "", CPU, &outcome);
    CHECK_CONTAINS(outcome.out, " /tmp ");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        CHECK_TRUE(strstr(outcome.out, others[i]) == NULL, "%s in%s", others[i], outcome.out);
}

GETS_AT_MOST(disk_ends_at_the_size_of_its_tmp, "fill_disk", (uint64_t)8 << 20)
GETS_AT_MOST(inodes_end_at_1024, "fill_inodes", 1024)

/* ---- Other processes ---- */

TEST(other_processes_are_not_seen)
{
    struct cage_outcome outcome;
    char host[32];
    NEEDS_CAGE();
    snprintf(host, sizeof host, "%d", (int)getpid());
    cage_try(&cage, "see_processes", 7, 1, host, CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
    CHECK_CONTAINS(outcome.out, " pid 1, parent 0;");
}

TEST(no_signal_goes_outside)
{
    struct cage_outcome outcome;
    char host[32];
    NEEDS_CAGE();
    snprintf(host, sizeof host, "%d", (int)getpid());
    cage_try(&cage, "signal_others", 7, 1, host, CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
}

IS_KILLED(tracing_kills_the_tracer, "trace")
IS_KILLED(reading_anothers_memory_kills_the_reader, "read_memory")

/* ---- The network ---- */

TEST(nothing_can_be_connected_to)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "connect_anywhere", 7, 1, "22", CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
}

/* ---- More of itself ---- */

GETS_NOTHING(it_cannot_fork, "fork_off", "")

TEST(it_executes_nothing_after_its_start)
{
    struct cage_outcome outcome;
    const char *loader = "";
    NEEDS_CAGE();
    for (size_t i = 0; i < cage.program.count; i++)
        if (cage.program.files[i].role == FM_WIRE_ROLE_LOADER)
            loader = cage.program.files[i].path;
    cage_try(&cage, "execute", 7, 1, loader, CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done");
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
}

GETS_AT_MOST(threads_end_at_64, "many_threads", 64)
GETS_AT_MOST(memory_ends_at_its_limit, "eat_memory", (uint64_t)64 << 20)
GETS_AT_MOST(memory_that_grows_like_a_stack_too, "eat_stacks", (uint64_t)64 << 20)
GETS_AT_MOST(ranges_of_files_are_not_locked, "lock_ranges", 0)
GETS_AT_MOST(a_stack_cannot_be_stretched, "stretch_stack", (uint64_t)64 << 20)
GETS_AT_MOST(address_space_ends_so_that_page_tables_do, "eat_tables", 65)
GETS_NOTHING(no_memory_that_is_not_counted, "share_memory", "")
GETS_NOTHING(shared_memory_keeps_its_size, "shrink_arena", "")

/* ---- What it has ---- */

/* Output, the channel, and the memory of its span. */
TEST(it_has_no_other_descriptors)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "list_descriptors", 7, 1, "", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "none: 0 1 2 3 4 ");
}

TEST(its_environment_is_clean)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    setenv("FASTMAPD_TEST_SECRET", "secret", 1);
    cage_try(&cage, "list_variables", 7, 1, "", CPU, &outcome);
    CHECK_TRUE(strstr(outcome.out, "secret") == NULL, "%s", outcome.out);
    CHECK_CONTAINS(outcome.out, "OMP_NUM_THREADS=1");
}

TEST(it_gains_no_rights)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "gain_rights", 7, 1, "", CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none:", 5) == 0, "%s", outcome.out);
    CHECK_CONTAINS(outcome.out, "uid 1000, host fastmap");
}

IS_KILLED(mounting_kills, "mount_something")
IS_KILLED(a_new_user_namespace_kills, "unshare_user")
IS_KILLED(another_namespace_kills, "enter_namespace")
IS_KILLED(another_root_kills, "change_root")
IS_KILLED(bpf_kills, "load_bpf")
IS_KILLED(userfaultfd_kills, "ask_userfaultfd")
IS_KILLED(perf_kills, "ask_perf")
IS_KILLED(keys_kill, "add_key")
#if defined(__x86_64__)
IS_KILLED(x32_calls_kill, "call_x32")

TEST(calls_of_32_bits_kill)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "call_32_bits", 7, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status),
                 "died"); /* by SIGSYS, or SIGSEGV where there are none */
}
#endif

/* ---- Time ---- */

TEST(an_endless_element_is_cut_off_when_its_cpu_time_is_used_up)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "loop", 7, 1, "!", 100 * MS, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "cut");
    CHECK_TRUE(outcome.result.cpu_ns >= 100 * MS, "%llu ns",
               (unsigned long long)outcome.result.cpu_ns);
    works_still();
}

TEST(cpu_time_is_measured_whatever_the_worker_says)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "work", 7, 1, "60", CPU, &outcome); /* its RESULT says 1 ns */
    CHECK_EQ_STR(outcome.out, "worked");
    CHECK_TRUE(outcome.result.cpu_ns >= 60 * MS, "%llu ns",
               (unsigned long long)outcome.result.cpu_ns);
    cage_try(&cage, "work_in_threads", 7, 1, "40", CPU, &outcome);
    CHECK_TRUE(outcome.result.cpu_ns >= 80 * MS, "%llu ns",
               (unsigned long long)outcome.result.cpu_ns);
}

TEST(sleeping_costs_nothing)
{
    struct cage_outcome outcome;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "nap", 1);
    cage_run(map, 0, 1, "1", CPU, &outcome); /* with the start of the worker */
    cage_run(map, 1, 1, "200", CPU, &outcome);
    CHECK_TRUE(outcome.result.wall_ns >= 200 * MS && outcome.result.cpu_ns < 100 * MS,
               "%llu ns of %llu", (unsigned long long)outcome.result.cpu_ns,
               (unsigned long long)outcome.result.wall_ns);
    fmd_pool_map_close(map);
}

/* A thread that computes behind the result: its worker is ended, and its time is on the next span's
   bill. */
TEST(what_is_computed_between_spans_is_ended_and_charged)
{
    struct cage_outcome first, second;
    struct fmd_pool_numbers numbers;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "leave_threads", 1);
    cage_run(map, 0, 1, "", CPU, &first);
    CHECK_EQ_STR(first.out, "left");
    do {
        usleep(10000);
        fmd_pool_count(cage.pool, &numbers);
    } while (numbers.workers > 0);
    cage_run(map, 1, 1, "", CPU, &second);
    CHECK_EQ_STR(second.out, "left");
    CHECK_TRUE(second.result.cpu_ns >= 20 * MS, "%llu ns",
               (unsigned long long)second.result.cpu_ns);
    fmd_pool_map_close(map);
}

TEST(nothing_outlives_its_map)
{
    struct fmd_pool_numbers numbers;
    struct cage_outcome outcome;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "loop", 2);
    cage_commit(map, 0, 1, "!", CPU, &outcome);
    usleep(50000);
    fmd_pool_map_close(map);
    CHECK_EQ_STR(cage_status(outcome.result.status), "closed");
    fmd_span_release(outcome.span);
    for (int i = 0; i < 500; i++) {
        fmd_pool_count(cage.pool, &numbers);
        if (numbers.workers == 0)
            break;
        usleep(10000);
    }
    CHECK_EQ_SIZE(numbers.workers, 0);
    /* Each was our child: there is none. */
    CHECK_EQ_INT(system("test -z \"$(ps --ppid $PPID -o comm= | grep -v -x -e sh -e ps)\""), 0);
}

TEST(output_ends_after_64_kib)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "chatter", 7, 1, "", CPU, &outcome);
    CHECK_TRUE(strncmp(outcome.out, "none: write: EPIPE", 18) == 0, "%s", outcome.out);
}

/* ---- Ends ---- */

TEST(a_crash_is_the_error_of_its_element_alone)
{
    struct cage_outcome crashed, other;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "crash", 2);
    cage_commit(map, 100, 3, "!", CPU, &crashed);
    cage_commit(map, 200, 3, "", CPU, &other);
    cage_wait(&crashed);
    cage_wait(&other);
    printf("# %s\n", crashed.result.sentence);
    CHECK_EQ_STR(cage_status(crashed.result.status), "died");
    CHECK_EQ_INT(crashed.result.crash_signal, SIGSEGV);
    CHECK_EQ_SIZE(crashed.result.crash_index, 100);
    CHECK_EQ_STR(cage_status(other.result.status), "done");
    CHECK_EQ_SIZE(other.result.computed, 3);
    fmd_span_release(crashed.span);
    fmd_span_release(other.span);
    cage_run(map, 300, 3, "", CPU, &other);
    CHECK_EQ_STR(cage_status(other.result.status), "done");
    fmd_pool_map_close(map);
}

TEST(abort_and_exit_are_told_apart)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "abort_it", 7, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "died");
    CHECK_TRUE(outcome.result.crash_signal != 0, "signal %d", outcome.result.crash_signal);
    cage_try(&cage, "exit_it", 7, 1, "3", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "died");
    CHECK_EQ_INT(outcome.result.crash_signal, 0);
    CHECK_EQ_INT(outcome.result.crash_status, 3);
}

/* ---- Lies ---- */

IS_NOT_BELIEVED(bytes_that_are_no_frame, "say_garbage")
IS_NOT_BELIEVED(a_packet_longer_than_any_frame, "say_long")
IS_NOT_BELIEVED(a_frame_without_its_end, "say_cut")
IS_NOT_BELIEVED(a_sequence_number_of_before, "say_old_sequence")
IS_NOT_BELIEVED(the_result_of_another_span, "say_other_span")
IS_NOT_BELIEVED(more_elements_than_there_are, "say_too_many")
IS_NOT_BELIEVED(failures_outside_of_the_span, "say_false_failures")
IS_NOT_BELIEVED(a_second_greeting, "say_hello_again")
IS_NOT_BELIEVED(a_frame_of_the_host, "say_bye")
IS_NOT_BELIEVED(descriptors_that_come_along, "say_descriptors")

TEST(a_second_result_ends_the_worker_and_changes_nothing)
{
    struct cage_outcome outcome;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "say_twice", 1);
    for (int i = 0; i < 5; i++) { /* the second one comes before, with or after the next span */
        cage_run(map, 10 + i, 1, "", CPU, &outcome);
        CHECK_TRUE(outcome.result.status == FMD_SPAN_DONE ||
                       outcome.result.status == FMD_SPAN_NONSENSE,
                   "%s", cage_status(outcome.result.status));
    }
    fmd_pool_map_close(map);
    works_still();
}

TEST(results_without_end_end_the_worker)
{
    struct cage_outcome outcome;
    struct fmd_map *map;
    NEEDS_CAGE();
    map = cage_map(&cage, "ada", "say_without_end", 1);
    cage_run(map, 0, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "done"); /* the first one was right */
    fmd_pool_map_close(map);
    works_still();
}

TEST(a_closed_channel_is_the_end_of_its_span)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "hang_up", 7, 1, "", CPU, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "nonsense");
    works_still();
}
