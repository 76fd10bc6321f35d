/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A call of the protocol: signed, sent, tried again where that is of use, and its answer checked. Several are
 * under way at once. Every call is idempotent, so all may be repeated.
 *
 *     struct fm_cloud_call call = {.method = "GET", .target = "/v1/account", .seconds = 15};
 *     fm_cloud_call_run(line, &call);
 *     if (call.end == FM_CLOUD_GOOD) ... call.json ...
 *     fm_cloud_call_drop(&call);
 */
#ifndef FM_TIER_CLOUD_CALL_H
#define FM_TIER_CLOUD_CALL_H

#include <jansson.h>

#include "service/coding.h"
#include "service/press.h"
#include "service/receipt.h"
#include "tier/cloud/line.h"

enum fm_cloud_end {
    FM_CLOUD_RUNS,        /* not ended yet */
    FM_CLOUD_GOOD,        /* 2xx, and the signature is right */
    FM_CLOUD_REFUSED,     /* an answer of the protocol, or of something else that speaks HTTP */
    FM_CLOUD_UNREACHABLE, /* no answer within the patience */
    FM_CLOUD_LIES,        /* an answer that is not signed with our key, or does not fit the call */
    FM_CLOUD_GIVEN_UP     /* by the caller */
};

#define FM_CLOUD_WORD 16
#define FM_CLOUD_TARGET 192

struct fm_cloud_call {
    /* What is asked. */
    const char *method;
    char target[FM_CLOUD_TARGET];
    const void *body; /* stays the caller's until the end */
    size_t body_bytes;
    bool is_span;      /* its answer is outputs, guarded by a receipt, and may take long to begin */
    size_t most_bytes; /* of a span's outputs */
    size_t out_size;   /* of an element of them */
    double seconds;    /* that an attempt may take */

    /* How it ended. */
    enum fm_cloud_end end;
    long status;
    char word[FM_CLOUD_WORD]; /* of a refusal */
    char why[FM_TIER_CLOUD_WHY];
    json_t *json; /* the answer, of a refusal too; NULL: none */
    uint8_t *answer;
    size_t answer_bytes;
    char receipt[FM_SERVICE_RECEIPT_BYTES]; /* "" without one */
    void *packed;                           /* what is sent in place of the body; NULL: the body */
    size_t packed_bytes;
    double round_trip; /* from the request's end to the answer's begin */
    double connecting; /* before it: the connection, if it was new */

    /* Between call.c, attempt.c and reply.c. */
    struct fm_cloud_call *next;
    struct fm_cloud_line *line;
    CURL *easy; /* NULL: no attempt is under way */
    struct curl_slist *headers;
    char digest[FM_SERVICE_HEX_BYTES];
    char signature[FM_SERVICE_HEX_BYTES]; /* of the request */
    char answer_signature[FM_SERVICE_HEX_BYTES];
    char coding[16]; /* of the answer; "": none */
    char rate[24];   /* of Fastmap-Rate */
    struct fm_service_unpack *unpack;
    size_t answer_room;
    double begun, moved; /* this attempt; when bytes moved last */
    long long bytes_moved;
    double not_before; /* of the next attempt */
    double trouble;    /* since when it fails; 0: it does not */
    unsigned failed, resigned;
    bool answer_is_long, answer_is_garbled, header_is_wrong, arriving, afresh;
};

/* Puts the call on its way; only what is asked is filled in. Its body goes packed where `press` (NULL: never)
   finds that it arrives sooner. False: no memory. */
bool fm_cloud_call_begin(struct fm_cloud_line *line, struct fm_cloud_call *call,
                         struct fm_service_press *press);

/* Bytes of it that the connection carries. */
static inline size_t fm_cloud_call_bytes(const struct fm_cloud_call *call)
{
    return call->packed != NULL ? call->packed_bytes : call->body_bytes;
}

/* Goes on with all calls until one of them ends, the line is woken, the caller gives up, or the time (of
   fm_cloud_now()) has come. */
void fm_cloud_call_drive(struct fm_cloud_line *line, double until);

/* Begins the call and waits for its end; why, word and end tell. */
void fm_cloud_call_run(struct fm_cloud_line *line, struct fm_cloud_call *call);

/* Stops it where it still runs, and frees what it has. */
void fm_cloud_call_drop(struct fm_cloud_call *call);

#endif
