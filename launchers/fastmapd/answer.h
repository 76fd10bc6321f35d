/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers: what a request is told. A call fills one in; the server signs and sends it.
 */
#ifndef FMD_ANSWER_H
#define FMD_ANSWER_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every error of docs/PROTOCOL.md: (word, status). */
#define FMD_ERRORS(X) \
    X(request, 400)   \
    X(signature, 401) \
    X(clock, 401)     \
    X(replay, 401)    \
    X(credit, 402)    \
    X(version, 404)   \
    X(route, 404)     \
    X(program, 404)   \
    X(blob, 404)      \
    X(map, 404)       \
    X(method, 405)    \
    X(missing, 409)   \
    X(cpu, 409)       \
    X(offset, 409)    \
    X(busy, 409)      \
    X(conflict, 409)  \
    X(closed, 410)    \
    X(gone, 410)      \
    X(length, 411)    \
    X(size, 413)      \
    X(encoding, 415)  \
    X(digest, 422)    \
    X(manifest, 422)  \
    X(function, 422)  \
    X(attempts, 429)  \
    X(spans, 429)     \
    X(maps, 429)      \
    X(internal, 500)  \
    X(draining, 503)  \
    X(full, 503)      \
    X(storage, 507)

#define FMD_ERROR_NAME(word, status) FMD_ERR_##word,
enum fmd_error { FMD_ERRORS(FMD_ERROR_NAME) FMD_ERROR_COUNT };
#undef FMD_ERROR_NAME

/* Bytes that several answers may send, and their receipt. */
struct fmd_outcome {
    atomic_uint users;
    char *receipt;
    size_t bytes;
    uint8_t body[];
};

struct fmd_answer {
    unsigned status;             /* 0: none yet */
    json_t *json;                /* or */
    struct fmd_outcome *outcome; /* or */
    char *text;                  /* plain text */
    size_t text_bytes;
    void *packed; /* the outputs in fewer bytes; NULL: they go as they are */
    size_t packed_bytes;
    int64_t rate;    /* above 0: Fastmap-Rate */
    int64_t retry_s; /* above 0: Retry-After */
    bool closes;     /* the connection ends with it */
};

/* Each takes the place of what the answer was. json is taken over; NULL (no memory) becomes an error. */
void fmd_answer_json(struct fmd_answer *answer, unsigned status, json_t *json);
void fmd_answer_outcome(struct fmd_answer *answer, struct fmd_outcome *outcome); /* one user more */
void fmd_answer_error(struct fmd_answer *answer, enum fmd_error error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One more member of a JSON answer; value is taken over. */
void fmd_answer_add(struct fmd_answer *answer, const char *name, json_t *value);

void fmd_answer_clear(struct fmd_answer *answer);

/* A body of so many bytes; NULL: no memory. One user. */
struct fmd_outcome *fmd_outcome_new(size_t bytes);
void fmd_outcome_drop(struct fmd_outcome *outcome);

#endif
