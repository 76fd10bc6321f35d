/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's life: its start, what it is given, its clocks. Its states are in pool_inside.h; these are the
 * ways between them:
 *
 *     STARTING -- HELLO --> IDLE -- span --> BUSY -- RESULT, ERROR(refused) --> IDLE
 *     any -- too late, too much CPU time, nonsense, map closed, idle for long --> ENDING (killed)
 *     any -- the process has ended --> gone
 *
 * pool_talk.c has what it says, pool_end.c what becomes of it and its span.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool_inside.h"

#define MS ((uint64_t)1000000)
#define S (1000 * MS)
#define IDLE_LOOK_NS \
    (100 * MS)                /* how often the clocks of idle and starting workers are looked at */
#define IDLE_CPU_NS (20 * MS) /* what an idle worker may use before it is ended */
#define START_CPU_NS (10 * S) /* what it may use before HELLO */
#define CUT_LOOK_NS (1 * MS)  /* how often at most a busy worker's clock is looked at */

/* ---- States ---- */

/* Not left to close(): a process that is being started has a copy of the descriptor for a moment, and
   with that its events would go on. */
void fmd_worker_forget_fd(struct fmd_pool *pool, int fd)
{
    (void)epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static unsigned *counter_of(struct fmd_map *map, enum fmd_worker_state state)
{
    unsigned *const counters[] = {
        [FMD_WORKER_STARTING] = &map->starting,
        [FMD_WORKER_IDLE] = &map->idle,
        [FMD_WORKER_BUSY] = &map->busy,
        [FMD_WORKER_ENDING] = NULL,
    };
    return counters[state];
}

void fmd_worker_set_state(struct fmd_worker *worker, enum fmd_worker_state state)
{
    if (worker->state == FMD_WORKER_BUSY) /* however long its span has been the only one */
        fmd_share_note(worker->map);
    unsigned *from = counter_of(worker->map, worker->state), *to = counter_of(worker->map, state);
    if (from != NULL)
        --*from;
    if (to != NULL)
        ++*to;
    worker->state = state;
    worker->since_ns = fm_base_now_ns();
    worker->check_ns = worker->since_ns;
}

struct fmd_span *fmd_worker_take_span(struct fmd_worker *worker)
{
    struct fmd_span *span = worker->span;
    if (span != NULL) {
        worker->span = NULL;
        worker->map->pool->running--;
        worker->map->sharer->running--;
        worker->map->token->running--;
    }
    return span;
}

bool fmd_worker_happen(struct fmd_worker *worker, enum fmd_worker_event event)
{
    switch (event) {
    case FMD_WORKER_FRAME: (void)fmd_worker_listen(worker); return false;
    case FMD_WORKER_OUTPUT: fmd_worker_read_output(worker); return false;
    case FMD_WORKER_END: fmd_worker_bury(worker); return true;
    case FMD_WORKER_EVENTS: break;
    }
    return false;
}

/* ---- What it is given ---- */

static void clean_page(const struct fmd_buffer *buffer)
{
    struct fm_wire_worker_control *page = (void *)buffer->memory;
    atomic_store(&page->span, 0);
    atomic_store(&page->index, FM_WIRE_WORKER_NONE);
    atomic_store(&page->failed, 0);
    atomic_store(&page->listed, 0);
}

static bool send_span(struct fmd_worker *worker, const struct fmd_span *span)
{
    struct fm_wire_worker_frame arena = {.type = FM_WIRE_WORKER_ARENA,
                                         .is.arena.bytes = span->buffer->bytes};
    struct fm_wire_worker_frame frame = {.type = FM_WIRE_WORKER_SPAN, .is.span = span->wire};
    clean_page(span->buffer);
    if (worker->buffer != span->buffer->number &&
        !fm_program_channel_send(&worker->channel, &arena, span->buffer->fd))
        return false;
    worker->buffer = span->buffer->number;
    return fm_program_channel_send(&worker->channel, &frame, -1);
}

bool fmd_worker_give(struct fmd_worker *worker, struct fmd_span *span)
{
    struct fmd_map *map = worker->map;
    struct fmd_pool *pool = map->pool;
    if (!fmd_span_lay(worker, span) || !send_span(worker, span)) {
        fmd_worker_end(worker, FMD_SPAN_NONSENSE, "the worker has gone");
        return false;
    }
    fmd_span_unqueue(span);
    worker->span = span;
    pool->running++;
    map->sharer->running++;
    map->token->running++;
    fmd_worker_set_state(worker, FMD_WORKER_BUSY);
    span->result.queued_ns = worker->since_ns - span->committed_ns;
    worker->check_ns = worker->since_ns + span->grant_ns / pool->processors;
    if (worker->check_ns < pool->sleeps_until_ns)
        fmd_pool_wake(pool);
    return true;
}

/* ---- Its clocks ---- */

static uint64_t later(uint64_t at, uint64_t by)
{
    return by < UINT64_MAX - at ? at + by : UINT64_MAX;
}

static uint64_t least(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static void check_busy(struct fmd_worker *worker, uint64_t now_ns)
{
    const struct fmd_pool *pool = worker->map->pool;
    const uint64_t late_ns = later(worker->since_ns, pool->config.span_ns);
    const uint64_t used_ns = fmd_worker_unbilled_ns(worker) + worker->map->unbilled_ns;
    if (used_ns >= worker->span->grant_ns && !fmd_span_grant(worker->span, used_ns)) {
        fmd_worker_end(worker, FMD_SPAN_CUT, "the CPU time that was granted is used up");
    } else if (now_ns >= late_ns) {
        fmd_worker_end(worker, FMD_SPAN_LATE, "it took longer than a span may take");
    } else { /* on all processors it could use up the rest by then */
        uint64_t look_ns = (worker->span->grant_ns - used_ns) / pool->processors;
        look_ns = look_ns > CUT_LOOK_NS ? look_ns : CUT_LOOK_NS;
        worker->check_ns = least(late_ns, later(now_ns, look_ns));
    }
}

static void check_idle(struct fmd_worker *worker, uint64_t now_ns)
{
    struct fmd_pool *pool = worker->map->pool;
    const uint64_t end_ns = later(worker->since_ns, pool->config.idle_ns);
    if (now_ns >= end_ns) {
        pool->numbers.ended_idle++;
        fmd_worker_end(worker, FMD_SPAN_CLOSED, "it had nothing to do");
    } else if (fmd_worker_unbilled_ns(worker) > IDLE_CPU_NS) {
        fmd_pool_log(pool, "a worker of account %s is ended: it computes between spans",
                     worker->map->sharer->name);
        fmd_worker_end(worker, FMD_SPAN_NONSENSE, "it computes between spans");
    } else {
        worker->check_ns = least(end_ns, now_ns + IDLE_LOOK_NS);
    }
}

/* Constructors are the program's own code: they may not compute for long either. */
static void check_starting(struct fmd_worker *worker, uint64_t now_ns)
{
    const uint64_t late_ns = later(worker->since_ns, worker->map->pool->config.start_ns);
    if (now_ns >= late_ns)
        fmd_worker_end(worker, FMD_SPAN_FAILED, "it has not said that it is there");
    else if (fmd_worker_unbilled_ns(worker) > START_CPU_NS)
        fmd_worker_end(worker, FMD_SPAN_FAILED, "it computes before it says that it is there");
    else
        worker->check_ns = least(late_ns, now_ns + IDLE_LOOK_NS);
}

void fmd_worker_check(struct fmd_worker *worker, uint64_t now_ns)
{
    if (now_ns < worker->check_ns)
        return;
    if (worker->doom_ns != 0 && now_ns >= worker->doom_ns)
        fmd_worker_end(worker, FMD_SPAN_NONSENSE, "the worker has closed its channel");
    switch (worker->state) {
    case FMD_WORKER_STARTING: check_starting(worker, now_ns); break;
    case FMD_WORKER_IDLE: check_idle(worker, now_ns); break;
    case FMD_WORKER_BUSY: check_busy(worker, now_ns); break;
    case FMD_WORKER_ENDING: return;
    }
    if (worker->doom_ns != 0 && worker->state != FMD_WORKER_ENDING)
        worker->check_ns = least(worker->check_ns, worker->doom_ns);
}

/* ---- The start ---- */

static bool watch(struct fmd_pool *pool, struct fmd_worker *worker, int fd,
                  enum fmd_worker_event event)
{
    /* The kind of event is in the low bits of the address. */
    struct epoll_event wanted = {.events = EPOLLIN,
                                 .data.u64 = (uint64_t)(uintptr_t)worker | (uint64_t)event};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

struct ends {
    int channel[2]; /* ours, its */
    int output[2];
};

static void close_ends(struct ends *ends, bool ours)
{
    const int all[] = {ends->channel[1], ends->output[1], ends->channel[0], ends->output[0]};
    for (int i = 0; i < (ours ? 4 : 2); i++)
        if (all[i] >= 0)
            close(all[i]);
}

static bool make_ends(struct ends *ends)
{
    *ends = (struct ends){{-1, -1}, {-1, -1}};
    if (!fm_program_channel_pair(ends->channel) || pipe2(ends->output, O_CLOEXEC) != 0)
        return false;
    return fcntl(ends->output[0], F_SETFL, O_NONBLOCK) == 0;
}

static unsigned take_slot(struct fmd_pool *pool)
{
    unsigned slot = 0;
    while (slot < pool->slots && pool->slot_taken[slot])
        slot++;
    return slot;
}

static void enter_worker(struct fmd_map *map, struct fmd_worker *worker, struct ends *ends)
{
    struct fmd_pool *pool = map->pool;
    pool->slot_taken[worker->slot] = true;
    pool->worker_count++;
    pool->workers_bytes += map->worker_bytes;
    pool->numbers.started++;
    worker->map = map;
    worker->output_fd = ends->output[0];
    fm_program_channel_open(&worker->channel, ends->channel[0]);
    worker->next = pool->workers;
    pool->workers = worker;
    map->references++;
    map->starting++;
    worker->since_ns = worker->check_ns = fm_base_now_ns();
    const bool watched = watch(pool, worker, worker->process.pid_fd, FMD_WORKER_END) &&
                         watch(pool, worker, worker->channel.fd, FMD_WORKER_FRAME) &&
                         watch(pool, worker, worker->output_fd, FMD_WORKER_OUTPUT);
    if (!watched)
        fmd_worker_end(worker, FMD_SPAN_FAILED, "no memory to watch it");
}

bool fmd_worker_start(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    struct ends ends;
    struct fmd_worker *worker = aligned_alloc(64, (sizeof *worker + 63) / 64 * 64);
    bool started = make_ends(&ends) && worker != NULL;
    map->starts_ahead = false;
    if (started) {
        memset(worker, 0, sizeof *worker);
        worker->slot = take_slot(pool);
        const struct fmd_sandbox_terms terms = {
            .tree = map->tree,
            .slot = worker->slot,
            .channel_fd = ends.channel[1],
            .output_fd = ends.output[1],
            .memory_bytes = pool->config.worker_bytes + pool->config.scratch_bytes,
            .scratch_bytes = pool->config.scratch_bytes,
            .stack_bytes = map->stack_bytes,
            .cpu_s = FMD_WORKER_LIFE_CPU_S + pool->config.span_ns / S * pool->processors + 1,
            .variables = (const char *const *)map->variables,
        };
        started = fmd_sandbox_start(&pool->sandbox, &terms, &worker->process) == 0;
    } else {
        (void)fm_base_fail(FASTMAP_ERR_STATE, "no descriptors for a worker: %s", strerror(errno));
    }
    close_ends(&ends, !started);
    if (started) {
        enter_worker(map, worker, &ends);
    } else {
        free(worker);
        fmd_worker_fail_span(map, fm_base_last_error(), "");
    }
    return started;
}
