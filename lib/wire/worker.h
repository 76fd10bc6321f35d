/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a host and its worker say to each other, as bytes. docs/WORKER.md tells the whole conversation; here
 * is what a frame holds. Pure functions: no descriptors, no clock, no memory of their own.
 *
 * A decoded frame is checked as far as it can be by itself: magic, version, type, exact length, texts that
 * end, counts that fit. Whether it is the right frame now is for the receiver to say, with the help of
 * fm_wire_worker_disputes(): the host believes nothing of a worker, which runs somebody's native code.
 */
#ifndef FM_WIRE_WORKER_H
#define FM_WIRE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_WIRE_WORKER_VERSION 1
#define FM_WIRE_WORKER_HEADER 16    /* bytes */
#define FM_WIRE_WORKER_MOST 8192    /* bytes of a frame at most */
#define FM_WIRE_WORKER_PATH 4096    /* bytes of a module's path at most, the final NUL included */
#define FM_WIRE_WORKER_SENTENCE 512 /* bytes of a sentence at most, the final NUL included */
#define FM_WIRE_WORKER_FENV 32      /* bytes of a floating-point environment at most */
#define FM_WIRE_WORKER_FAILURES 64  /* failures that a RESULT lists at most */
#define FM_WIRE_WORKER_CPUS 128     /* bytes of a mask of processors: 1024 of them */
#define FM_WIRE_WORKER_NONE UINT64_MAX /* no element */

enum fm_wire_worker_type {
    FM_WIRE_WORKER_HELLO = 1,
    FM_WIRE_WORKER_LOAD,
    FM_WIRE_WORKER_ARENA,
    FM_WIRE_WORKER_SPAN,
    FM_WIRE_WORKER_RESULT,
    FM_WIRE_WORKER_ERROR,
    FM_WIRE_WORKER_BYE,
    FM_WIRE_WORKER_TYPES
};

/* Worker to host, once: it is there. */
struct fm_wire_worker_hello {
    uint32_t pid; /* as the worker sees it */
    uint32_t page_bytes;
};

enum fm_wire_worker_kind { FM_WIRE_WORKER_FUNC = 0, FM_WIRE_WORKER_BLOCK = 1 };

/* Flags of LOAD. */
#define FM_WIRE_WORKER_STOP 1u  /* an element that fails ends its span */
#define FM_WIRE_WORKER_TRAIL 2u /* elements have trails: of functions of one element only */

/* With TRAIL, spans hold any elements in any order, and the last so many bytes of each in_size and each
   out_size are a trail. That of an input is its element's index, as u64; that of an output the nanoseconds
   that it took, as u64, and what its function returned, as i32. Then zeros. */
#define FM_WIRE_WORKER_TRAIL_BYTES 16

/* Host to worker: a function and what its elements look like. With shared_size > 0 it carries a descriptor
   of that many bytes of shared memory. It replaces the map that was loaded before. */
struct fm_wire_worker_load {
    uint64_t map;    /* a name for it */
    uint64_t offset; /* of the function in its module */
    uint64_t in_size;
    uint64_t out_size;
    uint64_t shared_size;
    uint32_t kind;
    uint32_t flags;
    uint32_t fenv_bytes; /* 0: as the worker is */
    uint8_t
        fenv[FM_WIRE_WORKER_FENV]; /* struct fm_base_fenv of the architecture, its padding zero */
    const char *path;              /* of the module; "": the executable */
};

/* Host to worker: shared memory for inputs and outputs, with its descriptor. It replaces the one before. */
struct fm_wire_worker_arena {
    uint64_t bytes;
};

/* Host to worker: compute elements [first, first + count) of the map. Offsets are into the arena; in_offset
   is without meaning where in_size is 0, likewise out_offset. A map in place has both the same. */
struct fm_wire_worker_span {
    uint64_t span; /* a name for it */
    uint64_t map;
    uint64_t first; /* with trails only what answers and the control page count from */
    uint64_t count;
    uint64_t in_offset;
    uint64_t out_offset;
};

struct fm_wire_worker_failure {
    uint64_t first;
    uint64_t count; /* 1, or the length of a block that failed */
    int32_t code;   /* what the function returned */
};

/* Worker to host: the span's outputs are in place. */
struct fm_wire_worker_result {
    uint64_t span;
    uint64_t
        computed; /* elements from the first on, failed ones included; less than the span's count only
                          where the map stops at a failure */
    uint64_t failed; /* of these */
    uint64_t busy_ns;
    uint32_t raised; /* floating-point exceptions, in the architecture's own bits */
    uint32_t listed; /* entries of failures: the first ones, ascending */
    struct fm_wire_worker_failure failures[FM_WIRE_WORKER_FAILURES];
};

enum fm_wire_worker_end {
    FM_WIRE_WORKER_REFUSED = 0, /* value: nothing. It could not do as it was told; it goes on */
    FM_WIRE_WORKER_SIGNAL = 1,  /* value: the signal that ends it */
    FM_WIRE_WORKER_EXIT = 2     /* value: the status with which an element called exit() */
};

/* Worker to host: why there will be no RESULT. After SIGNAL and EXIT the worker is gone. */
struct fm_wire_worker_error {
    uint64_t span;  /* 0: none */
    uint64_t index; /* the element that did it, or the first of its block; NONE: none */
    uint32_t end;
    int32_t value;
    const char *sentence;
};

struct fm_wire_worker_frame {
    enum fm_wire_worker_type type;
    uint32_t sequence; /* each side counts its own frames from 0 */
    union {
        struct fm_wire_worker_hello hello;
        struct fm_wire_worker_load load;
        struct fm_wire_worker_arena arena;
        struct fm_wire_worker_span span;
        struct fm_wire_worker_result result;
        struct fm_wire_worker_error error;
    } is;
};

/* Writes the frame. Returns its bytes; 0: it cannot be said (a text is too long or NULL, a count too large,
   an unknown type) or `room` is too small. */
size_t fm_wire_worker_encode(const struct fm_wire_worker_frame *frame, uint8_t *bytes, size_t room);

/* Reads a frame that fills `size` bytes exactly. NULL: it is sound, and its texts point into `bytes`; else
   what is wrong with it, and *frame is untouched. */
const char *fm_wire_worker_decode(const uint8_t *bytes, size_t size,
                                  struct fm_wire_worker_frame *frame);

/* The in_size, or out_size, of elements of so many bytes with trails: there may be more bytes in between, so
   that elements in a row are aligned as they were without, up to a cache line. */
uint64_t fm_wire_worker_trail_size(uint64_t bytes);

/* What a trail holds; the code of an input's is 0. */
void fm_wire_worker_trail_put(uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES], uint64_t value, int code);
uint64_t fm_wire_worker_trail_get(const uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES]);
int fm_wire_worker_trail_code(const uint8_t trail[FM_WIRE_WORKER_TRAIL_BYTES]);

/* For the host: what a RESULT or ERROR claims that cannot be true of the span it was asked for; NULL: it can
   be. `stops`: the map was loaded with STOP. */
const char *fm_wire_worker_disputes(const struct fm_wire_worker_span *span, bool stops,
                                    const struct fm_wire_worker_frame *answer);

/* For the host: whether the listed failures ascend, lie in the `computed` first elements of the span, and are
   all of the `failed` ones, or as many of them as can be listed. */
bool fm_wire_worker_are_plausible(const struct fm_wire_worker_span *span, uint64_t computed,
                                  uint64_t failed, const struct fm_wire_worker_failure *failures,
                                  uint64_t listed);

/* For the worker: what is wrong with a span for a map and an arena of so many bytes; NULL: nothing. */
const char *fm_wire_worker_misfits(const struct fm_wire_worker_span *span,
                                   const struct fm_wire_worker_load *load, uint64_t arena_bytes);

/*
 * The first bytes of the arena, written by the worker (but the last field) and read by the host when the
 * worker has gone without a word, or to see whether it moves. The host copies what it looks at.
 */
#define FM_WIRE_WORKER_CONTROL 4096 /* bytes; inputs and outputs begin behind it */

struct fm_wire_worker_control {
    _Atomic uint64_t span;   /* being computed; 0: none */
    _Atomic uint64_t index;  /* element being computed, or the first of its block; NONE: none */
    _Atomic uint64_t begun;  /* elements begun since the worker started: it grows with each */
    _Atomic uint64_t failed; /* elements of the span that failed so far, and the first of them */
    _Atomic uint64_t listed;
    struct fm_wire_worker_failure failures[FM_WIRE_WORKER_FAILURES];
    _Atomic uint64_t ended_on; /* the processor on which the last span ended */
    uint8_t
        cpus[FM_WIRE_WORKER_CPUS]; /* by the host: where the worker may run; 0: where it may now */
};

#endif
