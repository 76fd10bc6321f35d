/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a worker ends and what its span's result is then. A verdict is what the result will be once the
 * worker has ended: then its CPU time is final. What it says after its verdict does not matter. A worker
 * whose process ends without one is judged by its exit status and by the control page. Nothing it says is
 * believed further than its own span's results go.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool_inside.h"

/* ---- What is charged ---- */

uint64_t fmd_worker_unbilled_ns(const struct fmd_worker *worker)
{
    const uint64_t used = fmd_sandbox_cpu_ns(&worker->process);
    return used > worker->billed_ns ? used - worker->billed_ns : 0;
}

/* All CPU time that its map has not been charged for; from now on it has. */
uint64_t fmd_worker_bill(struct fmd_worker *worker)
{
    struct fmd_map *map = worker->map;
    const uint64_t own = fmd_worker_unbilled_ns(worker);
    const uint64_t all = own + map->unbilled_ns;
    worker->billed_ns += own;
    map->sharer->used_ns += own;
    map->unbilled_ns = 0;
    return all;
}

/* ---- Results ---- */

/* Only printable characters: it may be the program's own text. */
void fmd_worker_set_sentence(struct fmd_span_result *result, const char *sentence)
{
    size_t length = 0;
    for (; sentence[length] != '\0' && length < sizeof result->sentence - 1; length++) {
        const unsigned char c = (unsigned char)sentence[length];
        result->sentence[length] = (char)(c >= ' ' && c < 127 ? c : c == '\n' ? ' ' : '?');
    }
    result->sentence[length] = '\0';
}

void fmd_worker_finish(struct fmd_worker *worker, const struct fmd_span_result *result,
                       uint64_t cpu_ns)
{
    struct fmd_span *span = worker->span;
    const uint64_t queued_ns = span->result.queued_ns;
    fmd_span_take(span);
    span->result = *result;
    span->result.queued_ns = queued_ns;
    span->result.wall_ns = fm_base_now_ns() - worker->since_ns;
    span->result.cpu_ns = cpu_ns;
    fmd_span_finish(fmd_worker_take_span(worker));
}

/* ---- Verdicts ---- */

static void count_end(struct fmd_pool *pool, enum fmd_span_status status)
{
    uint64_t *const counters[] = {
        [FMD_SPAN_LATE] = &pool->numbers.killed_late,
        [FMD_SPAN_CUT] = &pool->numbers.killed_cut,
        [FMD_SPAN_NONSENSE] = &pool->numbers.killed_nonsense,
        [FMD_SPAN_LOST] = NULL,
        [FMD_SPAN_FAILED] = NULL,
        [FMD_SPAN_DIED] = &pool->numbers.died,
        [FMD_SPAN_CLOSED] = NULL,
    };
    if (counters[status] != NULL)
        ++*counters[status];
}

void fmd_worker_set_verdict(struct fmd_worker *worker, enum fmd_span_status status,
                            const char *sentence)
{
    if (worker->has_verdict)
        return;
    worker->has_verdict = true;
    worker->verdict =
        (struct fmd_span_result){.status = status, .crash_index = FM_WIRE_WORKER_NONE};
    fmd_worker_set_sentence(&worker->verdict, sentence);
    count_end(worker->map->pool, status);
}

void fmd_worker_end(struct fmd_worker *worker, enum fmd_span_status status, const char *sentence)
{
    if (worker->state == FMD_WORKER_ENDING)
        return;
    fmd_worker_set_verdict(worker, status, sentence);
    fmd_sandbox_kill(&worker->process);
    const uint64_t since_ns = worker->since_ns;
    fmd_worker_set_state(worker, FMD_WORKER_ENDING);
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

/* SIGKILL that nobody here has sent. A process that is the first of its namespace cannot send it to itself,
   nor does it get it for anything that its program does but in the end of its life's CPU time. It is reaped
   already: all that it used is what has been billed. */
static bool was_taken(const struct fmd_worker *worker, int status)
{
    const struct fmd_pool *pool = worker->map->pool;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
           pool->sandbox.kind == FMD_SANDBOX_NAMESPACES &&
           worker->billed_ns < FMD_WORKER_LIFE_CPU_S * UINT64_C(1000000000);
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
    fmd_worker_set_verdict(worker, was_taken(worker, status) ? FMD_SPAN_LOST : FMD_SPAN_DIED,
                           sentence);
    worker->verdict.crash_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    worker->verdict.crash_status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* Before HELLO: one span is told what the program, or the sandbox, had to say. */
void fmd_worker_fail_span(struct fmd_map *map, const char *why, const char *text)
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
    fmd_worker_set_sentence(&span->result, sentence);
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

static void close_worker(struct fmd_worker *worker)
{
    struct fmd_pool *pool = worker->map->pool;
    struct fmd_worker **at = &pool->workers;
    while (*at != worker)
        at = &(*at)->next;
    *at = worker->next;
    fmd_worker_forget_fd(pool, worker->channel.fd);
    close(worker->channel.fd);
    if (worker->output_fd >= 0) {
        fmd_worker_forget_fd(pool, worker->output_fd);
        close(worker->output_fd);
    }
    fmd_desk_free(worker->desk);
    pool->slot_taken[worker->slot] = false;
    pool->worker_count--;
    pool->workers_bytes -= worker->map->worker_bytes;
    fmd_map_drop(worker->map);
}

/* A worker without a span has used something too: the map's next span is charged for it. */
static void leave_to_map(struct fmd_worker *worker)
{
    const uint64_t left_ns = fmd_worker_unbilled_ns(worker);
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
    if (worker->verdict.status != FMD_SPAN_NONSENSE && worker->verdict.status != FMD_SPAN_LOST)
        read_page(worker->span, worker->map->load.kind == FM_WIRE_WORKER_FUNC, &worker->verdict);
    fmd_worker_finish(worker, &worker->verdict, cpu_ns);
}

/* Its process has ended: all that there is to know is known. */
void fmd_worker_bury(struct fmd_worker *worker)
{
    char step[128], why[FM_WIRE_WORKER_SENTENCE];
    (void)fmd_worker_listen(worker);
    fmd_worker_read_output(worker);
    if (worker->span == NULL)
        leave_to_map(worker);
    const uint64_t cpu_ns =
        worker->span != NULL ? fmd_worker_bill(worker) : 0; /* before it is reaped */
    fmd_worker_forget_fd(worker->map->pool, worker->process.pid_fd);
    const int status = fmd_sandbox_reap(&worker->process, step, sizeof step);
    if (worker->span != NULL)
        bury_span(worker, status, cpu_ns);
    if (worker->state != FMD_WORKER_ENDING)
        fmd_worker_set_state(worker, FMD_WORKER_ENDING);
    if (!worker->said_hello && !worker->map->closed) {
        describe_start(worker, status, step, why, sizeof why);
        fmd_worker_fail_span(worker->map, why, worker->text);
    }
    close_worker(worker);
}
