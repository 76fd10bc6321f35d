/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A span is computed, whatever its elements do to their process. What is left of it is a stack of ranges: the
 * whole at first. A range whose worker is lost is put back without what was done, and
 *
 *   the element that was being computed is known   as a range of its own, and the rest behind it
 *   it is not (a block, or a control page          in halves
 *   that cannot be believed)
 *
 * A crash counts against an element only where nothing else can have caused it: it stood alone, in a process
 * that had computed nothing before. So an element that crashed in company is computed once more to see. Then
 * it has as many more attempts as the map allows. One that takes too long is not tried again to see.
 */
#include "tier/process/map.h"
#include "tier/process/worker.h"

#include <stdio.h>
#include <string.h>

#include "base/fenv.h"

#define ALIGNMENT ((size_t)64)
#define RANGES 160 /* halving leaves one more for each bit, a known element two */

struct range {
    size_t first;
    size_t count;
    int lost; /* attempts that count against it, of a range of one element */
};

struct task {
    struct fm_process_map *map;
    const struct fm_process_ports *ports;
    struct fm_process_worker *worker;
    const char *in; /* of element `base` */
    char *out;
    size_t base;
    bool in_place;
    struct range ranges[RANGES];
    int left;
    bool stops; /* begin no more */
    struct fm_process_tally tally;
};

static void push(struct task *task, size_t first, size_t count, int lost)
{
    if (count > 0)
        task->ranges[task->left++] = (struct range){.first = first, .count = count, .lost = lost};
}

static void report(struct task *task, const struct fm_process_failure *failure)
{
    if (task->ports->failed(task->ports->context, failure))
        task->stops = true;
}

/* ---- Bytes ---- */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static size_t bytes_of(const struct task *task, size_t count)
{
    const struct fm_process_map *map = task->map;
    const size_t in = count * map->in_size;
    return task->in_place ? in : rounded(in) + count * map->out_size;
}

static void place(const struct task *task, const struct range *range,
                  struct fm_wire_worker_span *span)
{
    const struct fm_process_map *map = task->map;
    char *const arena = task->worker->arena.bytes;
    const size_t in_bytes = range->count * map->in_size;
    *span = (struct fm_wire_worker_span){
        .first = range->first,
        .count = range->count,
        .in_offset = FM_WIRE_WORKER_CONTROL,
        .out_offset = FM_WIRE_WORKER_CONTROL + (task->in_place ? 0 : rounded(in_bytes)),
    };
    if (in_bytes > 0 && task->in != NULL)
        memcpy(arena + span->in_offset, task->in + (range->first - task->base) * map->in_size,
               in_bytes);
    if (!task->in_place && map->out_size > 0) /* what an element leaves unwritten keeps its value */
        memcpy(arena + span->out_offset, task->out + (range->first - task->base) * map->out_size,
               range->count * map->out_size);
}

/* The outputs of the first `count` elements, and the failures and exceptions of which the result tells. */
static void take(struct task *task, const struct fm_wire_worker_span *span,
                 const struct fm_wire_worker_result *result)
{
    const struct fm_process_map *map = task->map;
    const size_t count = (size_t)result->computed;
    if (count > 0 && map->out_size > 0)
        memcpy(task->out + (span->first - task->base) * map->out_size,
               task->worker->arena.bytes + span->out_offset, count * map->out_size);
    if (result->raised != 0)
        fm_base_fenv_raise(result->raised);
    size_t unlisted = (size_t)result->failed;
    for (uint32_t i = 0; i < result->listed; i++) {
        const struct fm_wire_worker_failure *listed = &result->failures[i];
        struct fm_process_failure failure = {
            .first = (size_t)listed->first, .count = (size_t)listed->count, .code = listed->code};
        unlisted -= failure.count;
        if (i + 1 == result->listed) /* the last stands for those that are not listed */
            failure.count += unlisted;
        report(task, &failure);
    }
}

/* ---- Losses ---- */

static bool knows(const struct task *task, const struct fm_process_answer *answer)
{
    return answer->index != FM_WIRE_WORKER_NONE && task->map->load.kind == FM_WIRE_WORKER_FUNC;
}

/* An attempt at one element has ended its process. */
static void lose_element(struct task *task, size_t index, int lost, bool proven,
                         const struct fm_process_answer *answer)
{
    lost += proven || answer->ending == FASTMAP_ENDING_TIMEOUT;
    if (lost <= task->map->retries) {
        push(task, index, 1, lost);
        return;
    }
    const struct fm_process_failure failure = {
        .first = index, .count = 1, .code = answer->status, .signal = answer->ending};
    report(task, &failure);
}

static void lose(struct task *task, const struct range *range, bool fresh,
                 const struct fm_process_answer *answer)
{
    if (!knows(task, answer) && range->count > 1) {
        const size_t half = range->count / 2;
        push(task, range->first + half, range->count - half, 0);
        push(task, range->first, half, 0);
        return;
    }
    const size_t index = knows(task, answer) ? (size_t)answer->index : range->first;
    const size_t done = index - range->first;
    push(task, index + 1, range->count - done - 1, 0);
    lose_element(task, index, done == 0 ? range->lost : 0, fresh && done == 0, answer);
}

/* The map cannot be computed. */
static void give_up(struct task *task, size_t count, int code, const char *sentence)
{
    pthread_mutex_lock(&task->map->mutex);
    if (task->map->sentence[0] == '\0')
        (void)snprintf(task->map->sentence, sizeof task->map->sentence, "%s", sentence);
    pthread_mutex_unlock(&task->map->mutex);
    task->tally.code = code;
    task->tally.skipped += count;
    task->stops = true;
}

/* ---- The span ---- */

static void compute(struct task *task, const struct range *range)
{
    struct fm_wire_worker_span span;
    struct fm_process_answer answer = {0};
    const int error =
        fm_process_worker_ready(task->worker, task->map, bytes_of(task, range->count));
    if (error != 0) {
        give_up(task, range->count, error, fm_base_last_error());
        return;
    }
    const bool fresh = task->worker->fresh;
    place(task, range, &span);
    fm_process_worker_compute(task->worker, task->map, &span, &answer);
    if (answer.outcome == FM_PROCESS_REFUSED) {
        give_up(task, range->count, FASTMAP_ERR_PROGRAM, answer.sentence);
        return;
    }
    if (answer.outcome == FM_PROCESS_DONE || knows(task, &answer))
        take(task, &span, &answer.result);
    if (answer.outcome == FM_PROCESS_LOST)
        lose(task, range, fresh, &answer);
    else
        task->tally.skipped += range->count - (size_t)answer.result.computed;
}

struct fm_process_tally fm_process_span(struct fm_process_map *map,
                                        const struct fm_process_ports *ports, const void *in,
                                        void *out, size_t first, size_t count)
{
    struct task task;
    task.map = map;
    task.ports = ports;
    task.worker = fm_process_worker_mine();
    task.in = in;
    task.out = out;
    task.base = first;
    task.in_place = in != NULL && in == out;
    task.left = 0;
    task.stops = false;
    task.tally = (struct fm_process_tally){0};
    push(&task, first, count, 0);
    if (task.worker == NULL)
        give_up(&task, 0, FASTMAP_ERR_MEMORY, "no memory for a worker's bookkeeping: free some");
    else
        atomic_store(&task.worker->busy, true);
    while (task.left > 0) {
        const struct range range = task.ranges[--task.left];
        if (task.stops)
            task.tally.skipped += range.count;
        else
            compute(&task, &range);
    }
    if (task.worker != NULL)
        atomic_store(&task.worker->busy, false);
    return task.tally;
}
