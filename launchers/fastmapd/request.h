/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request, from its first line to the end of its answer, in the one thread of its connection. What it
 * means to answer it is a row of the table in routes.c; calls are free to wait.
 *
 * The ladder (request.c), each step with its own refusal: target, route, length, draining, address,
 * signature, clock, replay, parameters, and the call's own begin(). All of it before a byte of the body is
 * read.
 */
#ifndef FMD_REQUEST_H
#define FMD_REQUEST_H

#include <openssl/evp.h>

#include "answer.h"
#include "packing.h"
#include "service.h"
#include "target.h"

#define FMD_REQUEST_ID 40

/* Fills in the answer; false, which is what a step of the ladder returns then. */
#define FMD_REFUSE(request, error, ...) \
    (fmd_answer_error(&(request)->answer, FMD_ERR_##error, __VA_ARGS__), false)

struct fmd_request;

struct fmd_route {
    const char *method;
    const char *path[FMD_TARGET_SEGMENTS + 1]; /* NULL at the end; "*" is any piece */
    const char *params[FMD_TARGET_PARAMS + 1]; /* that must be there, and no others */
    bool is_open;                              /* unsigned */
    bool in_drain;                             /* answered while draining, too */
    bool
        is_of_host; /* means something on one host only, so that its signature need be known there only */
    size_t body; /* offset of the setting that limits the body; 0: `most` */
    uint64_t most;
    /* Any may be NULL. Each may set request->answer, which ends the request's own way: what is left of the
       body is
       dropped, and of the functions only forget() is called. */
    void (*begin)(struct fmd_request *request);
    void (*receive)(struct fmd_request *request, const void *bytes,
                    size_t count); /* NULL: into text */
    void (*finish)(struct fmd_request *request);
    void (*forget)(struct fmd_request *request); /* always, in the end: frees `own` */
};

struct fmd_request {
    struct fmd_service *service;
    struct fmd_link *link;
    const struct sockaddr *address;
    char id[FMD_REQUEST_ID];
    char method[8];
    bool target_is_valid;
    struct fmd_target target;
    const struct fmd_route *route;
    struct fmd_claim claim;
    bool is_signed; /* and token is who did */
    struct fmd_token token;
    uint64_t length, received;           /* of the body */
    uint64_t sent_length, sent_received; /* of what carries it */
    bool is_packed;
    struct fm_service_unpack *unpack; /* where it is packed */
    struct fmd_meter *meter;          /* of the map that it is for; NULL: none. The call sets it */
    bool takes_packed;                /* the client does */
    int64_t client_rate;              /* bytes a second at which outputs arrive there; 0: unknown */
    EVP_MD_CTX *digest;
    char *text; /* the body, with a NUL behind it, of calls without receive() */
    void *own;  /* the call's */
    struct fmd_answer answer;
    int64_t begun_ns;
};

/* For the server: the first line is there. NULL: no memory. */
struct fmd_request *fmd_request_new(struct fmd_service *service, struct fmd_link *link,
                                    const char *target);

/* The headers are complete. */
void fmd_request_begin(struct fmd_request *request, const char *method,
                       const struct fmd_fields *fields);

/* Two of its steps, and the end of a body, early or not. (body.c) */
bool fmd_body_measure(struct fmd_request *request, const struct fmd_fields *fields);
bool fmd_body_prepare(struct fmd_request *request);
void fmd_body_end(struct fmd_request *request);

/* Whether what is left of a refused request's body is read and dropped, or the connection closed. */
bool fmd_request_drains(const struct fmd_request *request);

/* Both in body.c. */
void fmd_request_receive(struct fmd_request *request, const void *bytes, size_t count);

/* The body is complete. There is an answer afterwards. */
void fmd_request_finish(struct fmd_request *request);

/* The value of Fastmap-Signature, for a body of these bytes. False for unsigned requests. */
bool fmd_request_sign(const struct fmd_request *request, const void *body, size_t bytes,
                      char signature[FM_SERVICE_HEX_BYTES]);

void fmd_request_free(struct fmd_request *request);

/* The route of a method and target; NULL with *error set. (routes.c) */
const struct fmd_route *fmd_route_find(const char *method, const struct fmd_target *target,
                                       enum fmd_error *error);

/* The piece of the path at which the route has its n-th "*". */
const char *fmd_request_piece(const struct fmd_request *request, int n);

/* The answer where the ledger has failed with rc: to be asked again, if it is away. */
void fmd_request_refuse_ledger(struct fmd_request *request, int rc);

int64_t fmd_now_ns(void); /* monotonic */

#endif
