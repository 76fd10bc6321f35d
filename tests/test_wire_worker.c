/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames between a host and its worker: their bytes, and what is refused. */
#include <string.h>

#include "test.h"
#include "wire/worker.h"

static uint8_t bytes[FM_WIRE_WORKER_MOST];

static size_t encoded(const struct fm_wire_worker_frame *frame)
{
    memset(bytes, 0xee, sizeof bytes);
    return fm_wire_worker_encode(frame, bytes, sizeof bytes);
}

static const char *decoded(size_t size, struct fm_wire_worker_frame *frame)
{
    const char *wrong = fm_wire_worker_decode(bytes, size, frame);
    return wrong != NULL ? wrong : "";
}

static struct fm_wire_worker_frame a_load(const char *path)
{
    return (struct fm_wire_worker_frame){
        .type = FM_WIRE_WORKER_LOAD,
        .sequence = 3,
        .is.load = {.map = 7,
                    .offset = 0x1234,
                    .in_size = 8,
                    .out_size = 16,
                    .shared_size = 100,
                    .kind = FM_WIRE_WORKER_BLOCK,
                    .flags = FM_WIRE_WORKER_STOP,
                    .fenv_bytes = 6,
                    .fenv = {0x80, 0x1f, 0, 0, 0x7f, 0x03},
                    .path = path},
    };
}

static struct fm_wire_worker_frame a_result(void)
{
    return (struct fm_wire_worker_frame){
        .type = FM_WIRE_WORKER_RESULT,
        .sequence = 5,
        .is.result = {.span = 9,
                      .computed = 10,
                      .failed = 3,
                      .busy_ns = 1000,
                      .raised = 0x20,
                      .listed = 2,
                      .failures = {{.first = 101, .count = 1, .code = -4},
                                   {.first = 104, .count = 2, .code = 77}}},
    };
}

static const struct fm_wire_worker_span span = {.span = 9, .map = 7, .first = 100, .count = 10};

/* ---- Bytes ---- */

TEST(a_span_is_these_bytes)
{
    const struct fm_wire_worker_frame frame = {
        .type = FM_WIRE_WORKER_SPAN,
        .sequence = 0x01020304,
        .is.span = {.span = 1,
                    .map = 2,
                    .first = 3,
                    .count = 4,
                    .in_offset = 0x1000,
                    .out_offset = 0x2000},
    };
    const uint8_t golden[] = {
        'F', 'A',  'M', 'W', 1, 0, 4, 0, 4, 3,    2, 1, 48, 0, 0, 0, /* header */
        1,   0,    0,   0,   0, 0, 0, 0, 2, 0,    0, 0, 0,  0, 0, 0,
        3,   0,    0,   0,   0, 0, 0, 0, /* span, map, first */
        4,   0,    0,   0,   0, 0, 0, 0, 0, 0x10, 0, 0, 0,  0, 0, 0,
        0,   0x20, 0,   0,   0, 0, 0, 0};
    CHECK_EQ_SIZE(encoded(&frame), sizeof golden);
    CHECK_EQ_MEM(bytes, golden, sizeof golden);
}

TEST(an_error_is_these_bytes)
{
    const struct fm_wire_worker_frame frame = {
        .type = FM_WIRE_WORKER_ERROR,
        .sequence = 1,
        .is.error =
            {.span = 2, .index = 3, .end = FM_WIRE_WORKER_SIGNAL, .value = 11, .sentence = "hm"},
    };
    const uint8_t golden[] = {'F', 'A', 'M', 'W', 1, 0, 6,  0, 1, 0, 0,   0,   27, 0, 0,
                              0,   2,   0,   0,   0, 0, 0,  0, 0, 3, 0,   0,   0,  0, 0,
                              0,   0,   1,   0,   0, 0, 11, 0, 0, 0, 'h', 'm', 0};
    CHECK_EQ_SIZE(encoded(&frame), sizeof golden);
    CHECK_EQ_MEM(bytes, golden, sizeof golden);
}

TEST(every_field_of_a_load_arrives)
{
    const struct fm_wire_worker_frame sent = a_load("/lib/module.so");
    struct fm_wire_worker_frame got;
    CHECK_EQ_STR(decoded(encoded(&sent), &got), "");
    CHECK_EQ_INT(got.type, FM_WIRE_WORKER_LOAD);
    CHECK_EQ_SIZE(got.sequence, 3);
    CHECK_EQ_STR(got.is.load.path, "/lib/module.so");
    got.is.load.path = sent.is.load.path;
    CHECK_EQ_MEM(&got.is.load, &sent.is.load, sizeof sent.is.load);
}

TEST(every_failure_of_a_result_arrives)
{
    const struct fm_wire_worker_frame sent = a_result();
    struct fm_wire_worker_frame got;
    CHECK_EQ_STR(decoded(encoded(&sent), &got), "");
    CHECK_EQ_SIZE(got.is.result.computed, 10);
    CHECK_EQ_SIZE(got.is.result.busy_ns, 1000);
    CHECK_EQ_SIZE(got.is.result.raised, 0x20);
    CHECK_EQ_SIZE(got.is.result.listed, 2);
    CHECK_EQ_SIZE(got.is.result.failures[1].first, 104);
    CHECK_EQ_SIZE(got.is.result.failures[1].count, 2);
    CHECK_EQ_INT(got.is.result.failures[0].code, -4);
}

TEST(the_longest_frames_fit)
{
    static char path[FM_WIRE_WORKER_PATH + 1];
    struct fm_wire_worker_frame got;
    memset(path, 'x', FM_WIRE_WORKER_PATH - 1);
    struct fm_wire_worker_frame load = a_load(path);
    CHECK_EQ_STR(decoded(encoded(&load), &got), "");
    path[FM_WIRE_WORKER_PATH - 1] = 'x';
    CHECK_EQ_SIZE(encoded(&load), 0);
    struct fm_wire_worker_frame result = a_result();
    result.is.result.listed = FM_WIRE_WORKER_FAILURES;
    CHECK_EQ_STR(decoded(encoded(&result), &got), "");
    result.is.result.listed++;
    CHECK_EQ_SIZE(encoded(&result), 0);
}

TEST(what_cannot_be_said_is_not_written)
{
    struct fm_wire_worker_frame frame = a_load(NULL);
    CHECK_EQ_SIZE(encoded(&frame), 0);
    frame.type = (enum fm_wire_worker_type)0;
    CHECK_EQ_SIZE(encoded(&frame), 0);
    frame = a_load("");
    CHECK_EQ_SIZE(fm_wire_worker_encode(&frame, bytes, 40), 0);
    const struct fm_wire_worker_frame bye = {.type = FM_WIRE_WORKER_BYE};
    CHECK_EQ_SIZE(encoded(&bye), FM_WIRE_WORKER_HEADER);
    CHECK_EQ_SIZE(bytes[FM_WIRE_WORKER_HEADER], 0xee);
}

/* ---- What is no frame ---- */

TEST(every_truncation_and_extension_is_refused)
{
    const struct fm_wire_worker_frame frames[] = {
        a_load("/m"), a_result(), {.type = FM_WIRE_WORKER_HELLO}};
    struct fm_wire_worker_frame got;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        const size_t size = encoded(&frames[i]);
        for (size_t cut = 0; cut < size; cut++)
            CHECK_TRUE(*decoded(cut, &got) != '\0', "%zu of %zu bytes of frame %zu", cut, size, i);
        CHECK_CONTAINS(decoded(size + 1, &got), "length");
    }
}

/* The value of one byte of a frame, changed, and the reason given. */
static void refused(const struct fm_wire_worker_frame *frame, size_t at, uint8_t value,
                    const char *reason)
{
    struct fm_wire_worker_frame got;
    const size_t size = encoded(frame);
    bytes[at] = value;
    CHECK_CONTAINS(decoded(size, &got), reason);
}

TEST(a_wrong_header_is_refused_by_name)
{
    const struct fm_wire_worker_frame frame = a_load("/m");
    refused(&frame, 0, 'X', "magic");
    refused(&frame, 4, 2, "version");
    refused(&frame, 6, 0, "type");
    refused(&frame, 6, FM_WIRE_WORKER_TYPES, "type");
    refused(&frame, 7, 1, "type");
    refused(&frame, 12, 1, "length");
}

TEST(wrong_contents_are_refused_by_name)
{
    const size_t kind_at = FM_WIRE_WORKER_HEADER + 5 * 8;
    const struct fm_wire_worker_frame load = a_load("/m");
    refused(&load, kind_at, 2, "kind");
    refused(&load, kind_at + 4, 0xff, "flags");
    refused(&load, kind_at + 8, FM_WIRE_WORKER_FENV + 1, "floating-point");
    const size_t size = encoded(&load);
    refused(&load, size - 1, 'x', "text");
    refused(&load, size - 2, 0, "text");
    const struct fm_wire_worker_frame result = a_result();
    refused(&result, FM_WIRE_WORKER_HEADER + 36, 1, "length");
    refused(&result, FM_WIRE_WORKER_HEADER + 39, 0xff, "length");
}

TEST(elements_with_trails_are_not_smaller_than_these_and_not_of_a_block)
{
    const size_t sizes_at = FM_WIRE_WORKER_HEADER + 2 * 8, kind_at = FM_WIRE_WORKER_HEADER + 5 * 8;
    struct fm_wire_worker_frame got, load = a_load("/m");
    load.is.load.kind = FM_WIRE_WORKER_FUNC;
    load.is.load.flags = FM_WIRE_WORKER_STOP | FM_WIRE_WORKER_TRAIL;
    load.is.load.in_size = load.is.load.out_size = FM_WIRE_WORKER_TRAIL_BYTES;
    CHECK_EQ_STR(decoded(encoded(&load), &got), "");
    CHECK_EQ_INT(got.is.load.flags, FM_WIRE_WORKER_STOP | FM_WIRE_WORKER_TRAIL);
    refused(&load, sizes_at, FM_WIRE_WORKER_TRAIL_BYTES - 1, "trails");
    refused(&load, sizes_at + 8, 0, "trails");
    refused(&load, kind_at, FM_WIRE_WORKER_BLOCK, "trails");
    refused(&load, kind_at + 4, 2 * FM_WIRE_WORKER_TRAIL, "flags");
}

TEST(elements_with_trails_are_aligned_as_without)
{
    static const struct {
        unsigned bytes, with_trail;
    } rows[] = {{0, 16},  {1, 17},  {4, 20},   {8, 24},   {12, 28},   {16, 32},     {24, 40},
                {32, 64}, {48, 64}, {64, 128}, {96, 128}, {128, 192}, {4096, 4160}, {4100, 4116}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_EQ_SIZE(fm_wire_worker_trail_size(rows[i].bytes), rows[i].with_trail);
}

TEST(a_trail_is_these_bytes)
{
    const uint8_t golden[FM_WIRE_WORKER_TRAIL_BYTES] = {8, 7, 6,    5,    4,    3,
                                                        2, 1, 0xfe, 0xff, 0xff, 0xff};
    memset(bytes, 0xee, sizeof bytes);
    fm_wire_worker_trail_put(bytes, 0x0102030405060708, -2);
    CHECK_EQ_MEM(bytes, golden, sizeof golden);
    CHECK_EQ_SIZE(bytes[sizeof golden], 0xee);
    CHECK_EQ_SIZE(fm_wire_worker_trail_get(bytes), 0x0102030405060708);
    CHECK_EQ_INT(fm_wire_worker_trail_code(bytes), -2);
}

TEST(a_refused_frame_leaves_the_struct_untouched)
{
    struct fm_wire_worker_frame got;
    memset(&got, 0x55, sizeof got);
    const struct fm_wire_worker_frame before = got;
    const struct fm_wire_worker_frame load = a_load("/m");
    const size_t size = encoded(&load);
    bytes[size - 1] = 'x';
    CHECK_TRUE(*decoded(size, &got) != '\0', "accepted");
    CHECK_EQ_MEM(&got, &before, sizeof got);
}

/* ---- What is no answer ---- */

static const char *dispute(const struct fm_wire_worker_frame *answer, bool stops)
{
    const char *wrong = fm_wire_worker_disputes(&span, stops, answer);
    return wrong != NULL ? wrong : "";
}

TEST(a_true_result_is_believed)
{
    const struct fm_wire_worker_frame result = a_result();
    CHECK_EQ_STR(dispute(&result, false), "");
}

TEST(a_result_that_cannot_be_is_disputed)
{
    struct fm_wire_worker_frame r = a_result();
    r.is.result.span = 8;
    CHECK_CONTAINS(dispute(&r, false), "another span");
    r = a_result();
    r.is.result.computed = 11;
    CHECK_CONTAINS(dispute(&r, false), "more elements");
    r.is.result.computed = 9;
    CHECK_CONTAINS(dispute(&r, false), "missing");
    CHECK_EQ_STR(dispute(&r, true), "");
    r = a_result();
    r.is.result.failures[1].first = 101; /* does not ascend */
    CHECK_CONTAINS(dispute(&r, false), "failures");
    r = a_result();
    r.is.result.failures[1].first = 110; /* behind the span */
    CHECK_CONTAINS(dispute(&r, false), "failures");
    r = a_result();
    r.is.result.failures[1].count = UINT64_MAX;
    CHECK_CONTAINS(dispute(&r, false), "failures");
    r = a_result();
    r.is.result.failed = 4; /* one is not listed though there is room */
    CHECK_CONTAINS(dispute(&r, false), "failures");
    r = a_result();
    r.is.result.failures[0].code = 0;
    CHECK_CONTAINS(dispute(&r, false), "failures");
}

TEST(an_error_that_cannot_be_is_disputed)
{
    struct fm_wire_worker_frame e = {.type = FM_WIRE_WORKER_ERROR,
                                     .is.error = {.span = 9, .index = 109, .sentence = ""}};
    CHECK_EQ_STR(dispute(&e, false), "");
    e.is.error.index = 110;
    CHECK_CONTAINS(dispute(&e, false), "not in the span");
    e.is.error.index = FM_WIRE_WORKER_NONE;
    CHECK_EQ_STR(dispute(&e, false), "");
    e.is.error.span = 0;
    CHECK_CONTAINS(dispute(&e, false), "another span");
    e.type = FM_WIRE_WORKER_HELLO;
    CHECK_CONTAINS(dispute(&e, false), "no answer");
}

TEST(a_span_that_leaves_the_arena_is_refused)
{
    const struct fm_wire_worker_load load = {.map = 7, .in_size = 8, .out_size = 16};
    struct fm_wire_worker_span s = span;
    const uint64_t arena = 8192;
    s.in_offset = 4096;
    s.out_offset = 4096 + 80;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) == NULL, "%s",
               fm_wire_worker_misfits(&s, &load, arena));
    s.out_offset = 8192 - 160 + 16;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "outputs behind the end");
    s.out_offset = 4096 + 8;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "outputs not aligned");
    s.out_offset = 0;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "outputs in the control page");
    s.out_offset = 4096 + 80;
    s.count = UINT64_MAX / 8;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "a product that overflows");
    s.count = 10;
    s.first = UINT64_MAX - 5;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "indices that overflow");
    s = span;
    s.map = 8;
    CHECK_TRUE(fm_wire_worker_misfits(&s, &load, arena) != NULL, "another map");
}
