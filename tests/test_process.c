/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps in worker processes: what an element does to its process, and what becomes of the map. Kinds of
 * programs (C++, Fortran, MPI, sanitizers, plugins) are tried by worker.sh.
 */
#include <errno.h>
#include <fastmap.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session.h"
#include "test.h"

/* In place of the C library's, for the library's starter: a machine that has no room for more processes. */
static _Atomic int short_of_processes;

int execve(const char *path, char *const arguments[], char *const environment[])
{
    if (short_of_processes > 0) {
        short_of_processes--;
        errno = EAGAIN;
        return -1;
    }
    return (int)syscall(SYS_execve, path, arguments, environment);
}

enum { N = 300, CULPRIT = 177 };

/* What the element CULPRIT does, which comes as the shared block. */
enum deed {
    NOTHING,
    ABORT,
    SEGV,
    FPE,
    EXIT,
    QUICK_EXIT,
    KILL,
    OVERFLOW,
    LOOP,
    FORGE,
    CLOSE,
    SMASH,
    FORK,
    FAIL,
    ONCE
};

struct order {
    enum deed deed;
    int pid;         /* of the program */
    char marker[64]; /* a file that says that ONCE has happened */
};

static int deeper(int depth)
{
    volatile char frame[1 << 16];
    frame[0] = (char)depth;
    return depth > 1 << 20 ? 0 : deeper(depth + 1) + frame[0];
}

/* A frame as a worker would send it, but of another type, length or sequence. */
static void forge(void)
{
    static const char frame[64] = "FAMW\1\0\5\0\1\0\0\0\60\0\0\0";
    for (int fd = 0; fd < 64; fd++)
        (void)!write(fd, frame, sizeof frame);
}

/* Overwrites the page in which the worker says what it is at, and dies without a word. */
static void smash(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "fastmap-arena") != NULL)
            memset((void *)(uintptr_t)strtoul(line, NULL, 16), 0x5a, 4096);
    raise(SIGKILL);
}

static int once(const char *marker)
{
    if (access(marker, F_OK) == 0)
        return 0;
    FILE *file = fopen(marker, "w");
    if (file != NULL)
        fclose(file);
    abort();
}

static int do_deed(const struct order *order, char *out)
{
    volatile int zero = 0;
    volatile int *volatile nowhere = NULL;
    switch (order->deed) {
    case ABORT: abort();
    case SEGV: *nowhere = 1; break;
    case FPE:
        feenableexcept(FE_DIVBYZERO);
        *(volatile double *)out = 1.0 / zero;
        break;
    case EXIT: exit(3);
    case QUICK_EXIT: _exit(4);
    case KILL: raise(SIGKILL); break;
    case OVERFLOW: return deeper(0);
    case LOOP:
        for (;;)
            pause();
    case FORGE: forge(); break;
    case CLOSE:
        for (int fd = 0; fd < 4096; fd++)
            close(fd);
        break;
    case SMASH: smash(); break;
    case FORK:
        if (fork() < 0)
            return 1;
        break;
    case FAIL: return 42;
    case ONCE: return once(order->marker);
    default: break;
    }
    return 0;
}

/* out = in^2 + index, or 1e9 where that is computed in the program's own process. */
static int element(const void *in, void *out, const void *shared)
{
    const struct order *order = shared;
    const double x = *(const double *)in;
    int code = 0;
    if (fastmap_index() == CULPRIT)
        code = do_deed(order, out);
    *(double *)out = order->pid == getpid() ? 1e9 : x * x + (double)fastmap_index();
    return code;
}

static int block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    const struct order *order = shared;
    int code = 0;
    for (size_t i = 0; i < count; i++) {
        const double x = ((const double *)in)[i];
        if (first + i == CULPRIT)
            code = do_deed(order, (char *)out);
        ((double *)out)[i] = order->pid == getpid() ? 1e9 : x * x + (double)(first + i);
    }
    return code;
}

/* Workers that crash leave no files behind. */
__attribute__((constructor)) static void no_core_files(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

static double in[N];
static double out[N];

struct outcome {
    int code;
    struct fastmap_report report;
};

static struct fastmap_map map_of(const struct order *order)
{
    for (int i = 0; i < N; i++)
        in[i] = i;
    memset(out, 0, sizeof out);
    return FASTMAP_MAP(.func = element, .in = in, .in_size = sizeof *in, .out = out,
                       .out_size = sizeof *out, .n = N, .shared = order,
                       .shared_size = sizeof *order, .workers = FASTMAP_WORKERS_PROCESSES);
}

static struct outcome run(struct fastmap_map map)
{
    struct fastmap_session *session = session_of(2);
    struct outcome outcome = {.report = FASTMAP_REPORT()};
    outcome.code = fastmap_session_run(session, &map, &outcome.report);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    return outcome;
}

static size_t right_ones(void)
{
    size_t right = 0;
    for (int i = 0; i < N; i++)
        right += out[i] == (double)i * i + i;
    return right;
}

static struct order order_of(enum deed deed)
{
    return (struct order){.deed = deed, .pid = getpid()};
}

/* All but the culprit are computed, and it is reported like this. */
static void check_loss(const struct outcome *outcome, int signal, int code)
{
    CHECK_EQ_INT(outcome->code, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(right_ones(), N - 1);
    CHECK_EQ_SIZE(outcome->report.elements, N);
    CHECK_EQ_SIZE(outcome->report.failed, 1);
    CHECK_EQ_SIZE(outcome->report.failures_listed, 1);
    CHECK_EQ_SIZE(outcome->report.failures[0].index, CULPRIT);
    CHECK_EQ_INT(outcome->report.failures[0].signal, signal);
    CHECK_EQ_INT(outcome->report.failures[0].code, code);
}

static void costs_itself_alone(enum deed deed, int signal, int code)
{
    const struct order order = order_of(deed);
    struct outcome outcome = run(map_of(&order));
    check_loss(&outcome, signal, code);
    struct fastmap_map blocks = map_of(&order);
    blocks.func = NULL;
    blocks.block = block;
    outcome = run(blocks);
    check_loss(&outcome, signal, code);
}

/* ---- Where elements run ---- */

TEST(elements_run_in_other_processes_and_results_come_back)
{
    const struct order order = order_of(NOTHING);
    struct outcome outcome = run(map_of(&order));
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
    CHECK_EQ_SIZE(outcome.report.elements, N);
    CHECK_EQ_SIZE(outcome.report.failed, 0);
}

TEST(block_functions_run_in_processes_too)
{
    const struct order order = order_of(NOTHING);
    struct fastmap_map map = map_of(&order);
    map.func = NULL;
    map.block = block;
    const struct outcome outcome = run(map);
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

TEST(the_setting_moves_maps_that_do_not_say)
{
    const struct order order = order_of(NOTHING);
    struct fastmap_map map = map_of(&order);
    map.workers = FASTMAP_WORKERS_DEFAULT;
    setenv("FASTMAP_WORKERS", "PROCESSES", 1);
    struct outcome outcome = run(map);
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
    map.workers = FASTMAP_WORKERS_THREADS;
    outcome = run(map);
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), 0);
    unsetenv("FASTMAP_WORKERS");
}

static int in_place(const void *x, void *y, const void *shared)
{
    (void)shared;
    if (x != y)
        return 1;
    *(double *)y += (double)fastmap_index();
    return 0;
}

TEST(a_map_in_place_is_in_place_there)
{
    for (int i = 0; i < N; i++)
        out[i] = (double)i * i;
    const struct outcome outcome =
        run(FASTMAP_MAP(.func = in_place, .in = out, .in_size = 8, .out = out, .out_size = 8,
                        .n = N, .workers = FASTMAP_WORKERS_PROCESSES));
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

static int odd_ones(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    if (fastmap_index() % 2 == 1)
        *(double *)y = (double)(fastmap_index() * fastmap_index() + fastmap_index());
    return 0;
}

TEST(what_an_element_leaves_unwritten_keeps_its_value)
{
    for (int i = 0; i < N; i++)
        out[i] = (double)i * i + i;
    const struct outcome outcome = run(FASTMAP_MAP(.func = odd_ones, .out = out, .out_size = 8,
                                                   .n = N, .workers = FASTMAP_WORKERS_PROCESSES));
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

static int sum_of_a_map(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    double inner[10] = {0};
    double square[10];
    for (int i = 0; i < 10; i++)
        inner[i] = i;
    const struct order order = order_of(NOTHING);
    const struct fastmap_map map =
        FASTMAP_MAP(.func = element, .in = inner, .in_size = 8, .out = square, .out_size = 8,
                    .n = 10, .shared = &order, .shared_size = sizeof order,
                    .workers = FASTMAP_WORKERS_PROCESSES);
    if (fastmap_run(&map, NULL) != 0)
        return 1;
    *(double *)y = square[3] + (double)fastmap_index();
    return 0;
}

TEST(a_map_inside_an_element_stays_in_its_process)
{
    const struct outcome outcome = run(FASTMAP_MAP(.func = sum_of_a_map, .out = out, .out_size = 8,
                                                   .n = 20, .workers = FASTMAP_WORKERS_PROCESSES));
    CHECK_EQ_INT(outcome.code, 0);
    for (int i = 0; i < 20; i++)
        CHECK_TRUE(out[i] == 1e9 + i, "%d: %g", i, out[i]);
}

static int outer(const void *x, void *y, const void *shared)
{
    const struct fastmap_map map =
        FASTMAP_MAP(.func = element, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = N,
                    .shared = shared, .shared_size = sizeof(struct order),
                    .workers = FASTMAP_WORKERS_PROCESSES);
    (void)x;
    (void)y;
    return fastmap_run(&map, NULL) == 0 && right_ones() == N ? 0 : 1;
}

TEST(a_map_in_processes_inside_an_element_of_a_thread)
{
    const struct order order = order_of(NOTHING);
    (void)map_of(&order);
    CHECK_EQ_INT(fastmap(outer, NULL, 0, NULL, 0, 1, &order, sizeof order), 0);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

static void *one_thread(void *made_by)
{
    const struct order *order = made_by;
    double x[N];
    double y[N];
    for (int i = 0; i < N; i++)
        x[i] = i;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = element, .in = x, .in_size = 8, .out = y, .out_size = 8, .n = N,
                    .shared = order, .shared_size = sizeof *order,
                    .workers = FASTMAP_WORKERS_PROCESSES);
    for (int round = 0; round < 3; round++) {
        memset(y, 0, sizeof y);
        CHECK_EQ_INT(fastmap_run(&map, NULL), 0);
        for (int i = 0; i < N; i++)
            if (y[i] != (double)i * i + i)
                (void)CHECK_TRUE(false, "element %d is %g", i, y[i]);
    }
    return NULL;
}

TEST(threads_that_come_and_go_have_their_workers)
{
    const struct order order = order_of(NOTHING);
    pthread_t threads[3];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            CHECK_EQ_INT(pthread_create(&threads[i], NULL, one_thread, (void *)&order), 0);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
    }
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

TEST(the_shared_block_is_read_only_there)
{
    enum { WORDS = 100000 };
    static int words[WORDS];
    words[WORDS - 1] = 7;
    const struct order order = order_of(NOTHING);
    struct fastmap_map map = map_of(&order);
    CHECK_EQ_INT(run(map).code, 0);
    map.shared = words; /* its first word is NOTHING, and its pid 0 */
    map.shared_size = sizeof words;
    CHECK_EQ_INT(run(map).code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

/* ---- On which processors ---- */

static int processors(pid_t thread)
{
    cpu_set_t cpus;
    return sched_getaffinity(thread, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : -1;
}

static int bind_to_first_of(pid_t thread, const cpu_set_t *cpus)
{
    cpu_set_t one;
    int cpu = 0;
    while (!CPU_ISSET(cpu, cpus))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(thread, sizeof one, &one);
}

static void *ask_processors(void *count)
{
    *(int *)count = processors(0);
    return NULL;
}

/* What the element may use, and what threads may that it makes. */
static int count_processors(const void *x, void *y, const void *shared)
{
    pthread_t thread;
    int inherited = 0;
    (void)x;
    (void)shared;
    if (pthread_create(&thread, NULL, ask_processors, &inherited) != 0)
        return 1;
    pthread_join(thread, NULL);
    *(double *)y = inherited == processors(0) ? inherited : -1;
    return 0;
}

static const struct fastmap_map counting =
    FASTMAP_MAP(.func = count_processors, .out = out, .out_size = 8, .n = 20,
                .workers = FASTMAP_WORKERS_PROCESSES);

TEST(elements_may_run_wherever_their_thread_may)
{
    struct fastmap_session *session = session_of(1);
    cpu_set_t own;
    CHECK_EQ_INT(sched_getaffinity(0, sizeof own, &own), 0);
    for (int bound = 0; bound < 3; bound++) { /* free, bound, free again: the worker is the same */
        if (bound == 1)
            CHECK_EQ_INT(bind_to_first_of(0, &own), 0);
        CHECK_EQ_INT(fastmap_session_run(session, &counting, NULL), 0);
        for (int i = 0; i < 20; i++)
            CHECK_TRUE(out[i] == (bound == 1 ? 1 : CPU_COUNT(&own)), "%d: %g", i, out[i]);
        CHECK_EQ_INT(processors(0), bound == 1 ? 1 : CPU_COUNT(&own));
        CHECK_EQ_INT(sched_setaffinity(0, sizeof own, &own), 0);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

struct journey {
    int from; /* processors */
    int to;
};

/* Goes to another processor, as the kernel may send it. */
static int wander(const void *x, void *y, const void *shared)
{
    struct journey *journey = y;
    cpu_set_t others;
    (void)x;
    (void)shared;
    journey->from = sched_getcpu();
    if (sched_getaffinity(0, sizeof others, &others) != 0)
        return 1;
    CPU_CLR(journey->from, &others);
    if (bind_to_first_of(0, &others) != 0)
        return 1;
    journey->to = sched_getcpu();
    return 0;
}

/* So that the next span begins where the last one has ended: nearly always, since the kernel may move the
   thread in between. */
TEST(a_thread_follows_its_worker)
{
    enum { JOURNEYS = 40 };
    struct journey journey = {0};
    int followed = 0;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = wander, .out = &journey, .out_size = sizeof journey, .n = 1,
                    .workers = FASTMAP_WORKERS_PROCESSES);
    if (processors(0) < 2)
        SKIP("there is one processor");
    struct fastmap_session *session = session_of(1);
    for (int i = 0; i < JOURNEYS; i++) {
        const int last = journey.to;
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        CHECK_TRUE(journey.to != journey.from, "%d", journey.to);
        followed += i > 0 && journey.from == last;
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    CHECK_TRUE(followed > JOURNEYS / 4, "%d of %d", followed, JOURNEYS);
}

TEST(a_lost_worker_leaves_its_thread_free)
{
    const int own = processors(0);
    const enum deed deeds[] = {KILL, SMASH, LOOP};
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        const struct order order = order_of(deeds[i]);
        struct fastmap_map map = map_of(&order);
        map.element_timeout = deeds[i] == LOOP ? 0.1 : 0;
        CHECK_EQ_INT(run(map).code, FASTMAP_ERR_ELEMENT);
        CHECK_EQ_INT(processors(0), own);
    }
}

struct binding {
    pid_t thread;
    cpu_set_t cpus; /* it may be bound to */
};

/* From outside, as taskset does it, and elsewhere than where the thread waits just now. */
static void *bind_when_it_waits(void *made_by)
{
    struct binding *binding = made_by;
    cpu_set_t waits;
    int tries = 0;
    while (processors(binding->thread) != 1 && tries++ < 10000)
        usleep(1000);
    CHECK_EQ_INT(sched_getaffinity(binding->thread, sizeof waits, &waits), 0);
    CPU_XOR(&binding->cpus, &binding->cpus, &waits);
    CHECK_EQ_INT(bind_to_first_of(binding->thread, &binding->cpus), 0);
    return NULL;
}

static int long_nap(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)y;
    (void)shared;
    usleep(300000);
    return 0;
}

TEST(a_thread_that_is_bound_while_it_waits_stays_bound)
{
    struct binding binding = {.thread = gettid()};
    pthread_t thread;
    CHECK_EQ_INT(sched_getaffinity(0, sizeof binding.cpus, &binding.cpus), 0);
    const cpu_set_t own = binding.cpus;
    if (CPU_COUNT(&own) < 2)
        SKIP("there is one processor");
    CHECK_EQ_INT(pthread_create(&thread, NULL, bind_when_it_waits, &binding), 0);
    CHECK_EQ_INT(
        run(FASTMAP_MAP(.func = long_nap, .n = 1, .workers = FASTMAP_WORKERS_PROCESSES)).code, 0);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(processors(0), 1);
    CHECK_TRUE(CPU_ISSET(sched_getcpu(), &binding.cpus), "it is on processor %d", sched_getcpu());
    CHECK_EQ_INT(sched_setaffinity(0, sizeof own, &own), 0);
}

/* ---- What main() has done ---- */

static int third(const void *x, void *y, const void *shared)
{
    volatile double one = 1;
    (void)x;
    (void)shared;
    *(double *)y = one / 3;
    return 0;
}

TEST(the_rounding_mode_goes_along_and_exceptions_come_back)
{
    const struct fastmap_map map = FASTMAP_MAP(.func = third, .out = out, .out_size = 8, .n = 1,
                                               .workers = FASTMAP_WORKERS_PROCESSES);
    fesetround(FE_UPWARD);
    feclearexcept(FE_ALL_EXCEPT);
    CHECK_EQ_INT(run(map).code, 0);
    const double up = out[0];
    CHECK_TRUE(fetestexcept(FE_INEXACT) != 0, "FE_INEXACT is not raised");
    fesetround(FE_DOWNWARD);
    CHECK_EQ_INT(run(map).code, 0);
    const double down = out[0];
    fesetround(FE_TONEAREST);
    CHECK_TRUE(up > down, "%.17g and %.17g", up, down);
}

static int big_frame(const void *x, void *y, const void *shared)
{
    volatile char frame[48 << 20];
    (void)x;
    (void)shared;
    for (size_t i = 0; i < sizeof frame; i += 4096)
        frame[i] = 1;
    *(double *)y = frame[4096];
    return 0;
}

TEST(a_raised_stack_limit_holds_in_workers)
{
    struct rlimit limit;
    CHECK_EQ_INT(getrlimit(RLIMIT_STACK, &limit), 0);
    const struct rlimit old = limit;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < (64u << 20))
        SKIP("the stack limit cannot be raised");
    limit.rlim_cur = 64u << 20;
    CHECK_EQ_INT(setrlimit(RLIMIT_STACK, &limit), 0);
    CHECK_EQ_INT(run(FASTMAP_MAP(.func = big_frame, .out = out, .out_size = 8, .n = 1,
                                 .workers = FASTMAP_WORKERS_PROCESSES))
                     .code,
                 0);
    CHECK_TRUE(out[0] == 1, "%g", out[0]);
    CHECK_EQ_INT(setrlimit(RLIMIT_STACK, &old), 0);
}

static int environment(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    const bool clean = getenv("FASTMAP_WORKER_FD") == NULL && getenv("LD_PRELOAD") == NULL;
    *(double *)y = clean && getenv("FM_TEST_PROCESS") != NULL ? 1 : 0;
    return 0;
}

TEST(the_environment_goes_along_but_what_made_it_a_worker)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload != NULL)
        SKIP("LD_PRELOAD is %s", preload);
    setenv("FM_TEST_PROCESS", "1", 1);
    CHECK_EQ_INT(run(FASTMAP_MAP(.func = environment, .out = out, .out_size = 8, .n = 1,
                                 .workers = FASTMAP_WORKERS_PROCESSES))
                     .code,
                 0);
    CHECK_TRUE(out[0] == 1, "%g", out[0]);
    unsetenv("FM_TEST_PROCESS");
}

static int set_by_main;

static int depends(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    *(double *)y = set_by_main;
    return 0;
}

TEST(verify_finds_what_main_has_set)
{
    struct fastmap_map map =
        FASTMAP_MAP(.func = depends, .out = out, .out_size = 8, .n = N,
                    .workers = FASTMAP_WORKERS_PROCESSES, .verify = FASTMAP_VERIFY_ON);
    memset(out, 0, sizeof out);
    CHECK_EQ_INT(run(map).code, 0);
    set_by_main = 5;
    CHECK_EQ_INT(run(map).code, FASTMAP_ERR_VERIFY);
    CHECK_CONTAINS(fastmap_last_error(), "main()");
    CHECK_TRUE(out[0] == 0, "an output was touched: %g", out[0]);
    map.verify = FASTMAP_VERIFY_DEFAULT;
    CHECK_EQ_INT(run(map).code, 0);
    setenv("FASTMAP_VERIFY", "on", 1);
    CHECK_EQ_INT(run(map).code, FASTMAP_ERR_VERIFY);
    unsetenv("FASTMAP_VERIFY");
}

/* ---- What elements do ---- */

TEST(an_element_that_calls_abort_costs_itself_alone)
{
    costs_itself_alone(ABORT, SIGABRT, 0);
}

TEST(an_element_that_crashes_costs_itself_alone)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer ends the process in its own way");
    costs_itself_alone(SEGV, SIGSEGV, 0);
}

TEST(an_element_that_traps_costs_itself_alone)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer ends the process in its own way");
    costs_itself_alone(FPE, SIGFPE, 0);
}

TEST(an_element_that_calls_exit_costs_itself_alone)
{
    costs_itself_alone(EXIT, FASTMAP_ENDING_EXIT, 3);
    costs_itself_alone(QUICK_EXIT, FASTMAP_ENDING_EXIT, 4);
}

TEST(an_element_that_is_killed_costs_itself_alone)
{
    costs_itself_alone(KILL, SIGKILL, 0);
}

TEST(an_element_that_overflows_the_stack_costs_itself_alone)
{
    if (UNDER_SANITIZER)
        SKIP("the sanitizer ends the process in its own way");
    costs_itself_alone(OVERFLOW, SIGSEGV, 0);
}

TEST(an_element_that_forges_frames_costs_itself_alone)
{
    const struct order order = order_of(FORGE);
    struct outcome outcome = run(map_of(&order));
    check_loss(&outcome, FASTMAP_ENDING_LOST, 0);
}

TEST(an_element_that_closes_everything_costs_itself_alone)
{
    const struct order order = order_of(CLOSE);
    struct outcome outcome = run(map_of(&order));
    CHECK_EQ_INT(outcome.code, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(outcome.report.failures[0].index, CULPRIT);
    CHECK_EQ_SIZE(outcome.report.failed, 1);
    CHECK_EQ_SIZE(right_ones(), N - 1);
}

TEST(an_element_that_smashes_the_control_page_costs_itself_alone)
{
    const struct order order = order_of(SMASH);
    struct outcome outcome = run(map_of(&order));
    check_loss(&outcome, SIGKILL, 0);
}

TEST(an_element_that_forks_and_lets_the_child_return_is_computed_once)
{
    const struct order order = order_of(FORK);
    struct outcome outcome = run(map_of(&order));
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

TEST(an_element_that_takes_too_long_costs_itself_alone)
{
    const struct order order = order_of(LOOP);
    struct fastmap_map map = map_of(&order);
    map.element_timeout = 0.2;
    struct outcome outcome = run(map);
    check_loss(&outcome, FASTMAP_ENDING_TIMEOUT, 0);
    CHECK_CONTAINS(fastmap_last_error(), "element_timeout");
    map = map_of(&order);
    map.func = NULL;
    map.block = block;
    map.element_timeout = 0.1; /* of a block; it is halved until the element stands alone */
    outcome = run(map);
    check_loss(&outcome, FASTMAP_ENDING_TIMEOUT, 0);
}

static int nap(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    usleep(20000);
    *(double *)y = (double)(fastmap_index() * fastmap_index() + fastmap_index());
    return 0;
}

TEST(the_time_limit_is_each_elements_own)
{
    memset(out, 0, sizeof out);
    CHECK_EQ_INT(run(FASTMAP_MAP(.func = nap, .out = out, .out_size = 8, .n = 40,
                                 .workers = FASTMAP_WORKERS_PROCESSES, .element_seconds = 1e-5,
                                 .element_timeout = 10))
                     .code,
                 0);
    CHECK_EQ_SIZE(right_ones(), 40);
}

TEST(an_element_that_crashes_once_is_saved_by_a_retry)
{
    struct order order = order_of(ONCE);
    snprintf(order.marker, sizeof order.marker, "/tmp/fastmap-once-%d", getpid());
    struct fastmap_map map = map_of(&order);
    map.retries = 1;
    struct outcome outcome = run(map);
    CHECK_EQ_INT(outcome.code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
    unlink(order.marker);
}

/* It is left for its host to wait for. */
static bool is_dead(pid_t child)
{
    siginfo_t found = {0};
    return waitid(P_PID, (id_t)child, &found, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           found.si_pid == child;
}

static int whose(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    *(pid_t *)y = getpid();
    return 0;
}

TEST(a_worker_that_is_killed_between_two_maps_is_started_again)
{
    pid_t workers[2] = {0};
    const struct order order = order_of(NOTHING);
    struct fastmap_session *session = session_of(1);
    for (int round = 0; round < 2; round++) {
        const struct fastmap_map asks =
            FASTMAP_MAP(.func = whose, .out = &workers[round], .out_size = sizeof *workers, .n = 1,
                        .workers = FASTMAP_WORKERS_PROCESSES);
        CHECK_EQ_INT(fastmap_session_run(session, &asks, NULL), 0);
        const struct fastmap_map map = map_of(&order);
        CHECK_EQ_INT(kill(workers[round], SIGKILL),
                     0); /* as the system does that is out of memory */
        while (!is_dead(workers[round]))
            usleep(1000);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        CHECK_EQ_SIZE(right_ones(), N);
    }
    CHECK_TRUE(workers[0] != workers[1], "%d", workers[0]);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(elements_that_return_failures_keep_their_codes)
{
    const struct order order = order_of(FAIL);
    struct outcome outcome = run(map_of(&order));
    CHECK_EQ_INT(outcome.code, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(outcome.report.failures[0].index, CULPRIT);
    CHECK_EQ_INT(outcome.report.failures[0].code, 42);
    CHECK_EQ_INT(outcome.report.failures[0].signal, 0);
    CHECK_EQ_SIZE(right_ones(), N); /* it is written all the same */
}

static int all_fail(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)y;
    (void)shared;
    return fastmap_index() % 3 == 0 ? 9 : 0;
}

TEST(more_failures_than_a_frame_lists_are_counted)
{
    const struct outcome outcome =
        run(FASTMAP_MAP(.func = all_fail, .n = 3000, .workers = FASTMAP_WORKERS_PROCESSES,
                        .element_seconds = 1e-9));
    CHECK_EQ_INT(outcome.code, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_SIZE(outcome.report.failed, 1000);
    CHECK_EQ_SIZE(outcome.report.failures[7].index, 21);
}

TEST(the_policy_to_stop_holds_in_processes)
{
    const enum deed deeds[] = {FAIL, ABORT};
    for (size_t i = 0; i < 2; i++) {
        const struct order order = order_of(deeds[i]);
        struct fastmap_map map = map_of(&order);
        map.on_error = FASTMAP_ON_ERROR_STOP;
        struct fastmap_report report = FASTMAP_REPORT();
        struct fastmap_session *session = session_of(1);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
        CHECK_EQ_SIZE(report.elements, CULPRIT + 1);
        CHECK_EQ_SIZE(report.failed, 1);
    }
}

/* ---- All at once ---- */

enum { CRASHES, EXITS, FAILS, WORKS };

/* What the element does, the same each time it is tried. */
static int fate(size_t index)
{
    const uint64_t draw = (index + 1) * 0x9e3779b97f4a7c15u >> 40;
    return draw % 100 < 2 ? CRASHES : draw % 100 < 3 ? EXITS : draw % 100 < 6 ? FAILS : WORKS;
}

static int meet_fate(size_t index, double *y)
{
    if (fate(index) == CRASHES)
        abort();
    if (fate(index) == EXITS)
        exit(1);
    *y = (double)index + 1;
    return fate(index) == FAILS ? 7 : 0;
}

static int fated(const void *x, void *y, const void *shared)
{
    (void)x;
    (void)shared;
    return meet_fate(fastmap_index(), y);
}

/* Failures of a block would be those of all its elements. */
static int fated_block(const void *x, void *y, size_t first, size_t count, const void *shared)
{
    (void)x;
    (void)shared;
    for (size_t i = 0; i < count; i++)
        (void)meet_fate(first + i, (double *)y + i);
    return 0;
}

TEST(each_element_meets_its_own_fate_in_many_threads)
{
    enum { MANY = 1000 };
    static double y[MANY];
    for (int blocks = 0; blocks < 2; blocks++) {
        size_t expected = 0;
        memset(y, 0, sizeof y);
        struct fastmap_session *session = session_of(4);
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map =
            FASTMAP_MAP(.func = blocks ? NULL : fated, .block = blocks ? fated_block : NULL,
                        .out = y, .out_size = sizeof *y, .n = MANY, .element_seconds = 2e-5,
                        .workers = FASTMAP_WORKERS_PROCESSES);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
        for (size_t i = 0; i < MANY; i++) {
            const bool dies = fate(i) == CRASHES || fate(i) == EXITS;
            expected += dies || (fate(i) == FAILS && !blocks);
            if (y[i] != (dies ? 0 : (double)i + 1))
                (void)CHECK_TRUE(false, "element %zu is %g", i, y[i]);
        }
        CHECK_EQ_SIZE(report.elements, MANY);
        CHECK_EQ_SIZE(report.failed, expected);
    }
}

/* ---- What is refused ---- */

static void refused(struct fastmap_map map, int code, const char *cause)
{
    struct outcome outcome = run(map);
    CHECK_EQ_INT(outcome.code, code);
    CHECK_CONTAINS(fastmap_last_error(), cause);
    CHECK_EQ_SIZE(right_ones(), 1); /* out[0], which is 0 */
}

TEST(what_processes_cannot_do_is_refused)
{
    const struct order order = order_of(NOTHING);
    struct fastmap_map map = map_of(&order);
    map.shared_size = 0;
    refused(map, FASTMAP_ERR_PROGRAM, "shared_size");
    map = map_of(&order);
    map.workers = FASTMAP_WORKERS_THREADS;
    map.element_timeout = 1;
    refused(map, FASTMAP_ERR_ARGUMENT, "FASTMAP_WORKERS_PROCESSES");
    map = map_of(&order);
    map.retries = -1;
    refused(map, FASTMAP_ERR_ARGUMENT, "retries");
    map = map_of(&order);
    map.element_timeout = NAN;
    refused(map, FASTMAP_ERR_ARGUMENT, "element_timeout");
    map = map_of(&order);
    map.workers = (enum fastmap_workers)3;
    refused(map, FASTMAP_ERR_ARGUMENT, "workers");
    map = map_of(&order);
    map.verify = (enum fastmap_verify) - 1;
    refused(map, FASTMAP_ERR_ARGUMENT, "verify");
}

TEST(too_few_descriptors_are_a_sentence)
{
    struct rlimit limit;
    CHECK_EQ_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit old = limit;
    const struct order order = order_of(NOTHING);
    const struct fastmap_map map = map_of(&order);
    CHECK_EQ_INT(run(map).code, 0); /* what is found once has been found */
    memset(out, 0, sizeof out);
    limit.rlim_cur = 8;
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct outcome outcome = run(map);
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_TRUE(outcome.code == FASTMAP_ERR_PROGRAM || outcome.code == FASTMAP_ERR_MEMORY, "%d: %s",
               outcome.code, fastmap_last_error());
    CHECK_EQ_INT(run(map).code, 0);
    CHECK_EQ_SIZE(right_ones(), N);
}

TEST(a_machine_that_is_short_of_processes_for_a_moment_is_waited_for)
{
    if (UNDER_TSAN)
        SKIP("ThreadSanitizer makes a fork of vfork(): what the child has seen stays there");
    const struct order order = order_of(NOTHING);
    const struct fastmap_map map = map_of(&order);
    short_of_processes = 4;
    CHECK_EQ_INT(run(map).code, 0);
    CHECK_EQ_INT(short_of_processes, 0);
    CHECK_EQ_SIZE(right_ones(), N);
    short_of_processes = 1000;
    CHECK_EQ_INT(run(map).code, FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fastmap_last_error(), "limits on processes");
    short_of_processes = 0;
}

/* ---- How large ---- */

static int sum_bytes(const void *x, void *y, const void *shared)
{
    size_t sum = 0;
    const size_t bytes = *(const size_t *)shared;
    for (size_t i = 0; i < bytes; i += 512)
        sum += ((const unsigned char *)x)[i];
    memset(y, (int)(sum & 0x7f), bytes);
    return 0;
}

TEST(arenas_grow_with_elements_and_shrink_again)
{
    const size_t sizes[] = {1000, (size_t)40 << 20, 100, 3u << 20, 0x12345};
    struct fastmap_session *session = session_of(1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t bytes = sizes[s];
        unsigned char *x = malloc(3 * bytes);
        unsigned char *y = calloc(3, bytes);
        if (!CHECK_TRUE(x != NULL && y != NULL, "no memory"))
            break;
        for (size_t i = 0; i < 3 * bytes; i++)
            x[i] = (unsigned char)(i * 7 + i / bytes);
        const struct fastmap_map map =
            FASTMAP_MAP(.func = sum_bytes, .in = x, .in_size = bytes, .out = y, .out_size = bytes,
                        .n = 3, .shared = &bytes, .shared_size = sizeof bytes,
                        .workers = FASTMAP_WORKERS_PROCESSES);
        CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
        for (size_t e = 0; e < 3; e++) {
            unsigned char expected[1];
            unsigned char *one = malloc(bytes);
            (void)sum_bytes(x + e * bytes, one, &bytes);
            memcpy(expected, one, 1);
            CHECK_TRUE(y[e * bytes] == expected[0] && y[(e + 1) * bytes - 1] == expected[0],
                       "element %zu of %zu bytes is %d, not %d", e, bytes, y[e * bytes],
                       expected[0]);
            free(one);
        }
        free(x);
        free(y);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

/* ---- Whose they are ---- */

TEST(a_child_of_fork_has_workers_of_its_own)
{
    if (UNDER_TSAN)
        SKIP("ThreadSanitizer does not follow threads that are made after fork()");
    const struct order order = order_of(NOTHING);
    struct fastmap_map map = map_of(&order);
    CHECK_EQ_INT(fastmap_run(&map, NULL), 0);
    const pid_t child = fork();
    if (child == 0) {
        map = map_of(&order);
        const bool right = fastmap_run(&map, NULL) == 0 && right_ones() == N;
        _exit(right && fastmap_global_finalize() == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK_TRUE(waitpid(child, &status, 0) == child, "no child");
    CHECK_EQ_INT(status, 0);
    memset(out, 0, sizeof out);
    CHECK_EQ_INT(fastmap_run(&map, NULL), 0); /* the parent's go on */
    CHECK_EQ_SIZE(right_ones(), N);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

TEST(no_child_is_left_when_the_session_ends)
{
    const struct order order = order_of(NOTHING);
    CHECK_EQ_INT(run(map_of(&order)).code, 0);
    int status;
    CHECK_EQ_INT(waitpid(-1, &status, WNOHANG), -1);
}
