/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans whose elements have trails, by the very loop of a worker: a child of this process serves, and this
 * process is its host. Workers that are started as programs are tried by test_process and worker.sh.
 */
#include <fastmap.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program/channel.h"
#include "program/module.h"
#include "test.h"

enum { MOST = 8, FIRST = 50, NESTED = 100, NAP_MS = 20, TRAIL = FM_WIRE_WORKER_TRAIL_BYTES };
enum { IN_AT = FM_WIRE_WORKER_CONTROL, OUT_AT = IN_AT + 4096, ARENA_BYTES = OUT_AT + 4096 };

enum deed { COMPUTE, FAIL, CRASH, NAP, NEST };

struct input {
    enum deed deed;
};

struct wide {
    _Alignas(64) uint64_t value;
};

struct output {
    uint64_t index, sum;
};

/* ---- Elements ---- */

static int tell_index(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    *(uint64_t *)out = fastmap_index();
    return 0;
}

static uint64_t nested_sum(void)
{
    uint64_t indices[NESTED], sum = 0;
    if (fastmap(tell_index, NULL, 0, indices, sizeof *indices, NESTED, NULL, 0) != 0)
        return 0;
    for (int i = 0; i < NESTED; i++)
        sum += indices[i];
    return sum;
}

static int element(const void *in, void *out, const void *shared)
{
    const enum deed deed = ((const struct input *)in)->deed;
    struct output *output = out;
    (void)shared;
    if (deed == CRASH)
        abort(); /* a sanitizer takes other signals for its own */
    if (deed == NAP)
        usleep(NAP_MS * 1000);
    output->sum = deed == NEST ? nested_sum() : 1;
    output->index = fastmap_index(); /* its own again */
    return deed == FAIL ? -7 : 0;
}

/* What it has is told by its code. */
static int nothing(const void *in, void *out, const void *shared)
{
    (void)shared;
    return in == NULL && out == NULL ? (int)fastmap_index() : 0;
}

/* Told by its code, since a compiler takes a wide one to be where it should. */
static int wide(const void *in, void *out, const void *shared)
{
    const uintptr_t addresses = (uintptr_t)in | (uintptr_t)out;
    (void)shared;
    if (addresses % _Alignof(struct wide) != 0)
        return -1;
    ((struct wide *)out)->value = ((const struct wide *)in)->value + fastmap_index();
    return 0;
}

/* ---- A worker ---- */

static struct {
    pid_t pid;
    struct fm_program_channel channel;
    uint8_t *arena;
    uint64_t loads;
    struct fm_wire_worker_load load;
    struct fm_wire_worker_span span;
} worker;

static void serve(int end)
{
    const struct rlimit none = {0, 0};
    char fd[16];
    (void)setrlimit(RLIMIT_CORE, &none);
    snprintf(fd, sizeof fd, "%d", end);
    setenv("FASTMAP_WORKER_FD", fd, 1);
    _exit(fastmap_serve() == 0 ? 0 : 1);
}

static bool tell(struct fm_wire_worker_frame frame, int fd)
{
    return CHECK_TRUE(fm_program_channel_send(&worker.channel, &frame, fd), "frame %d is not sent",
                      (int)frame.type);
}

static bool hear(struct fm_wire_worker_frame *frame)
{
    const char *wrong = "the worker has gone";
    return CHECK_TRUE(fm_program_channel_receive(&worker.channel, true, frame, NULL, &wrong) ==
                          FM_PROGRAM_CHANNEL_FRAME,
                      "%s", wrong);
}

static bool give_arena(void)
{
    const int fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (!CHECK_TRUE(fd >= 0 && ftruncate(fd, ARENA_BYTES) == 0 &&
                        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0,
                    "no memory to share"))
        return false;
    worker.arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const bool told = tell(
        (struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_ARENA, .is.arena.bytes = ARENA_BYTES},
        fd);
    close(fd);
    return told;
}

static bool begin(void)
{
    int ends[2];
    struct fm_wire_worker_frame hello;
    if (!CHECK_TRUE(fm_program_channel_pair(ends), "no pair of sockets"))
        return false;
    worker.pid = fork();
    if (worker.pid == 0) {
        close(ends[0]);
        serve(ends[1]);
    }
    close(ends[1]);
    worker.loads = 0;
    fm_program_channel_open(&worker.channel, ends[0]);
    return hear(&hello) && CHECK_EQ_INT(hello.type, FM_WIRE_WORKER_HELLO) && give_arena();
}

static void end(int status)
{
    int found = -1;
    close(worker.channel.fd);
    munmap(worker.arena, ARENA_BYTES);
    CHECK_EQ_INT(waitpid(worker.pid, &found, 0), worker.pid);
    CHECK_EQ_INT(found, status);
}

static bool load(fastmap_func *func, uint64_t in_size, uint64_t out_size, uint32_t flags)
{
    const void *address;
    static struct fm_program_function function;
    memcpy(&address, &func, sizeof address);
    if (!CHECK_EQ_INT(fm_program_locate(address, &function), 0))
        return false;
    worker.load = (struct fm_wire_worker_load){.map = ++worker.loads,
                                               .offset = function.offset,
                                               .in_size = in_size,
                                               .out_size = out_size,
                                               .flags = flags,
                                               .path = function.module};
    return tell((struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_LOAD, .is.load = worker.load},
                -1);
}

/* Elements whose trails are these. */
struct given {
    uint64_t index;
    enum deed deed;
};

static void put_inputs(const struct given *given, size_t count)
{
    uint8_t *in = worker.arena + IN_AT;
    for (size_t i = 0; i < count; i++) {
        const struct input input = {given[i].deed};
        if (worker.load.in_size > TRAIL)
            memcpy(in, &input, sizeof input);
        in += worker.load.in_size;
        fm_wire_worker_trail_put(in - TRAIL, given[i].index, 0);
    }
    memset(worker.arena + OUT_AT, 0xee, ARENA_BYTES - OUT_AT);
}

static bool ask(size_t count, struct fm_wire_worker_frame *answer)
{
    worker.span = (struct fm_wire_worker_span){.span = 9,
                                               .map = worker.loads,
                                               .first = FIRST,
                                               .count = count,
                                               .in_offset = IN_AT,
                                               .out_offset = OUT_AT};
    const bool stops = (worker.load.flags & FM_WIRE_WORKER_STOP) != 0;
    if (!tell((struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_SPAN, .is.span = worker.span},
              -1) ||
        !hear(answer))
        return false;
    const char *wrong = fm_wire_worker_disputes(&worker.span, stops, answer);
    return CHECK_TRUE(wrong == NULL, "%s", wrong);
}

/* False: something of it failed, and was said. */
static bool compute(const struct given *given, size_t count, uint32_t flags,
                    struct fm_wire_worker_frame *answer)
{
    if (!load(element, fm_wire_worker_trail_size(sizeof(struct input)),
              fm_wire_worker_trail_size(sizeof(struct output)), flags | FM_WIRE_WORKER_TRAIL))
        return false;
    put_inputs(given, count);
    return ask(count, answer);
}

/* ---- What has come ---- */

static const uint8_t *output_at(size_t i)
{
    return worker.arena + OUT_AT + i * worker.load.out_size;
}

static uint64_t ns_at(size_t i)
{
    return fm_wire_worker_trail_get(output_at(i) + sizeof(struct output));
}

static int code_at(size_t i)
{
    return fm_wire_worker_trail_code(output_at(i) + sizeof(struct output));
}

static void check_output(size_t i, uint64_t index, uint64_t sum)
{
    static const uint8_t zeros[TRAIL - 12];
    struct output output;
    memcpy(&output, output_at(i), sizeof output);
    CHECK_EQ_SIZE(output.index, index);
    CHECK_EQ_SIZE(output.sum, sum);
    CHECK_TRUE(ns_at(i) < 60000000000u, "%llu ns", (unsigned long long)ns_at(i));
    CHECK_EQ_MEM(output_at(i) + sizeof output + 12, zeros, sizeof zeros);
}

static void check_untouched(size_t i)
{
    uint8_t before[sizeof(struct output) + TRAIL];
    memset(before, 0xee, sizeof before);
    CHECK_EQ_MEM(output_at(i), before, sizeof before);
}

static void check_result(const struct fm_wire_worker_frame *answer, uint64_t computed,
                         uint64_t failed)
{
    if (!CHECK_EQ_INT(answer->type, FM_WIRE_WORKER_RESULT))
        return;
    CHECK_EQ_SIZE(answer->is.result.computed, computed);
    CHECK_EQ_SIZE(answer->is.result.failed, failed);
    CHECK_EQ_SIZE(answer->is.result.listed, failed);
}

/* ---- Spans ---- */

TEST(elements_in_any_order_have_their_own_indices)
{
    static const struct given given[] = {
        {7, COMPUTE}, {3, COMPUTE}, {1000000007, COMPUTE}, {0, COMPUTE}, {3, COMPUTE}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 5, 0, &answer)) {
        check_result(&answer, 5, 0);
        for (size_t i = 0; i < 5; i++)
            check_output(i, given[i].index, 1);
    }
    end(0);
}

TEST(a_map_inside_an_element_has_indices_of_its_own)
{
    static const struct given given[] = {{9, NEST}, {4, COMPUTE}, {2, NEST}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 3, 0, &answer)) {
        check_result(&answer, 3, 0);
        check_output(0, 9, NESTED * (NESTED - 1) / 2);
        check_output(1, 4, 1);
        check_output(2, 2, NESTED * (NESTED - 1) / 2);
    }
    end(0);
}

/* They are the elements' own: together no more than the span's. */
TEST(each_element_tells_how_long_it_took)
{
    static const struct given given[] = {{1, COMPUTE}, {0, NAP}, {2, NAP}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 3, 0, &answer)) {
        uint64_t sum = 0;
        check_result(&answer, 3, 0);
        for (size_t i = 0; i < 3; i++)
            sum += ns_at(i);
        for (size_t i = 1; i < 3; i++)
            CHECK_TRUE(ns_at(i) >= NAP_MS * 1000000u, "%llu ns", (unsigned long long)ns_at(i));
        CHECK_TRUE(sum <= answer.is.result.busy_ns, "%llu of %llu ns", (unsigned long long)sum,
                   (unsigned long long)answer.is.result.busy_ns);
    }
    end(0);
}

TEST(failures_are_told_by_their_place_in_the_span)
{
    static const struct given given[] = {{8, COMPUTE}, {0, FAIL}, {5, COMPUTE}, {900, FAIL}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 4, 0, &answer)) {
        check_result(&answer, 4, 2);
        CHECK_EQ_SIZE(answer.is.result.failures[0].first, FIRST + 1);
        CHECK_EQ_INT(answer.is.result.failures[0].code, -7);
        CHECK_EQ_SIZE(answer.is.result.failures[1].first, FIRST + 3);
        for (size_t i = 0; i < 4; i++) {
            check_output(i, given[i].index, 1);
            CHECK_EQ_INT(code_at(i), given[i].deed == FAIL ? -7 : 0);
        }
    }
    end(0);
}

TEST(a_failure_ends_its_span_where_that_is_asked_for)
{
    static const struct given given[] = {{8, COMPUTE}, {0, FAIL}, {5, COMPUTE}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 3, FM_WIRE_WORKER_STOP, &answer)) {
        check_result(&answer, 2, 1);
        check_output(1, 0, 1);
        check_untouched(2);
        if (compute(&given[2], 1, FM_WIRE_WORKER_STOP, &answer)) { /* the next one does not */
            check_result(&answer, 1, 0);
            check_output(0, 5, 1);
        }
    }
    end(0);
}

TEST(a_crash_names_its_place_and_leaves_those_before)
{
    static const struct given given[] = {{80, COMPUTE}, {70, FAIL}, {60, CRASH}, {50, COMPUTE}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 4, 0, &answer) &&
        CHECK_EQ_INT(answer.type, FM_WIRE_WORKER_ERROR)) {
        const struct fm_wire_worker_control *control =
            (const struct fm_wire_worker_control *)(const void *)worker.arena;
        CHECK_EQ_INT(answer.is.error.end, FM_WIRE_WORKER_SIGNAL);
        CHECK_EQ_INT(answer.is.error.value, SIGABRT);
        CHECK_EQ_SIZE(answer.is.error.index, FIRST + 2);
        CHECK_EQ_SIZE(control->failed, 1);
        CHECK_EQ_SIZE(control->failures[0].first, FIRST + 1);
        check_output(0, 80, 1);
        check_output(1, 70, 1);
        check_untouched(2);
        check_untouched(3);
    }
    end(SIGABRT);
}

TEST(elements_without_inputs_and_outputs_see_none)
{
    static const struct given given[] = {{3, COMPUTE}, {11, COMPUTE}, {2, COMPUTE}};
    struct fm_wire_worker_frame answer;
    if (begin() && load(nothing, TRAIL, TRAIL, FM_WIRE_WORKER_TRAIL)) {
        put_inputs(given, 3);
        if (ask(3, &answer)) {
            check_result(&answer, 3, 3);
            for (size_t i = 0; i < 3; i++)
                CHECK_EQ_INT(answer.is.result.failures[i].code, given[i].index);
        }
    }
    end(0);
}

TEST(elements_stay_aligned)
{
    static const struct given given[] = {{3, COMPUTE}, {11, COMPUTE}, {2, COMPUTE}};
    const uint64_t size = fm_wire_worker_trail_size(sizeof(struct wide));
    struct fm_wire_worker_frame answer;
    if (begin() && load(wide, size, size, FM_WIRE_WORKER_TRAIL)) {
        put_inputs(given, 3);
        for (size_t i = 0; i < 3; i++)
            ((struct wide *)(void *)(worker.arena + IN_AT + i * size))->value = 1000;
        if (ask(3, &answer)) {
            check_result(&answer, 3, 0);
            for (size_t i = 0; i < 3; i++)
                CHECK_EQ_SIZE(((const struct wide *)(const void *)output_at(i))->value,
                              1000 + given[i].index);
        }
    }
    end(0);
}

TEST(a_map_without_trails_may_follow_one_with_them)
{
    static const struct given given[] = {{3, COMPUTE}};
    struct fm_wire_worker_frame answer;
    if (begin() && compute(given, 1, 0, &answer) && load(tell_index, 0, sizeof(uint64_t), 0) &&
        ask(MOST, &answer)) {
        check_result(&answer, MOST, 0);
        for (size_t i = 0; i < MOST; i++) {
            uint64_t index;
            memcpy(&index, output_at(i), sizeof index);
            CHECK_EQ_SIZE(index, FIRST + i);
        }
    }
    end(0);
}
