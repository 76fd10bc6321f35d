/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's process from start to end: its descriptors, its hello, the map and the arena that it has. What
 * it answers to a span is read in answer.c.
 */
#include "tier/process/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "tier/process/recipe.h"
#include "tier/process/start.h"

#define HELLO_NS 60000000000u /* then a process that says nothing will not */
#define GOODBYE_NS 2000000000u
#define START_WAIT_MOST_MS 1024       /* twice that in all */
#define ARENA_KEPT ((size_t)64 << 20) /* a larger one only while maps need it */
#define ARENA_LEAST ((size_t)256 << 10)

/* ---- Start ---- */

/* Above those that it will have in the worker, so that moving it there closes none of the others. */
static int raised(int fd)
{
    const int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FM_PROCESS_CHANNEL_FD + 1) : -1;
    if (fd >= 0)
        close(fd);
    return high;
}

struct ends {
    int host;
    int worker;
};

static bool make_channel(struct ends *ends)
{
    int pair[2];
    if (!fm_program_channel_pair(pair))
        return false;
    *ends = (struct ends){.host = pair[0], .worker = raised(pair[1])};
    return ends->worker >= 0;
}

static bool make_pipe(struct ends *ends)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0)
        return false;
    *ends = (struct ends){.host = pair[0], .worker = raised(pair[1])};
    return ends->worker >= 0 && fcntl(ends->host, F_SETFL, O_NONBLOCK) == 0;
}

static void shut(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void forget_process(struct fm_process_worker *worker)
{
    shut(worker->channel.fd);
    shut(worker->output.fd);
    shut(worker->error.fd);
    shut(worker->pidfd);
    worker->channel.fd = worker->output.fd = worker->error.fd = worker->pidfd = -1;
    worker->output.used = worker->error.used = 0;
    worker->has_arena = false;
    worker->load.map = 0;
    worker->has = 0;
    atomic_store(&worker->pid, 0);
}

/* That there is no room for one more process is a matter of moments where others come and go. */
static bool start_in_time(struct fm_process_orders *orders)
{
    for (unsigned ms = 1; !fm_process_start(orders); ms *= 2) {
        if ((orders->reason != EAGAIN && orders->reason != ENOMEM) || ms > START_WAIT_MOST_MS)
            return false;
        (void)poll(NULL, 0, (int)ms);
    }
    return true;
}

static int start(struct fm_process_worker *worker)
{
    struct ends channel = {-1, -1};
    struct ends output = {-1, -1};
    struct ends error = {-1, -1};
    struct fm_process_orders orders = {.cpus = &worker->cpus};
    bool started = make_channel(&channel) && make_pipe(&output) && make_pipe(&error);
    orders.reason = errno;
    CPU_ZERO(&worker->cpus);
    (void)sched_getaffinity(0, sizeof worker->cpus, &worker->cpus);
    if (started) {
        orders.channel = channel.worker;
        orders.output = output.worker;
        orders.error = error.worker;
        started = start_in_time(&orders);
    }
    shut(channel.worker);
    shut(output.worker);
    shut(error.worker);
    fm_program_channel_open(&worker->channel, channel.host);
    worker->output = (struct fm_process_output){.fd = output.host, .to = STDOUT_FILENO};
    worker->error = (struct fm_process_output){.fd = error.host, .to = STDERR_FILENO};
    worker->pidfd = orders.pidfd;
    worker->fresh = true;
    atomic_store(&worker->pid, started ? orders.pid : 0);
    if (started)
        return 0;
    forget_process(worker);
    return fm_base_fail(
        FASTMAP_ERR_PROGRAM,
        "a worker process cannot be started (%s); raise the limits on processes, open "
        "files and memory, or use workers = THREADS",
        strerror(orders.reason));
}

bool fm_process_worker_listen(struct fm_process_worker *worker, int milliseconds)
{
    struct pollfd polled[] = {{.fd = worker->channel.fd, .events = POLLIN},
                              {.fd = worker->output.fd, .events = POLLIN},
                              {.fd = worker->error.fd, .events = POLLIN}};
    if (poll(polled, 3, milliseconds) <= 0)
        return false;
    if (polled[1].revents != 0)
        fm_process_output_drain(&worker->output, worker->name);
    if (polled[2].revents != 0)
        fm_process_output_drain(&worker->error, worker->name);
    return polled[0].revents != 0;
}

/* Until the worker has said something, or has gone. False: neither, for so long. */
static bool wait_channel(struct fm_process_worker *worker, uint64_t ns)
{
    const uint64_t until = fm_base_now_ns() + ns;
    for (uint64_t now = until - ns; now < until; now = fm_base_now_ns())
        if (fm_process_worker_listen(worker, (int)((until - now) / 1000000 + 1)))
            return true;
    return false;
}

static int fail_silent(struct fm_process_worker *worker, const char *how)
{
    (void)fm_process_worker_end(worker, false);
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "the program was started as a worker but %s; see what it printed, or use "
                        "workers = THREADS",
                        how);
}

static int await_hello(struct fm_process_worker *worker)
{
    struct fm_wire_worker_frame frame;
    const char *wrong;
    if (!wait_channel(worker, HELLO_NS))
        return fail_silent(worker,
                           "said nothing for a minute: its constructors do not come to an end");
    switch (fm_program_channel_receive(&worker->channel, false, &frame, NULL, &wrong)) {
    case FM_PROGRAM_CHANNEL_FRAME:
        return frame.type == FM_WIRE_WORKER_HELLO
                   ? 0
                   : fail_silent(worker, "began with something else than hello");
    case FM_PROGRAM_CHANNEL_WRONG: return fail_silent(worker, wrong);
    default: return fail_silent(worker, "ended before it said hello");
    }
}

/* ---- What it is given ---- */

static bool has_the_like(const struct fm_process_worker *worker, const struct fm_process_map *map)
{
    const struct fm_wire_worker_load *has = &worker->load;
    const struct fm_wire_worker_load *wants = &map->load;
    return has->map != 0 && wants->shared_size == 0 && has->shared_size == 0 &&
           has->offset == wants->offset && has->in_size == wants->in_size &&
           has->out_size == wants->out_size && has->kind == wants->kind &&
           has->flags == wants->flags && has->fenv_bytes == wants->fenv_bytes &&
           memcmp(has->fenv, wants->fenv, sizeof has->fenv) == 0 &&
           strcmp(worker->path, map->function.module) == 0;
}

static bool load(struct fm_process_worker *worker, const struct fm_process_map *map)
{
    const bool needless = has_the_like(worker, map);
    worker->has = map->serial;
    if (needless)
        return true;
    struct fm_wire_worker_frame frame = {.type = FM_WIRE_WORKER_LOAD, .is.load = map->load};
    frame.is.load.map = ++worker->loads;
    worker->load = frame.is.load;
    (void)snprintf(worker->path, sizeof worker->path, "%s", map->function.module);
    return fm_process_worker_tell(worker, &frame, map->shared.fd);
}

static void drop_arena(struct fm_process_worker *worker)
{
    fm_process_memory_drop(&worker->arena);
    worker->has_arena = false;
}

static int grow_arena(struct fm_process_worker *worker, size_t bytes)
{
    size_t size = ARENA_LEAST;
    while (size < bytes && size < SIZE_MAX / 4)
        size *= 2;
    drop_arena(worker);
    if (size >= bytes &&
        (fm_process_memory_make(&worker->arena, size) ||
         fm_process_memory_make(&worker->arena, (bytes + 0xffff) & ~(size_t)0xffff)))
        return 0;
    return fm_base_fail(
        FASTMAP_ERR_MEMORY,
        "no shared memory of %zu bytes for a worker's inputs and outputs: free some, "
        "or use fewer workers",
        bytes);
}

static bool give_arena(struct fm_process_worker *worker)
{
    struct fm_wire_worker_frame frame = {.type = FM_WIRE_WORKER_ARENA,
                                         .is.arena = {.bytes = worker->arena.size}};
    worker->has_arena = true;
    return fm_process_worker_tell(worker, &frame, worker->arena.fd);
}

/* ---- Ready ---- */

static void name_after(struct fm_process_worker *worker, int rank)
{
    if (rank >= 0)
        (void)snprintf(worker->name, sizeof worker->name, "rank %d, worker %d", rank,
                       worker->number);
    else
        (void)snprintf(worker->name, sizeof worker->name, "worker %d", worker->number);
}

static int ensure_process(struct fm_process_worker *worker, size_t bytes)
{
    int error = 0;
    if (atomic_load(&worker->pid) == 0) {
        error = start(worker);
        if (error == 0)
            error = await_hello(worker);
    }
    if (error == 0 && bytes + FM_WIRE_WORKER_CONTROL > worker->arena.size)
        error = grow_arena(worker, bytes + FM_WIRE_WORKER_CONTROL);
    return error;
}

/* False: it has gone. */
static bool tell_what_it_needs(struct fm_process_worker *worker, const struct fm_process_map *map)
{
    return (worker->has_arena || give_arena(worker)) &&
           (worker->has == map->serial || load(worker, map));
}

int fm_process_worker_ready(struct fm_process_worker *worker, const struct fm_process_map *map,
                            size_t bytes)
{
    if (worker->serial != map->serial) {
        name_after(worker, map->rank);
        fm_process_output_next(&worker->output);
        fm_process_output_next(&worker->error);
        worker->serial = map->serial;
        if (worker->arena.size > ARENA_KEPT && bytes < worker->arena.size / 4)
            drop_arena(worker);
    }
    for (;;) {
        const bool is_new = atomic_load(&worker->pid) == 0;
        const int error = ensure_process(worker, bytes);
        if (error != 0 || tell_what_it_needs(worker, map))
            return error;
        if (is_new)
            return fail_silent(worker, "ended by itself");
        (void)fm_process_worker_end(worker, false); /* it was killed since its last span */
    }
}

/* ---- End ---- */

void fm_process_worker_bid(struct fm_process_worker *worker)
{
    struct fm_wire_worker_frame bye = {.type = FM_WIRE_WORKER_BYE};
    if (atomic_load(&worker->pid) != 0)
        (void)fm_program_channel_send(&worker->channel, &bye, -1);
}

/* Until it closes its end of the channel, which it does last of all. */
static void let_finish(struct fm_process_worker *worker)
{
    struct fm_wire_worker_frame frame;
    const char *wrong;
    const uint64_t until = fm_base_now_ns() + GOODBYE_NS;
    for (uint64_t now = until - GOODBYE_NS; now < until; now = fm_base_now_ns())
        if (!wait_channel(worker, until - now) ||
            fm_program_channel_receive(&worker->channel, false, &frame, NULL, &wrong) ==
                FM_PROGRAM_CHANNEL_CLOSED)
            return;
}

int fm_process_worker_end(struct fm_process_worker *worker, bool patient)
{
    int status = -1;
    const pid_t pid = atomic_load(&worker->pid);
    if (pid == 0)
        return status;
    if (patient)
        let_finish(worker);
    fm_process_kill(pid, worker->pidfd); /* a process that has ended keeps its exit status */
    (void)fm_process_ended(pid, worker->pidfd, true, &status);
    fm_process_output_drain(&worker->output, worker->name);
    fm_process_output_drain(&worker->error, worker->name);
    fm_process_output_flush(&worker->output, worker->name);
    fm_process_output_flush(&worker->error, worker->name);
    forget_process(worker);
    return status;
}

void fm_process_worker_forget(struct fm_process_worker *worker, bool is_still)
{
    if (is_still) {
        if (atomic_load(&worker->pid) != 0)
            forget_process(worker);
        fm_process_memory_drop(&worker->arena);
    }
    worker->channel.fd = worker->output.fd = worker->error.fd = worker->pidfd = -1;
    worker->arena = (struct fm_process_memory){.fd = -1};
    atomic_store(&worker->pid, 0);
    worker->serial = 0;
}
