/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The spans that a map has had: by which number, with which inputs, how they ended, and the outcomes of the
 * latest ones. That is what makes a span idempotent. PURE; the caller holds the lock.
 */
#ifndef FMD_SPANS_H
#define FMD_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer.h"

/* What two requests for the same span must have in common. */
struct fmd_span_name {
    uint64_t number; /* below 2^63 */
    uint64_t first, count;
    uint8_t digest[16]; /* of the inputs: the beginning of their SHA-256 */
};

struct fmd_spans;

struct fmd_spans *fmd_spans_new(uint64_t kept_bytes);
void fmd_spans_free(struct fmd_spans *spans);

enum fmd_spans_answer {
    FMD_SPANS_NEW,      /* it is running from now on */
    FMD_SPANS_RUNNING,  /* it is running already */
    FMD_SPANS_KEPT,     /* it is done: *outcome, one user more */
    FMD_SPANS_GONE,     /* it is done, and its outcome is kept no longer */
    FMD_SPANS_CONFLICT, /* the number means another span */
    FMD_SPANS_NO_MEMORY
};
enum fmd_spans_answer fmd_spans_begin(struct fmd_spans *spans, const struct fmd_span_name *name,
                                      struct fmd_outcome **outcome);

/* A running span has ended in nothing: it may be begun again. */
void fmd_spans_forget(struct fmd_spans *spans, uint64_t number);

/* A running span has this outcome, which is kept (one user more) as long as there is room. NULL: it is gone
   already. */
void fmd_spans_end(struct fmd_spans *spans, uint64_t number, struct fmd_outcome *outcome);

/* How many numbers were used. */
size_t fmd_spans_count(const struct fmd_spans *spans);

#endif
