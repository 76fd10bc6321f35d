/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker says. Each frame is taken for what it is in the worker's state, and nothing else: the first
 * that cannot be true is the end of it. Its output is read so that it need not wait, and dropped but for
 * the beginning.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool_inside.h"

#define GRACE_NS \
    ((uint64_t)2000000000) /* for a worker that says it dies, or has hung up, to be dead */
#define OUTPUT_MOST ((uint64_t)65536) /* bytes that a worker may print in its life */

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
    fmd_worker_set_state(worker, FMD_WORKER_IDLE);
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
    fmd_worker_finish(worker, &found, fmd_worker_bill(worker));
    fmd_worker_set_state(worker, FMD_WORKER_IDLE);
    if (fmd_sandbox_cpu_ns(&worker->process) > FMD_WORKER_LIFE_CPU_S * UINT64_C(1000000000))
        fmd_worker_end(worker, FMD_SPAN_CLOSED, "it is replaced by a new one");
    return NULL;
}

/* It dies, and will be judged when it has: what it says is kept. */
static void take_last_words(struct fmd_worker *worker, const struct fm_wire_worker_error *error)
{
    fmd_worker_set_verdict(worker, FMD_SPAN_DIED, error->sentence);
    worker->verdict.crash_index = error->index;
    worker->verdict.crash_signal = error->end == FM_WIRE_WORKER_SIGNAL ? error->value : 0;
    worker->verdict.crash_status = error->end == FM_WIRE_WORKER_EXIT ? error->value : 0;
    worker->doom_ns = fm_base_now_ns() + GRACE_NS;
    worker->check_ns = 0;
}

static const char *take_error(struct fmd_worker *worker, const struct fm_wire_worker_frame *frame)
{
    const struct fm_wire_worker_error *error = &frame->is.error;
    if (error->end != FM_WIRE_WORKER_REFUSED) {
        take_last_words(worker, error);
        return NULL;
    }
    struct fmd_span_result found = {.status = FMD_SPAN_REFUSED, .crash_index = FM_WIRE_WORKER_NONE};
    fmd_worker_set_sentence(&found, error->sentence);
    fmd_worker_finish(worker, &found, fmd_worker_bill(worker));
    fmd_worker_set_state(worker, FMD_WORKER_IDLE);
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
        fmd_worker_end(worker, FMD_SPAN_DIED, "a thread of its own has crashed");
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
    fmd_worker_forget_fd(worker->map->pool, worker->channel.fd);
    worker->hung_up = true;
    worker->doom_ns = fm_base_now_ns() + GRACE_NS;
    worker->check_ns = 0;
    if (worker->state == FMD_WORKER_IDLE) /* it can be given nothing more */
        fmd_worker_end(worker, FMD_SPAN_NONSENSE, "the worker has closed its channel");
}

/* False: it is of no more use. */
bool fmd_worker_listen(struct fmd_worker *worker)
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
            fmd_worker_end(worker, FMD_SPAN_NONSENSE, wrong);
        }
    }
    return false;
}

/* The beginning is kept; when it is too long the pipe is closed, and printing fails in the worker. */
void fmd_worker_read_output(struct fmd_worker *worker)
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
            fmd_worker_forget_fd(worker->map->pool, worker->output_fd);
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
