/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's loop: take a map and an arena, compute spans, answer each. Elements run through the local tier
 * like any others, in one thread, with the span's first index as the base of their frame: so fastmap_index()
 * and maps inside elements are what they are elsewhere. What differs is noted by a function that wraps the
 * user's: the element's index in the control page, which survives a crash, and failures in the answer.
 * Elements with trails may come in any order: each is a map of its own, with its index as the base. What is
 * noted of them is where they stand in the span.
 *
 * What cannot be done as told (a module that does not load, a span outside the arena) is the answer to the
 * next span, so that every span has exactly one answer. What is no sound frame ends the worker: the host is
 * the same version of this library, and something is very wrong.
 */
#include "engine/worker.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fenv.h"
#include "engine/arenas.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "program/channel.h"
#include "program/crash.h"
#include "program/module.h"
#include "tier/local/local.h"
#include "wire/worker.h"

#define DESCRIPTOR "FASTMAP_WORKER_FD"

_Static_assert(sizeof(struct fm_base_fenv) <= FM_WIRE_WORKER_FENV, "it fits a LOAD");
_Static_assert(sizeof(cpu_set_t) == FM_WIRE_WORKER_CPUS, "it is the control page's");

struct region {
    char *memory; /* NULL: none */
    size_t bytes;
};

static struct {
    bool serves;
    struct fm_program_channel channel;
    struct fastmap_session *session;
    struct fm_wire_worker_load load; /* its path is not kept */
    fastmap_func *func;              /* of the two, the one of the map's kind */
    fastmap_block_func *block;
    struct region shared;
    struct region arena;
    char refusal[FM_WIRE_WORKER_SENTENCE]; /* why spans cannot be computed; "": they can */
    /* Of the span that is being computed: */
    struct fm_local_frame *frame;
    uint64_t next;    /* index of the next element, or with trails first + its place in the span */
    uint64_t took_ns; /* the last element, where it has a trail, ... */
    int returned;     /* ... and its code */
} worker;

bool fm_engine_worker_serves(void)
{
    return worker.serves;
}

bool fm_engine_worker_is_called(void)
{
    return getenv(DESCRIPTOR) != NULL;
}

/* fastmap-worker.so takes the descriptor out of the environment before any constructor runs. Where it is
   still there, the loader has ignored that library, and the program is about to run its own main(). */
__attribute__((constructor)) static void refuse_main(void)
{
    if (!fm_engine_worker_is_called())
        return;
    (void)fputs(
        "fastmap: this worker would run the program's main too, since fastmap-worker.so was not "
        "preloaded: take capabilities off the program, or unset " DESCRIPTOR "\n",
        stderr);
    _exit(127);
}

/* ---- Elements ---- */

static void begin(uint64_t index, uint64_t count)
{
    struct fm_wire_worker_control *control = fm_program_crash_control;
    atomic_store_explicit(&control->index, index, memory_order_relaxed);
    atomic_store_explicit(&control->begun,
                          atomic_load_explicit(&control->begun, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

/* Into the control page, since there may be no answer. */
static __attribute__((noinline, cold)) void note_failure(uint64_t first, uint64_t count, int code)
{
    struct fm_wire_worker_control *control = fm_program_crash_control;
    const uint64_t listed = atomic_load_explicit(&control->listed, memory_order_relaxed);
    if (listed < FM_WIRE_WORKER_FAILURES) {
        control->failures[listed] =
            (struct fm_wire_worker_failure){.first = first, .count = count, .code = code};
        atomic_store_explicit(&control->listed, listed + 1, memory_order_release);
    }
    atomic_fetch_add_explicit(&control->failed, count, memory_order_release);
    if ((worker.load.flags & FM_WIRE_WORKER_STOP) != 0)
        fm_local_stop(worker.frame);
}

static int run_func(const void *in, void *out, const void *shared)
{
    const uint64_t index = worker.next++;
    begin(index, 1);
    const int code = worker.func(in, out, shared);
    if (code != 0)
        note_failure(index, 1, code);
    worker.returned = code;
    return 0;
}

/* The function's own time, without that of the map of one. Not in ticks: a worker is too young to know what
   they are, and what it tells is compared with other machines' times. */
static int run_timed(const void *in, void *out, const void *shared)
{
    const uint64_t begun_ns = fm_base_now_ns();
    (void)run_func(in, out, shared);
    worker.took_ns = fm_base_now_ns() - begun_ns;
    return 0;
}

static int run_block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    begin(first, count);
    const int code = worker.block(in, out, first, count, shared);
    if (code != 0)
        note_failure(first, count, code);
    return 0;
}

static void *in_arena(uint64_t offset, uint64_t size)
{
    return size > 0 ? worker.arena.memory + offset : NULL;
}

static struct fastmap_map work_of(const struct fm_wire_worker_span *span)
{
    const bool is_block = worker.load.kind == FM_WIRE_WORKER_BLOCK;
    struct fastmap_map work = FASTMAP_MAP(.n = (size_t)span->count);
    work.func = is_block ? NULL : run_func;
    work.block = is_block ? run_block : NULL;
    work.in = in_arena(span->in_offset, worker.load.in_size);
    work.in_size = (size_t)worker.load.in_size;
    work.out = in_arena(span->out_offset, worker.load.out_size);
    work.out_size = (size_t)worker.load.out_size;
    work.shared = worker.shared.memory;
    work.shared_size = (size_t)worker.load.shared_size;
    return work;
}

static void open_page(const struct fm_wire_worker_span *span)
{
    struct fm_wire_worker_control *control = fm_program_crash_control;
    atomic_store_explicit(&control->failed, 0, memory_order_relaxed);
    atomic_store_explicit(&control->listed, 0, memory_order_relaxed);
    atomic_store_explicit(&control->span, span->span, memory_order_release);
}

static void close_page(struct fm_wire_worker_result *result)
{
    struct fm_wire_worker_control *control = fm_program_crash_control;
    atomic_store_explicit(&control->ended_on, (uint64_t)sched_getcpu(), memory_order_relaxed);
    atomic_store_explicit(&control->index, FM_WIRE_WORKER_NONE, memory_order_relaxed);
    atomic_store_explicit(&control->span, 0, memory_order_release);
    result->failed = atomic_load_explicit(&control->failed, memory_order_relaxed);
    const uint64_t listed = atomic_load_explicit(&control->listed, memory_order_relaxed);
    result->listed = listed < FM_WIRE_WORKER_FAILURES ? (uint32_t)listed : FM_WIRE_WORKER_FAILURES;
    memcpy(result->failures, control->failures, result->listed * sizeof *result->failures);
}

/* The element whose input is at `in`, with trails behind the sizes that `work` says. False: no memory. */
static bool compute_one(struct fastmap_map *work, struct fm_engine_map *run, const uint8_t *in,
                        uint8_t *out)
{
    const uint64_t index = fm_wire_worker_trail_get(in + work->in_size);
    work->in = work->in_size > 0 ? in : NULL;
    work->out = work->out_size > 0 ? out : NULL;
    worker.frame = fm_local_open(work, (size_t)index, 1, run, 0);
    if (worker.frame == NULL)
        return false;
    fm_local_complete(worker.frame);
    fm_local_finish(worker.frame, NULL);
    fm_wire_worker_trail_put(out + work->out_size, worker.took_ns, worker.returned);
    return true;
}

/* A map of one cannot skip what comes after it. */
static bool is_stopped(void)
{
    return (worker.load.flags & FM_WIRE_WORKER_STOP) != 0 &&
           atomic_load_explicit(&fm_program_crash_control->failed, memory_order_relaxed) > 0;
}

static bool compute_trailed(const struct fm_wire_worker_span *span,
                            struct fm_wire_worker_result *result)
{
    struct fastmap_map work = work_of(span);
    struct fm_engine_map run = {.session = worker.session, .map = &work};
    const uint8_t *in = work.in;
    uint8_t *out = work.out;
    bool good = true;
    work.n = 1;
    work.func = run_timed;
    work.in_size -= FM_WIRE_WORKER_TRAIL_BYTES;
    work.out_size -= FM_WIRE_WORKER_TRAIL_BYTES;
    open_page(span);
    for (uint64_t i = 0; good && i < span->count && !is_stopped(); i++) {
        good =
            compute_one(&work, &run, in + i * worker.load.in_size, out + i * worker.load.out_size);
        result->computed++;
    }
    close_page(result);
    return good;
}

static bool compute_row(const struct fm_wire_worker_span *span,
                        struct fm_wire_worker_result *result)
{
    struct fm_local_result local;
    const struct fastmap_map work = work_of(span);
    struct fm_engine_map run = {.session = worker.session, .map = &work};
    worker.frame = fm_local_open(&work, (size_t)span->first, 1, &run, 0);
    if (worker.frame == NULL)
        return false;
    open_page(span);
    fm_local_complete(worker.frame);
    close_page(result);
    fm_local_finish(worker.frame, &local);
    result->computed = span->count - local.skipped;
    return true;
}

/* False: no memory. */
static bool compute(const struct fm_wire_worker_span *span, struct fm_wire_worker_result *result)
{
    worker.next = span->first;
    return (worker.load.flags & FM_WIRE_WORKER_TRAIL) != 0 ? compute_trailed(span, result)
                                                           : compute_row(span, result);
}

/* In the map's floating-point environment; the flags that elements raise are part of the answer. */
static bool compute_as_there(const struct fm_wire_worker_span *span,
                             struct fm_wire_worker_result *result)
{
    struct fm_base_fenv fenv;
    if (worker.load.fenv_bytes != sizeof fenv)
        return compute(span, result);
    memcpy(&fenv, worker.load.fenv, sizeof fenv);
    const struct fm_base_fenv old = fm_base_fenv_swap(&fenv);
    const bool done = compute(span, result);
    result->raised = fm_base_fenv_leave(&old);
    return done;
}

/* ---- What the host says ---- */

static void drop(struct region *region)
{
    if (region->memory != NULL)
        munmap(region->memory, region->bytes);
    *region = (struct region){0};
}

/* Maps what came with a frame; false: nothing did, or it is smaller than said. */
static bool map_region(struct region *region, int descriptor, uint64_t bytes)
{
    struct stat found;
    drop(region);
    if (descriptor < 0 || bytes == 0 || fstat(descriptor, &found) != 0 || found.st_size < 0 ||
        (uint64_t)found.st_size < bytes)
        return false;
    void *memory = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED)
        return false;
    *region = (struct region){.memory = memory, .bytes = (size_t)bytes};
    return true;
}

/* The host has drawn this process to its own core to wake it there (docs/WORKER.md). It may go on anywhere,
   and so may threads that elements make, before anything of the program's runs. */
static void roam(void)
{
    cpu_set_t cpus;
    memcpy(&cpus, fm_program_crash_control->cpus, sizeof cpus);
    if (CPU_COUNT(&cpus) > 0)
        (void)sched_setaffinity(0, sizeof cpus, &cpus);
}

static void refuse(const char *sentence)
{
    snprintf(worker.refusal, sizeof worker.refusal, "%s", sentence);
}

static void take_load(const struct fm_wire_worker_load *load, int descriptor)
{
    roam();
    worker.refusal[0] = '\0';
    worker.load = *load;
    worker.load.path = NULL;
    drop(&worker.shared);
    if (load->shared_size > 0 && !map_region(&worker.shared, descriptor, load->shared_size)) {
        refuse("the shared block does not fit this worker's memory");
        return;
    }
    void *function = fm_program_resolve(load->path, load->offset);
    if (function == NULL)
        refuse(fm_base_last_error());
    memcpy(&worker.func, &function, sizeof function);
    memcpy(&worker.block, &function, sizeof function);
}

static void take_arena(const struct fm_wire_worker_arena *arena, int descriptor)
{
    static struct fm_wire_worker_control nowhere = {.index = FM_WIRE_WORKER_NONE};
    const uint64_t begun = atomic_load(&fm_program_crash_control->begun);
    fm_program_crash_control = &nowhere;
    worker.arena = (struct region){0};
    if (arena->bytes >= FM_WIRE_WORKER_CONTROL)
        worker.arena.memory = fm_engine_arena(descriptor, arena->bytes);
    if (worker.arena.memory != NULL) {
        worker.arena.bytes = (size_t)arena->bytes;
        fm_program_crash_control = (struct fm_wire_worker_control *)worker.arena.memory;
    }
    atomic_store(&fm_program_crash_control->index, FM_WIRE_WORKER_NONE);
    atomic_store(&fm_program_crash_control->begun, begun);
}

static bool refused(uint64_t span, const char *sentence)
{
    struct fm_wire_worker_frame answer = {
        .type = FM_WIRE_WORKER_ERROR,
        .is.error = {.span = span,
                     .index = FM_WIRE_WORKER_NONE,
                     .end = FM_WIRE_WORKER_REFUSED,
                     .sentence = sentence},
    };
    return fm_program_channel_send(&worker.channel, &answer, -1);
}

static bool take_span(const struct fm_wire_worker_span *span)
{
    struct fm_wire_worker_frame answer = {.type = FM_WIRE_WORKER_RESULT,
                                          .is.result = {.span = span->span}};
    const char *misfit = worker.refusal[0] != '\0'
                             ? worker.refusal
                             : fm_wire_worker_misfits(span, &worker.load, worker.arena.bytes);
    if (misfit != NULL)
        return refused(span->span, misfit);
    roam();
    const uint64_t begun_ns = fm_base_now_ns();
    if (!compute_as_there(span, &answer.is.result))
        return refused(span->span, "the worker has no memory left");
    answer.is.result.busy_ns = fm_base_now_ns() - begun_ns;
    if (!fm_program_crash_is_own()) /* a child that an element forked and let return */
        _exit(0);
    return fm_program_channel_send(&worker.channel, &answer, -1);
}

/* False: this was the last. */
static bool take(const struct fm_wire_worker_frame *frame, int descriptor)
{
    bool goes_on = true;
    switch (frame->type) {
    case FM_WIRE_WORKER_LOAD: take_load(&frame->is.load, descriptor); break;
    case FM_WIRE_WORKER_ARENA: take_arena(&frame->is.arena, descriptor); break;
    case FM_WIRE_WORKER_SPAN: goes_on = take_span(&frame->is.span); break;
    default: goes_on = false; break;
    }
    if (descriptor >= 0)
        close(descriptor);
    return goes_on;
}

/* ---- Its life ---- */

static bool say_hello(void)
{
    struct fm_wire_worker_frame hello = {
        .type = FM_WIRE_WORKER_HELLO,
        .is.hello = {.pid = (uint32_t)getpid(), .page_bytes = (uint32_t)sysconf(_SC_PAGESIZE)},
    };
    return fm_program_channel_send(&worker.channel, &hello, -1);
}

static int settle(void)
{
    /* Whatever the host's settings are: what is computed here stays here. */
    const struct fastmap_config config =
        FASTMAP_CONFIG(.max_local_workers = 1, .progress = FASTMAP_PROGRESS_OFF,
                       .ranks = FASTMAP_RANKS_OFF, .exec_policy = FASTMAP_EXEC_POLICY_LOCAL);
    int error = 0;
    (void)fm_engine_global_make(&config); /* a constructor may have made one */
    worker.session = fm_engine_global(&error);
    return worker.session != NULL ? 0 : error;
}

static int open_channel(void)
{
    const char *text = getenv(DESCRIPTOR);
    char *end = NULL;
    const long fd = text != NULL ? strtol(text, &end, 10) : -1;
    const bool is_open = fd >= 0 && *end == '\0' && fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0;
    (void)unsetenv(DESCRIPTOR);
    if (!is_open)
        return fm_base_fail(FASTMAP_ERR_STATE,
                            DESCRIPTOR " is no open descriptor: it is for workers "
                                       "that fastmap starts; unset it");
    fm_program_channel_open(&worker.channel, (int)fd);
    return 0;
}

int fm_engine_worker_serve(void)
{
    int error = open_channel();
    if (error != 0)
        return error;
    worker.serves = true;
    error = settle();
    if (error != 0)
        return error;
    fm_program_crash_watch(&worker.channel);
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* so that the host has it when an element crashes */
    bool goes_on = say_hello();
    while (goes_on) {
        struct fm_wire_worker_frame frame;
        const char *wrong;
        int descriptor = -1;
        switch (fm_program_channel_receive(&worker.channel, true, &frame, &descriptor, &wrong)) {
        case FM_PROGRAM_CHANNEL_FRAME: goes_on = take(&frame, descriptor); break;
        case FM_PROGRAM_CHANNEL_WRONG:
            return fm_base_fail(FASTMAP_ERR_STATE, "the host sent no valid frame: %s", wrong);
        default: goes_on = false; break;
        }
    }
    return 0;
}
