/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decoder of worker frames on arbitrary bytes. It pins that what was accepted is written again as the
 * same bytes, and that no answer passes the host's check that counts more than the span has.
 *
 * By itself: clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Ilib
 * tests/fuzz/fuzz_worker.c lib/wire/worker.c, run with a copy of tests/fuzz/corpus/worker. In `make check`,
 * test_fuzz_replay.c runs it on that corpus.
 */
#include <string.h>

#include "fuzz.h"
#include "wire/worker.h"

const char fuzz_corpus[] = "worker";

static void expect_true(const struct fm_wire_worker_span *span,
                        const struct fm_wire_worker_frame *frame)
{
    if (fm_wire_worker_disputes(span, true, frame) != NULL)
        return;
    if (frame->type == FM_WIRE_WORKER_RESULT) {
        const struct fm_wire_worker_result *result = &frame->is.result;
        fuzz_expect(result->computed <= span->count && result->failed <= result->computed);
        for (uint32_t i = 0; i < result->listed; i++)
            fuzz_expect(result->failures[i].first - span->first < span->count);
    } else {
        fuzz_expect(frame->type == FM_WIRE_WORKER_ERROR);
    }
}

static void expect_loadable(const struct fm_wire_worker_load *load)
{
    fuzz_expect(strlen(load->path) < FM_WIRE_WORKER_PATH);
    if ((load->flags & FM_WIRE_WORKER_TRAIL) != 0)
        fuzz_expect(load->kind == FM_WIRE_WORKER_FUNC &&
                    load->in_size >= FM_WIRE_WORKER_TRAIL_BYTES &&
                    load->out_size >= FM_WIRE_WORKER_TRAIL_BYTES);
}

static void expect_sound(const struct fm_wire_worker_frame *frame)
{
    const struct fm_wire_worker_load load = {.map = 1, .in_size = 8, .out_size = 16};
    /* The span that the frame would be the answer to, if it were right. */
    const struct fm_wire_worker_span span = {
        .span = frame->is.result.span, .map = 1, .first = 100, .count = 50};
    expect_true(&span, frame);
    if (frame->type == FM_WIRE_WORKER_SPAN &&
        fm_wire_worker_misfits(&frame->is.span, &load, 65536) == NULL)
        fuzz_expect(frame->is.span.in_offset + 8 * frame->is.span.count <= 65536);
    if (frame->type == FM_WIRE_WORKER_LOAD)
        expect_loadable(&frame->is.load);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[FM_WIRE_WORKER_MOST];
    struct fm_wire_worker_frame frame;
    uint8_t *bytes = malloc(size > 0 ? size : 1); /* exact, so that a step too far is seen */
    if (bytes == NULL)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    if (fm_wire_worker_decode(bytes, size, &frame) == NULL) {
        fuzz_expect(fm_wire_worker_encode(&frame, again, sizeof again) == size);
        fuzz_expect(memcmp(again, bytes, size) == 0);
        expect_sound(&frame);
    }
    free(bytes);
    return 0;
}
