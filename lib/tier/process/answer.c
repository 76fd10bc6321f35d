/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A span goes out, its answer is awaited. Decides what has happened: a result, a refusal, or the loss of the
 * process, of which the worker's last words, its exit status and the control page tell. All three may be
 * missing or wrong, since an element that writes where it should not may have written there; so everything is
 * checked, and a worker that says what cannot be is killed.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tier/process/worker.h"

#define LOOK_MOST_MS 100 /* between looks at a worker whose elements have a time limit */

/* The time limit of elements, as it is watched: each element that begins starts it anew. */
struct watch {
    double limit_ns; /* 0: none */
    uint64_t begun;
    uint64_t since_ns;
};

static const struct fm_wire_worker_control *control_of(const struct fm_process_worker *worker)
{
    return (const struct fm_wire_worker_control *)worker->arena.bytes;
}

static uint64_t begun_so_far(const struct fm_process_worker *worker)
{
    return atomic_load_explicit(&control_of(worker)->begun, memory_order_relaxed);
}

static bool is_late(const struct fm_process_worker *worker, struct watch *watch)
{
    const uint64_t begun = begun_so_far(worker);
    const uint64_t now = fm_base_now_ns();
    if (watch->since_ns == 0 || begun != watch->begun) {
        watch->begun = begun;
        watch->since_ns = now;
    }
    return watch->limit_ns > 0 && (double)(now - watch->since_ns) > watch->limit_ns;
}

static int look_ms(const struct watch *watch)
{
    if (watch->limit_ns <= 0)
        return -1;
    const double ms = watch->limit_ns / 8e6 + 1;
    return ms < LOOK_MOST_MS ? (int)ms : LOOK_MOST_MS;
}

/* ---- A process that is lost ---- */

static void explain(struct fm_process_answer *answer, int ending, const char *sentence)
{
    answer->outcome = FM_PROCESS_LOST;
    answer->ending = ending;
    (void)snprintf(answer->sentence, sizeof answer->sentence, "%s", sentence);
}

/* The element that was being computed, and what had failed before it, as far as that can be true. */
static void read_page(const struct fm_process_worker *worker,
                      const struct fm_wire_worker_span *span, struct fm_process_answer *answer)
{
    struct fm_wire_worker_result *result = &answer->result;
    const struct fm_wire_worker_control *page = control_of(worker);
    const uint64_t index = atomic_load_explicit(&page->index, memory_order_acquire);
    const uint64_t failed = atomic_load_explicit(&page->failed, memory_order_acquire);
    const uint64_t listed = atomic_load_explicit(&page->listed, memory_order_acquire);
    *result = (struct fm_wire_worker_result){.span = span->span};
    answer->index = FM_WIRE_WORKER_NONE;
    if (atomic_load(&page->span) != span->span || index < span->first ||
        index - span->first >= span->count || listed > FM_WIRE_WORKER_FAILURES)
        return;
    memcpy(result->failures, page->failures, listed * sizeof *result->failures);
    if (!fm_wire_worker_are_plausible(span, index - span->first, failed, result->failures, listed))
        return;
    answer->index = index;
    result->computed = index - span->first;
    result->failed = failed;
    result->listed = (uint32_t)listed;
}

static void name_status(struct fm_process_answer *answer, int status)
{
    if (status == -1) {
        explain(answer, FASTMAP_ENDING_LOST, "its process ended, and somebody else waited for it");
    } else if (WIFSIGNALED(status)) {
        explain(answer, WTERMSIG(status), "its process was ended by a signal");
    } else {
        answer->status = WEXITSTATUS(status);
        explain(answer, FASTMAP_ENDING_EXIT, "it ended its process");
    }
}

static void lose_by_itself(struct fm_process_worker *worker, const struct fm_wire_worker_span *span,
                           struct fm_process_answer *answer)
{
    read_page(worker, span, answer);
    name_status(answer, fm_process_worker_end(worker, true));
}

/* Of what has written where it should not, be it frames, the page is no witness: whichever element did it,
   the process has gone on. */
static void lose_liar(struct fm_process_worker *worker, const struct fm_wire_worker_span *span,
                      struct fm_process_answer *answer)
{
    (void)fm_process_worker_end(worker, false);
    answer->result = (struct fm_wire_worker_result){.span = span->span};
    answer->index = FM_WIRE_WORKER_NONE;
    explain(answer, FASTMAP_ENDING_LOST,
            "its process sent what cannot be: it writes where it should not");
}

/* An element that came to its end while the process was being killed was not late: the one behind it, which
   is innocent, is lost with it. */
static void lose_late(struct fm_process_worker *worker, const struct fm_wire_worker_span *span,
                      const struct watch *watch, struct fm_process_answer *answer)
{
    (void)fm_process_worker_end(worker, false);
    read_page(worker, span, answer);
    explain(answer,
            begun_so_far(worker) == watch->begun ? FASTMAP_ENDING_TIMEOUT : FASTMAP_ENDING_LOST,
            "it took longer than element_timeout");
}

/* It has told how it ends. */
static void lose_as_told(struct fm_process_worker *worker, const struct fm_wire_worker_span *span,
                         const struct fm_wire_worker_error *error, struct fm_process_answer *answer)
{
    const bool by_signal =
        error->end == FM_WIRE_WORKER_SIGNAL && error->value > 0 && error->value < NSIG;
    answer->status = by_signal ? 0 : error->value;
    explain(answer, by_signal ? error->value : FASTMAP_ENDING_EXIT, error->sentence);
    (void)fm_process_worker_end(worker, true);
    read_page(worker, span, answer);
}

/* ---- Answers ---- */

static void take_answer(struct fm_process_worker *worker, const struct fm_process_map *map,
                        const struct fm_wire_worker_span *span, struct fm_process_answer *answer)
{
    struct fm_wire_worker_frame frame;
    const char *wrong = NULL;
    const bool stops = (map->load.flags & FM_WIRE_WORKER_STOP) != 0;
    const enum fm_program_channel_got got =
        fm_program_channel_receive(&worker->channel, false, &frame, NULL, &wrong);
    if (got == FM_PROGRAM_CHANNEL_FRAME)
        wrong = fm_wire_worker_disputes(span, stops, &frame);
    if (got == FM_PROGRAM_CHANNEL_CLOSED) {
        lose_by_itself(worker, span, answer);
    } else if (wrong != NULL) {
        lose_liar(worker, span, answer);
    } else if (frame.type == FM_WIRE_WORKER_RESULT) {
        answer->outcome = FM_PROCESS_DONE;
        answer->result = frame.is.result;
    } else if (frame.is.error.end == FM_WIRE_WORKER_REFUSED) {
        answer->outcome = FM_PROCESS_REFUSED;
        (void)snprintf(answer->sentence, sizeof answer->sentence, "%s", frame.is.error.sentence);
    } else {
        lose_as_told(worker, span, &frame.is.error, answer);
    }
}

void fm_process_worker_compute(struct fm_process_worker *worker, const struct fm_process_map *map,
                               struct fm_wire_worker_span *span, struct fm_process_answer *answer)
{
    struct fm_wire_worker_frame frame = {.type = FM_WIRE_WORKER_SPAN};
    struct watch watch = {.limit_ns = map->timeout_ns};
    span->span = ++worker->spans;
    span->map = worker->load.map;
    frame.is.span = *span;
    bool answered = !fm_process_worker_meet(worker, &frame); /* then it has gone */
    bool late = false;
    while (!answered && !late) {
        late = is_late(worker, &watch);
        answered = fm_process_worker_listen(worker, look_ms(&watch));
    }
    fm_process_worker_leave(worker);
    if (answered)
        take_answer(worker, map, span, answer);
    else
        lose_late(worker, span, &watch, answer);
    worker->fresh = false;
}
