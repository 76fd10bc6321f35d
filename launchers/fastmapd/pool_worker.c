/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's life, from the start of its process to its end, and what its span's result is. Its states are
 * in pool_inside.h; these are the ways between them:
 *
 *     STARTING -- HELLO --> IDLE -- span --> BUSY -- RESULT, ERROR(refused) --> IDLE
 *     any -- too late, too much CPU time, nonsense, map closed, idle for long --> ENDING (killed)
 *     any -- the process has ended --> gone
 *
 * A verdict is what a span's result will be once the worker has ended: then its CPU time is final. What it
 * says after its verdict does not matter. A worker whose process ends without one is judged by its exit
 * status and by the control page. Nothing it says is believed further than its own span's results go.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "pool_inside.h"

#define MS ((uint64_t)1000000)
#define S (1000 * MS)
#define LIFE_CPU_S (12 * 3600u) /* CPU time after which a worker is replaced between spans */
#define GRACE_NS (2 * S)        /* for a worker that says it dies, or has hung up, to be dead */
#define IDLE_LOOK_NS (100 * MS) /* how often idle workers' clocks are looked at */
#define IDLE_CPU_NS (20 * MS)   /* what an idle worker may use before it is ended */
#define CUT_LOOK_NS (1 * MS)    /* how often at most a busy worker's clock is looked at */
#define OUTPUT_MOST ((uint64_t)65536) /* bytes that a worker may print in its life */

/* ---- States ---- */

/* Not left to close(): a process that is being started has a copy of the descriptor for a moment, and
   with that its events would go on. */
static void forget_fd(struct fmd_pool *pool, int fd)
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

static void set_state(struct fmd_worker *worker, enum fmd_worker_state state)
{
    unsigned *from = counter_of(worker->map, worker->state), *to = counter_of(worker->map, state);
    if (from != NULL)
        --*from;
    if (to != NULL)
        ++*to;
    worker->state = state;
    worker->since_ns = fm_base_now_ns();
    worker->check_ns = worker->since_ns;
}

static uint64_t unbilled_ns(const struct fmd_worker *worker)
{
    const uint64_t used = fmd_sandbox_cpu_ns(&worker->process);
    return used > worker->billed_ns ? used - worker->billed_ns : 0;
}

/* All CPU time that its map has not been charged for; from now on it has. */
static uint64_t bill(struct fmd_worker *worker)
{
    struct fmd_map *map = worker->map;
    const uint64_t own = unbilled_ns(worker);
    const uint64_t all = own + map->unbilled_ns;
    worker->billed_ns += own;
    map->sharer->used_ns += own;
    map->unbilled_ns = 0;
    return all;
}

/* Only printable characters: it may be the program's own text. */
static void set_sentence(struct fmd_span_result *result, const char *sentence)
{
    size_t length = 0;
    for (; sentence[length] != '\0' && length < sizeof result->sentence - 1; length++) {
        const unsigned char c = (unsigned char)sentence[length];
        result->sentence[length] = (char)(c >= ' ' && c < 127 ? c : c == '\n' ? ' ' : '?');
    }
    result->sentence[length] = '\0';
}

struct fmd_span *fmd_worker_take_span(struct fmd_worker *worker)
{
    struct fmd_span *span = worker->span;
    if (span != NULL) {
        worker->span = NULL;
        worker->map->pool->running--;
        worker->map->sharer->running--;
    }
    return span;
}

static void finish_span(struct fmd_worker *worker, const struct fmd_span_result *result,
                        uint64_t cpu_ns)
{
    struct fmd_span *span = worker->span;
    const uint64_t queued_ns = span->result.queued_ns;
    span->result = *result;
    span->result.queued_ns = queued_ns;
    span->result.wall_ns = fm_base_now_ns() - worker->since_ns;
    span->result.cpu_ns = cpu_ns;
    fmd_span_finish(fmd_worker_take_span(worker));
}

/* ---- The end ---- */

static void count_end(struct fmd_pool *pool, enum fmd_span_status status)
{
    uint64_t *const counters[] = {
        [FMD_SPAN_LATE] = &pool->numbers.killed_late,
        [FMD_SPAN_CUT] = &pool->numbers.killed_cut,
        [FMD_SPAN_LOST] = &pool->numbers.killed_nonsense,
        [FMD_SPAN_FAILED] = NULL,
        [FMD_SPAN_DIED] = &pool->numbers.died,
        [FMD_SPAN_CLOSED] = NULL,
    };
    if (counters[status] != NULL)
        ++*counters[status];
}

static void set_verdict(struct fmd_worker *worker, enum fmd_span_status status,
                        const char *sentence)
{
    if (worker->has_verdict)
        return;
    worker->has_verdict = true;
    worker->verdict =
        (struct fmd_span_result){.status = status, .crash_index = FM_WIRE_WORKER_NONE};
    set_sentence(&worker->verdict, sentence);
    count_end(worker->map->pool, status);
}

void fmd_worker_end(struct fmd_worker *worker, enum fmd_span_status status, const char *sentence)
{
    if (worker->state == FMD_WORKER_ENDING)
        return;
    set_verdict(worker, status, sentence);
    fmd_sandbox_kill(&worker->process);
    const uint64_t since_ns = worker->since_ns;
    set_state(worker, FMD_WORKER_ENDING);
    worker->since_ns = since_ns; /* of its span */
    worker->check_ns = UINT64_MAX;
}

/* ---- What the control page tells ---- */

static void read_failures(const struct fm_wire_worker_control *page,
                          const struct fm_wire_worker_span *span, struct fmd_span_result *result)
{
    const uint64_t listed = atomic_load(&page->listed), failed = atomic_load(&page->failed);
    const uint32_t count =
        listed < FM_WIRE_WORKER_FAILURES ? (uint32_t)listed : FM_WIRE_WORKER_FAILURES;
    memcpy(result->failures, page->failures, count * sizeof *page->failures);
    if (fm_wire_worker_are_plausible(span, result->computed, failed, result->failures, count)) {
        result->failed = failed;
        result->listed = count;
    }
}

/* How far it got. Of a function of one element the outputs before the one that it was at are there. */
static void read_page(const struct fmd_span *span, bool is_func, struct fmd_span_result *result)
{
    const struct fm_wire_worker_control *page = (const void *)span->buffer->memory;
    const uint64_t index = atomic_load(&page->index);
    if (atomic_load(&page->span) != span->wire.span || index < span->wire.first ||
        index - span->wire.first >= span->wire.count)
        return;
    if (is_func)
        result->computed = index - span->wire.first;
    if (result->status == FMD_SPAN_DIED && result->crash_index == FM_WIRE_WORKER_NONE)
        result->crash_index = index;
    read_failures(page, &span->wire, result);
}

static void judge_status(struct fmd_worker *worker, int status)
{
    char sentence[128];
    if (worker->has_verdict)
        return;
    if (WIFSIGNALED(status))
        snprintf(sentence, sizeof sentence, "the worker was ended by signal %d (%s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(sentence, sizeof sentence, "the worker ended itself with status %d",
                 WEXITSTATUS(status));
    set_verdict(worker, FMD_SPAN_DIED, sentence);
    worker->verdict.crash_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    worker->verdict.crash_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* Before HELLO: one span is told what the program, or the sandbox, had to say. */
static void fail_span(struct fmd_map *map, const char *why, const char *text)
{
    struct fmd_span *span = map->first;
    char sentence[FM_WIRE_WORKER_SENTENCE];
    snprintf(sentence, sizeof sentence, "the program does not start: %.100s%s%s", why,
             text[0] != '\0' ? ": " : "", text);
    map->pool->numbers.start_failed++;
    fmd_pool_log(map->pool, "a worker of account %s did not start: %s", map->sharer->name, why);
    if (span == NULL)
        return;
    fmd_span_unqueue(span);
    span->result =
        (struct fmd_span_result){.status = FMD_SPAN_FAILED, .crash_index = FM_WIRE_WORKER_NONE};
    span->result.cpu_ns = map->unbilled_ns;
    map->unbilled_ns = 0;
    set_sentence(&span->result, sentence);
    fmd_span_finish(span);
}

static void describe_start(const struct fmd_worker *worker, int status, const char *step, char *why,
                           size_t bytes)
{
    if (step[0] != '\0')
        snprintf(why, bytes, "%s", step);
    else if (worker->has_verdict)
        snprintf(why, bytes, "%s", worker->verdict.sentence);
    else if (WIFSIGNALED(status))
        snprintf(why, bytes, "it was ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, bytes, "it ended with status %d", WEXITSTATUS(status));
}

static bool take_frames(struct fmd_worker *worker);
static void take_output(struct fmd_worker *worker);

static void close_worker(struct fmd_worker *worker)
{
    struct fmd_pool *pool = worker->map->pool;
    struct fmd_worker **at = &pool->workers;
    while (*at != worker)
        at = &(*at)->next;
    *at = worker->next;
    forget_fd(pool, worker->channel.fd);
    close(worker->channel.fd);
    if (worker->output_fd >= 0) {
        forget_fd(pool, worker->output_fd);
        close(worker->output_fd);
    }
    pool->slot_taken[worker->slot] = false;
    pool->worker_count--;
    fmd_map_drop(worker->map);
}

/* A worker without a span has used something too: the map's next span is charged for it. */
static void leave_to_map(struct fmd_worker *worker)
{
    const uint64_t left_ns = unbilled_ns(worker);
    worker->billed_ns += left_ns;
    worker->map->unbilled_ns += left_ns;
    worker->map->sharer->used_ns += left_ns;
}

/* It had ended before, or as it was given the span: another may try, once. */
static bool was_begun(const struct fmd_span *span)
{
    const struct fm_wire_worker_control *page = (const void *)span->buffer->memory;
    return span->tried || atomic_load(&page->span) != 0;
}

static void bury_span(struct fmd_worker *worker, int status, uint64_t cpu_ns)
{
    if (!worker->has_verdict && !was_begun(worker->span)) {
        worker->map->unbilled_ns += cpu_ns;
        worker->span->tried = true;
        fmd_span_queue(fmd_worker_take_span(worker));
        return;
    }
    judge_status(worker, status);
    if (worker->verdict.status != FMD_SPAN_LOST)
        read_page(worker->span, worker->map->load.kind == FM_WIRE_WORKER_FUNC, &worker->verdict);
    finish_span(worker, &worker->verdict, cpu_ns);
}

/* Its process has ended: all that there is to know is known. */
static void bury(struct fmd_worker *worker)
{
    char step[128], why[FM_WIRE_WORKER_SENTENCE];
    (void)take_frames(worker);
    take_output(worker);
    if (worker->span == NULL)
        leave_to_map(worker);
    const uint64_t cpu_ns = worker->span != NULL ? bill(worker) : 0; /* before it is reaped */
    forget_fd(worker->map->pool, worker->process.pid_fd);
    const int status = fmd_sandbox_reap(&worker->process, step, sizeof step);
    if (worker->span != NULL)
        bury_span(worker, status, cpu_ns);
    if (worker->state != FMD_WORKER_ENDING)
        set_state(worker, FMD_WORKER_ENDING);
    if (!worker->said_hello && !worker->map->closed) {
        describe_start(worker, status, step, why, sizeof why);
        fail_span(worker->map, why, worker->text);
    }
    close_worker(worker);
}

/* ---- What it says ---- */

static bool send_load(struct fmd_worker *worker)
{
    struct fm_wire_worker_frame frame = {.type = FM_WIRE_WORKER_LOAD, .is.load = worker->map->load};
    return fm_program_channel_send(&worker->channel, &frame, worker->map->shared_fd);
}

static const char *take_hello(struct fmd_worker *worker)
{
    if (worker->state != FMD_WORKER_STARTING)
        return "HELLO out of turn";
    if (!send_load(worker))
        return "it does not read what it is sent";
    worker->said_hello = true;
    set_state(worker, FMD_WORKER_IDLE);
    return NULL;
}

static const char *take_result(struct fmd_worker *worker, const struct fm_wire_worker_frame *frame)
{
    const struct fm_wire_worker_result *result = &frame->is.result;
    struct fmd_span_result found = {.status = FMD_SPAN_DONE,
                                    .computed = result->computed,
                                    .failed = result->failed,
                                    .listed = result->listed,
                                    .raised = result->raised,
                                    .crash_index = FM_WIRE_WORKER_NONE};
    memcpy(found.failures, result->failures, result->listed * sizeof *result->failures);
    finish_span(worker, &found, bill(worker));
    set_state(worker, FMD_WORKER_IDLE);
    if (fmd_sandbox_cpu_ns(&worker->process) > LIFE_CPU_S * S)
        fmd_worker_end(worker, FMD_SPAN_CLOSED, "it is replaced by a new one");
    return NULL;
}

/* It dies, and will be judged when it has: what it says is kept. */
static void take_last_words(struct fmd_worker *worker, const struct fm_wire_worker_error *error)
{
    set_verdict(worker, FMD_SPAN_DIED, error->sentence);
    worker->verdict.crash_index = error->index;
    worker->verdict.crash_signal = error->end == FM_WIRE_WORKER_SIGNAL ? error->value : 0;
    worker->verdict.crash_status = error->end == FM_WIRE_WORKER_EXIT ? error->value : 0;
    worker->check_ns = fm_base_now_ns() + GRACE_NS;
}

static const char *take_error(struct fmd_worker *worker, const struct fm_wire_worker_frame *frame)
{
    const struct fm_wire_worker_error *error = &frame->is.error;
    if (error->end != FM_WIRE_WORKER_REFUSED) {
        take_last_words(worker, error);
        return NULL;
    }
    struct fmd_span_result found = {.status = FMD_SPAN_REFUSED, .crash_index = FM_WIRE_WORKER_NONE};
    set_sentence(&found, error->sentence);
    finish_span(worker, &found, bill(worker));
    set_state(worker, FMD_WORKER_IDLE);
    return NULL;
}

/* NULL, or why it is nonsense. */
static const char *take_frame(struct fmd_worker *worker, const struct fm_wire_worker_frame *frame)
{
    const bool stops = (worker->map->load.flags & FM_WIRE_WORKER_STOP) != 0;
    const char *wrong;
    if (frame->type == FM_WIRE_WORKER_HELLO)
        return take_hello(worker);
    if (frame->type == FM_WIRE_WORKER_ERROR && worker->span == NULL &&
        frame->is.error.end != FM_WIRE_WORKER_REFUSED) {
        fmd_worker_end(worker, FMD_SPAN_DIED,
                       frame->is.error.sentence); /* a thread of its own has crashed */
        return NULL;
    }
    if (worker->state != FMD_WORKER_BUSY || worker->has_verdict)
        return "an answer to nothing";
    wrong = fm_wire_worker_disputes(&worker->span->wire, stops, frame);
    if (wrong != NULL)
        return wrong;
    return frame->type == FM_WIRE_WORKER_RESULT ? take_result(worker, frame)
                                                : take_error(worker, frame);
}

static void hang_up(struct fmd_worker *worker)
{
    const uint64_t at = fm_base_now_ns() + GRACE_NS;
    forget_fd(worker->map->pool, worker->channel.fd);
    worker->hung_up = true;
    worker->check_ns = at;
    if (worker->state == FMD_WORKER_IDLE) /* it can be given nothing more */
        fmd_worker_end(worker, FMD_SPAN_LOST, "the worker has closed its channel");
}

/* False: it is of no more use. */
static bool take_frames(struct fmd_worker *worker)
{
    struct fm_wire_worker_frame frame;
    const char *wrong = NULL;
    while (worker->state != FMD_WORKER_ENDING && !worker->hung_up) {
        switch (fm_program_channel_receive(&worker->channel, false, &frame, NULL, &wrong)) {
        case FM_PROGRAM_CHANNEL_FRAME: wrong = take_frame(worker, &frame); break;
        case FM_PROGRAM_CHANNEL_NOTHING: return true;
        case FM_PROGRAM_CHANNEL_CLOSED: hang_up(worker); return false;
        case FM_PROGRAM_CHANNEL_WRONG: break;
        }
        if (wrong != NULL) {
            fmd_pool_log(worker->map->pool,
                         "a worker of account %s is ended, it says what cannot be: %s",
                         worker->map->sharer->name, wrong);
            fmd_worker_end(worker, FMD_SPAN_LOST, wrong);
        }
    }
    return false;
}

/* The beginning is kept; when it is too long the pipe is closed, and printing fails in the worker. */
static void take_output(struct fmd_worker *worker)
{
    char bytes[4096];
    while (worker->output_fd >= 0) {
        const ssize_t got = read(worker->output_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        worker->output_bytes += got > 0 ? (uint64_t)got : 0;
        if (got <= 0 || worker->output_bytes > OUTPUT_MOST) {
            forget_fd(worker->map->pool, worker->output_fd);
            close(worker->output_fd);
            worker->output_fd = -1;
            return;
        }
        const size_t room = sizeof worker->text - 1 - worker->text_bytes;
        const size_t taken = (size_t)got < room ? (size_t)got : room;
        memcpy(worker->text + worker->text_bytes, bytes, taken);
        worker->text_bytes += taken;
        worker->text[worker->text_bytes] = '\0';
    }
}

bool fmd_worker_happen(struct fmd_worker *worker, enum fmd_worker_event event)
{
    switch (event) {
    case FMD_WORKER_FRAME: (void)take_frames(worker); return false;
    case FMD_WORKER_OUTPUT: take_output(worker); return false;
    case FMD_WORKER_END: bury(worker); return true;
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
    if (worker->buffer != span->buffer &&
        !fm_program_channel_send(&worker->channel, &arena, span->buffer->fd))
        return false;
    worker->buffer = span->buffer;
    return fm_program_channel_send(&worker->channel, &frame, -1);
}

bool fmd_worker_give(struct fmd_worker *worker, struct fmd_span *span)
{
    struct fmd_map *map = worker->map;
    struct fmd_pool *pool = map->pool;
    if (!send_span(worker, span)) {
        fmd_worker_end(worker, FMD_SPAN_LOST, "the worker has gone");
        return false;
    }
    fmd_span_unqueue(span);
    worker->span = span;
    pool->running++;
    map->sharer->running++;
    set_state(worker, FMD_WORKER_BUSY);
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
    const uint64_t used_ns = unbilled_ns(worker) + worker->map->unbilled_ns;
    const uint64_t grant_ns = worker->span->grant_ns;
    if (worker->has_verdict || worker->hung_up) {
        fmd_worker_end(worker, FMD_SPAN_LOST, "the worker has closed its channel");
    } else if (used_ns >= grant_ns) {
        fmd_worker_end(worker, FMD_SPAN_CUT, "the CPU time that was granted is used up");
    } else if (now_ns >= late_ns) {
        fmd_worker_end(worker, FMD_SPAN_LATE, "it took longer than a span may take");
    } else { /* on all processors it could use up the rest by then */
        uint64_t look_ns = (grant_ns - used_ns) / pool->processors;
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
    } else if (unbilled_ns(worker) > IDLE_CPU_NS) {
        fmd_pool_log(pool, "a worker of account %s is ended: it computes between spans",
                     worker->map->sharer->name);
        fmd_worker_end(worker, FMD_SPAN_LOST, "it computes between spans");
    } else {
        worker->check_ns = least(end_ns, now_ns + IDLE_LOOK_NS);
    }
}

static void check_starting(struct fmd_worker *worker, uint64_t now_ns)
{
    const uint64_t late_ns = later(worker->since_ns, worker->map->pool->config.start_ns);
    if (now_ns >= late_ns || worker->hung_up || worker->has_verdict)
        fmd_worker_end(worker, FMD_SPAN_FAILED, "it has not said that it is there");
    else
        worker->check_ns = late_ns;
}

void fmd_worker_check(struct fmd_worker *worker, uint64_t now_ns)
{
    if (now_ns < worker->check_ns)
        return;
    switch (worker->state) {
    case FMD_WORKER_STARTING: check_starting(worker, now_ns); break;
    case FMD_WORKER_IDLE: check_idle(worker, now_ns); break;
    case FMD_WORKER_BUSY: check_busy(worker, now_ns); break;
    case FMD_WORKER_ENDING: break;
    }
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
            .cpu_s = LIFE_CPU_S + pool->config.span_ns / S * pool->processors + 1,
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
        fail_span(map, fm_base_last_error(), "");
    }
    return started;
}
