/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each frame is a header, fixed fields and a tail. The fields are rows of a table that says where they lie in
 * the struct and how wide they are on the wire, in the order of the wire; one loop writes them and one reads
 * them. The tail is a text with its NUL, a list of failures, or nothing. docs/WORKER.md has the same as
 * pictures.
 */
#include "wire/worker.h"

#include <string.h>

#include "wire/bytes.h"

_Static_assert(sizeof(struct fm_wire_worker_control) <= FM_WIRE_WORKER_CONTROL, "it is a page");

#define MAGIC 0x574d4146u /* "FAMW" */
#define FAILURE_BYTES 20
#define ALIGNED_MOST 64u /* a power of two */

struct field {
    size_t at;    /* in the struct */
    size_t width; /* bytes, there and on the wire */
};

#define FIELD(of, name)                                         \
    {                                                           \
        offsetof(struct fm_wire_worker_##of, name),             \
            sizeof(((struct fm_wire_worker_##of *)NULL)->name), \
    }

enum tail { NO_TAIL, TEXT, FAILURES };

enum { FIELDS_MOST = 9 };

struct layout {
    struct field fields[FIELDS_MOST]; /* until width 0 */
    enum tail tail;
    size_t text_at;   /* of a TEXT: its pointer in the struct */
    size_t text_most; /* and its bytes at most, the NUL included */
};

static const struct layout layouts[FM_WIRE_WORKER_TYPES] = {
    [FM_WIRE_WORKER_HELLO] = {.fields = {FIELD(hello, pid), FIELD(hello, page_bytes)}},
    [FM_WIRE_WORKER_LOAD] = {.fields = {FIELD(load, map), FIELD(load, offset), FIELD(load, in_size),
                                        FIELD(load, out_size), FIELD(load, shared_size),
                                        FIELD(load, kind), FIELD(load, flags),
                                        FIELD(load, fenv_bytes), FIELD(load, fenv)},
                             .tail = TEXT,
                             .text_at = offsetof(struct fm_wire_worker_load, path),
                             .text_most = FM_WIRE_WORKER_PATH},
    [FM_WIRE_WORKER_ARENA] = {.fields = {FIELD(arena, bytes)}},
    [FM_WIRE_WORKER_SPAN] = {.fields = {FIELD(span, span), FIELD(span, map), FIELD(span, first),
                                        FIELD(span, count), FIELD(span, in_offset),
                                        FIELD(span, out_offset)}},
    [FM_WIRE_WORKER_RESULT] = {.fields = {FIELD(result, span), FIELD(result, computed),
                                          FIELD(result, failed), FIELD(result, busy_ns),
                                          FIELD(result, raised), FIELD(result, listed)},
                               .tail = FAILURES},
    [FM_WIRE_WORKER_ERROR] = {.fields = {FIELD(error, span), FIELD(error, index), FIELD(error, end),
                                         FIELD(error, value)},
                              .tail = TEXT,
                              .text_at = offsetof(struct fm_wire_worker_error, sentence),
                              .text_most = FM_WIRE_WORKER_SENTENCE},
    [FM_WIRE_WORKER_BYE] = {.tail = NO_TAIL},
};

/* ---- A field: an integer, or bytes as they are ---- */

static void put_field(uint8_t *to, const uint8_t *from, size_t width)
{
    uint32_t narrow;
    uint64_t wide;
    switch (width) {
    case sizeof narrow:
        memcpy(&narrow, from, sizeof narrow);
        fm_wire_put(to, narrow, sizeof narrow);
        break;
    case sizeof wide:
        memcpy(&wide, from, sizeof wide);
        fm_wire_put(to, wide, sizeof wide);
        break;
    default: memcpy(to, from, width); break;
    }
}

static void get_field(uint8_t *to, const uint8_t *from, size_t width)
{
    const uint32_t narrow = (uint32_t)fm_wire_get(from, sizeof narrow);
    const uint64_t wide = width == sizeof wide ? fm_wire_get(from, sizeof wide) : 0;
    switch (width) {
    case sizeof narrow: memcpy(to, &narrow, sizeof narrow); break;
    case sizeof wide: memcpy(to, &wide, sizeof wide); break;
    default: memcpy(to, from, width); break;
    }
}

static size_t fixed_bytes(const struct layout *layout)
{
    size_t bytes = 0;
    for (size_t i = 0; i < FIELDS_MOST && layout->fields[i].width > 0; i++)
        bytes += layout->fields[i].width;
    return bytes;
}

static void put_fields(const struct layout *layout, const void *from, uint8_t *to)
{
    for (size_t i = 0; i < FIELDS_MOST && layout->fields[i].width > 0; i++) {
        const struct field *field = &layout->fields[i];
        put_field(to, (const uint8_t *)from + field->at, field->width);
        to += field->width;
    }
}

static void get_fields(const struct layout *layout, const uint8_t *from, void *to)
{
    for (size_t i = 0; i < FIELDS_MOST && layout->fields[i].width > 0; i++) {
        const struct field *field = &layout->fields[i];
        get_field((uint8_t *)to + field->at, from, field->width);
        from += field->width;
    }
}

/* ---- Failures ---- */

static void put_failures(const struct fm_wire_worker_result *result, uint8_t *to)
{
    for (uint32_t i = 0; i < result->listed; i++, to += FAILURE_BYTES) {
        fm_wire_put(to, result->failures[i].first, 8);
        fm_wire_put(to + 8, result->failures[i].count, 8);
        fm_wire_put(to + 16, (uint32_t)result->failures[i].code, 4);
    }
}

static void get_failures(const uint8_t *from, struct fm_wire_worker_result *result)
{
    for (uint32_t i = 0; i < result->listed; i++, from += FAILURE_BYTES)
        result->failures[i] = (struct fm_wire_worker_failure){
            .first = fm_wire_get(from, 8),
            .count = fm_wire_get(from + 8, 8),
            .code = (int32_t)(uint32_t)fm_wire_get(from + 16, 4),
        };
}

/* ---- Frames ---- */

static const char *text_of(const struct layout *layout, const void *is)
{
    const char *text;
    memcpy(&text, (const char *)is + layout->text_at, sizeof text);
    return text;
}

/* Bytes of the tail, or SIZE_MAX: it cannot be said. */
static size_t tail_bytes(const struct layout *layout, const struct fm_wire_worker_frame *frame)
{
    if (layout->tail == NO_TAIL)
        return 0;
    if (layout->tail == FAILURES) {
        const uint32_t listed = frame->is.result.listed;
        return listed <= FM_WIRE_WORKER_FAILURES ? (size_t)listed * FAILURE_BYTES : SIZE_MAX;
    }
    const char *text = text_of(layout, &frame->is);
    const size_t length = text != NULL ? strnlen(text, layout->text_most) : layout->text_most;
    return length < layout->text_most ? length + 1 : SIZE_MAX;
}

static bool is_type(uint32_t type)
{
    return type >= FM_WIRE_WORKER_HELLO && type < FM_WIRE_WORKER_TYPES;
}

size_t fm_wire_worker_encode(const struct fm_wire_worker_frame *frame, uint8_t *bytes, size_t room)
{
    if (!is_type(frame->type))
        return 0;
    const struct layout *layout = &layouts[frame->type];
    const size_t fixed = FM_WIRE_WORKER_HEADER + fixed_bytes(layout);
    const size_t tail = tail_bytes(layout, frame);
    if (tail == SIZE_MAX || fixed + tail > room)
        return 0;
    fm_wire_put(bytes, MAGIC, 4);
    fm_wire_put(bytes + 4, FM_WIRE_WORKER_VERSION, 2);
    fm_wire_put(bytes + 6, (uint64_t)frame->type, 2);
    fm_wire_put(bytes + 8, frame->sequence, 4);
    fm_wire_put(bytes + 12, fixed + tail - FM_WIRE_WORKER_HEADER, 4);
    put_fields(layout, &frame->is, bytes + FM_WIRE_WORKER_HEADER);
    if (layout->tail == TEXT)
        memcpy(bytes + fixed, text_of(layout, &frame->is), tail);
    else if (layout->tail == FAILURES)
        put_failures(&frame->is.result, bytes + fixed);
    return fixed + tail;
}

static const char *check_header(const uint8_t *bytes, size_t size)
{
    if (size < FM_WIRE_WORKER_HEADER)
        return "it is shorter than a header";
    if (size > FM_WIRE_WORKER_MOST)
        return "it is longer than any frame";
    if (fm_wire_get(bytes, 4) != MAGIC)
        return "it does not begin with the magic number";
    if (fm_wire_get(bytes + 4, 2) != FM_WIRE_WORKER_VERSION)
        return "it is of another version of the protocol";
    if (!is_type((uint32_t)fm_wire_get(bytes + 6, 2)))
        return "its type is unknown";
    if (fm_wire_get(bytes + 12, 4) != size - FM_WIRE_WORKER_HEADER)
        return "its length is not what its header says";
    return NULL;
}

static const char *check_text(const struct layout *layout, const uint8_t *text, size_t bytes)
{
    if (bytes == 0 || bytes > layout->text_most)
        return "its text is missing or too long";
    return memchr(text, 0, bytes) == text + bytes - 1 ? NULL
                                                      : "its text does not end where it should";
}

static const char *check_load(const struct fm_wire_worker_load *load)
{
    if (load->kind > FM_WIRE_WORKER_BLOCK)
        return "its kind of function is unknown";
    if ((load->flags & ~(FM_WIRE_WORKER_STOP | FM_WIRE_WORKER_TRAIL)) != 0)
        return "it has unknown flags";
    if (load->fenv_bytes > FM_WIRE_WORKER_FENV)
        return "its floating-point environment is too long";
    if ((load->flags & FM_WIRE_WORKER_TRAIL) == 0)
        return NULL;
    if (load->kind == FM_WIRE_WORKER_BLOCK)
        return "elements of a block have no trails";
    return load->in_size >= FM_WIRE_WORKER_TRAIL_BYTES &&
                   load->out_size >= FM_WIRE_WORKER_TRAIL_BYTES
               ? NULL
               : "its elements are smaller than their trails";
}

static const char *check_values(const struct fm_wire_worker_frame *frame)
{
    if (frame->type == FM_WIRE_WORKER_LOAD)
        return check_load(&frame->is.load);
    if (frame->type == FM_WIRE_WORKER_ERROR && frame->is.error.end > FM_WIRE_WORKER_EXIT)
        return "it is an end of an unknown kind";
    return NULL;
}

const char *fm_wire_worker_decode(const uint8_t *bytes, size_t size,
                                  struct fm_wire_worker_frame *frame)
{
    const char *wrong = check_header(bytes, size);
    if (wrong != NULL)
        return wrong;
    struct fm_wire_worker_frame found = {
        .type = (enum fm_wire_worker_type)fm_wire_get(bytes + 6, 2),
        .sequence = (uint32_t)fm_wire_get(bytes + 8, 4),
    };
    const struct layout *layout = &layouts[found.type];
    const size_t fixed = FM_WIRE_WORKER_HEADER + fixed_bytes(layout);
    if (size < fixed)
        return "it is shorter than its type";
    get_fields(layout, bytes + FM_WIRE_WORKER_HEADER, &found.is);
    if (layout->tail == TEXT) {
        const char *text = (const char *)bytes + fixed;
        if ((wrong = check_text(layout, bytes + fixed, size - fixed)) != NULL)
            return wrong;
        memcpy((char *)&found.is + layout->text_at, &text, sizeof text);
    } else if (tail_bytes(layout, &found) != size - fixed) {
        return "its length does not fit its type";
    } else if (layout->tail == FAILURES) {
        get_failures(bytes + fixed, &found.is.result);
    }
    if ((wrong = check_values(&found)) != NULL)
        return wrong;
    *frame = found;
    return NULL;
}

/* ---- Trails ---- */

uint64_t fm_wire_worker_trail_size(uint64_t bytes)
{
    const uint64_t most = ALIGNED_MOST;
    const uint64_t by = (bytes | most) & (~(bytes | most) + 1); /* its lowest bit */
    return bytes > 0 ? (bytes + FM_WIRE_WORKER_TRAIL_BYTES + by - 1) / by * by
                     : FM_WIRE_WORKER_TRAIL_BYTES;
}

void fm_wire_worker_trail_put(uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES], uint64_t value, int code)
{
    fm_wire_put(trail, value, 8);
    fm_wire_put(trail + 8, (uint32_t)code, 4);
    fm_wire_put(trail + 12, 0, 4);
}

uint64_t fm_wire_worker_trail_get(const uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES])
{
    return fm_wire_get(trail, 8);
}

int fm_wire_worker_trail_code(const uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES])
{
    return (int32_t)(uint32_t)fm_wire_get(trail + 8, 4);
}

/* ---- What fits what ---- */

bool fm_wire_worker_are_plausible(const struct fm_wire_worker_span *span, uint64_t computed,
                                  uint64_t failed, const struct fm_wire_worker_failure *failures,
                                  uint64_t listed)
{
    uint64_t next = span->first;
    uint64_t left = failed;
    const uint64_t end = span->first + computed;
    if (listed > FM_WIRE_WORKER_FAILURES || failed > computed)
        return false;
    for (uint64_t i = 0; i < listed; i++) {
        const struct fm_wire_worker_failure *failure = &failures[i];
        if (failure->first < next || failure->first >= end || failure->count == 0 ||
            failure->count > end - failure->first || failure->count > left || failure->code == 0)
            return false;
        next = failure->first + failure->count;
        left -= failure->count;
    }
    return left == 0 || listed == FM_WIRE_WORKER_FAILURES;
}

static const char *disputes_result(const struct fm_wire_worker_span *span, bool stops,
                                   const struct fm_wire_worker_result *result)
{
    if (result->span != span->span)
        return "it is the result of another span";
    if (result->computed > span->count || result->failed > result->computed)
        return "it counts more elements than the span has";
    if (result->computed < span->count && !(stops && result->failed > 0))
        return "elements of the span are missing";
    return fm_wire_worker_are_plausible(span, result->computed, result->failed, result->failures,
                                        result->listed)
               ? NULL
               : "its failures cannot be";
}

static const char *disputes_error(const struct fm_wire_worker_span *span,
                                  const struct fm_wire_worker_error *error)
{
    if (error->span != span->span)
        return "it is the end of another span";
    if (error->index != FM_WIRE_WORKER_NONE &&
        (error->index < span->first || error->index - span->first >= span->count))
        return "it names an element that is not in the span";
    return NULL;
}

const char *fm_wire_worker_disputes(const struct fm_wire_worker_span *span, bool stops,
                                    const struct fm_wire_worker_frame *answer)
{
    if (answer->type == FM_WIRE_WORKER_RESULT)
        return disputes_result(span, stops, &answer->is.result);
    if (answer->type == FM_WIRE_WORKER_ERROR)
        return disputes_error(span, &answer->is.error);
    return "it is no answer to a span";
}

/* Whether `count` elements of `size` bytes lie in the arena from `offset` on, aligned for any type. */
static bool lies_in(uint64_t offset, uint64_t size, uint64_t count, uint64_t arena_bytes)
{
    uint64_t bytes;
    if (size == 0)
        return true;
    return !__builtin_mul_overflow(size, count, &bytes) && offset >= FM_WIRE_WORKER_CONTROL &&
           offset % _Alignof(max_align_t) == 0 && offset <= arena_bytes &&
           bytes <= arena_bytes - offset;
}

const char *fm_wire_worker_misfits(const struct fm_wire_worker_span *span,
                                   const struct fm_wire_worker_load *load, uint64_t arena_bytes)
{
    if (span->span == 0)
        return "the span has no name";
    if (span->map != load->map)
        return "the span is of a map that is not loaded";
    if (span->count == 0 || span->count > UINT64_MAX - 1 - span->first)
        return "the span is empty or ends behind the last index";
    if (!lies_in(span->in_offset, load->in_size, span->count, arena_bytes))
        return "the span's inputs do not lie in the arena";
    if (!lies_in(span->out_offset, load->out_size, span->count, arena_bytes))
        return "the span's outputs do not lie in the arena";
    return NULL;
}
