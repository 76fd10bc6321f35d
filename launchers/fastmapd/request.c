/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ladder of checks that a request climbs before its call sees it, and the signature of its answer.
 */
#include "request.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "log.h"
#include "metrics.h"
#include "service/coding.h"
#include "service/sign.h"
#include "text.h"

enum { DRAINED_UNSIGNED = 65536 }; /* bytes that are read from whoever sends them */

/* How long a signature could be used again on a host whose clock differs by a minute. */
#define SIGNATURE_S(skew_s) (2 * (skew_s) + 61)

int64_t fmd_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct fmd_request *fmd_request_new(struct fmd_service *service, struct fmd_link *link,
                                    const char *target)
{
    struct fmd_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->service = service;
    request->link = link;
    request->begun_ns = fmd_now_ns();
    snprintf(request->id, sizeof request->id, "%08" PRIx64 "-%" PRIuFAST64, service->request_prefix,
             atomic_fetch_add(&service->requests, 1) + 1);
    request->target_is_valid = fmd_target_parse(target, &request->target);
    return request;
}

const char *fmd_request_piece(const struct fmd_request *request, int n)
{
    for (size_t i = 0; request->route->path[i] != NULL; i++)
        if (strcmp(request->route->path[i], "*") == 0 && n-- == 0)
            return request->target.segment[i];
    abort(); /* a route that contradicts its call */
}

/* ---- The ladder: each step true, or false with an answer -------------------------------------------------
   */

static bool check_route(struct fmd_request *request, const struct fmd_fields *fields)
{
    enum fmd_error error;
    (void)fields;
    if (!request->target_is_valid)
        return FMD_REFUSE(
            request, request,
            "the target has an empty part, is too long, or has a character that none has");
    request->route = fmd_route_find(request->method, &request->target, &error);
    if (request->route != NULL)
        return true;
    if (error == FMD_ERR_version) {
        fmd_answer_error(&request->answer, error, "this service speaks version 1, under /v1/");
        fmd_answer_add(&request->answer, "versions", json_pack("[i]", 1));
    } else
        fmd_answer_error(&request->answer, error,
                         error == FMD_ERR_method ? "the path has no such method"
                                                 : "there is no such call");
    return false;
}

static uint64_t most_of(const struct fmd_request *request)
{
    const struct fmd_route *route = request->route;
    if (route->body == 0)
        return route->most;
    int64_t most;
    memcpy(&most, (const char *)request->service->config + route->body, sizeof most);
    return (uint64_t)most;
}

static bool check_length(struct fmd_request *request, const struct fmd_fields *fields)
{
    if (fields->doubled)
        return FMD_REFUSE(request, request, "a header stands twice");
    if (!fmd_body_measure(request, fields))
        return false;
    if (request->length <= most_of(request))
        return true;
    fmd_answer_error(&request->answer, FMD_ERR_size,
                     "the body has %" PRIu64 " bytes, more than this call takes", request->length);
    fmd_answer_add(&request->answer, "most", json_integer((json_int_t)most_of(request)));
    return false;
}

static bool check_draining(struct fmd_request *request, const struct fmd_fields *fields)
{
    (void)fields;
    if (!atomic_load(&request->service->draining) || request->route->in_drain)
        return true;
    request->answer.closes = true;
    return FMD_REFUSE(request, draining, "the service is going down; connect anew");
}

/* An address with too many failures waits, except over a connection that has proved itself. */
static bool check_address(struct fmd_request *request, const struct fmd_fields *fields)
{
    struct fmd_service *service = request->service;
    (void)fields;
    if (request->route->is_open || request->link->trusted)
        return true;
    pthread_mutex_lock(&service->door);
    const int64_t wait_s =
        fmd_attempts_wait(&service->attempts, request->address, request->begun_ns / 1000000);
    pthread_mutex_unlock(&service->door);
    if (wait_s == 0)
        return true;
    fmd_answer_error(&request->answer, FMD_ERR_attempts,
                     "too many failed signatures from this address; wait %" PRId64 " s", wait_s);
    request->answer.retry_s = wait_s;
    request->answer.closes = true;
    return false;
}

void fmd_request_refuse_ledger(struct fmd_request *request, int rc)
{
    char quoted[FMD_LOG_QUOTED];
    fmd_log(FMD_LOG_ERROR, "ledger", "request=%s why=%s", request->id,
            fmd_log_quote(fm_base_last_error(), quoted));
    if (rc != FMD_LEDGER_AWAY) {
        fmd_answer_error(&request->answer, FMD_ERR_internal, "the ledger cannot be used");
        return;
    }
    fmd_answer_error(&request->answer, FMD_ERR_full, "the ledger is not to be had now; ask again");
    request->answer.retry_s = 1;
}

/* As fmd_ledger_find_token(). What is kept was read when `changes` was as it is, or later. */
static int find_token(struct fmd_request *request)
{
    struct fmd_service *service = request->service;
    struct fmd_link *link = request->link;
    const uint64_t changes = atomic_load(&service->tokens->changes);
    if (link->trusted && link->changes == changes &&
        request->begun_ns - link->known_ns < FMD_TOKENS_FRESH_NS &&
        strcmp(link->token.id, request->claim.id) == 0) {
        request->token = link->token;
        return 1;
    }
    link->trusted = false;
    const int found = fmd_ledger_find_token(service->ledger, request->claim.id, &request->token);
    link->token = request->token;
    link->changes = changes;
    link->known_ns = request->begun_ns;
    return found;
}

/* Does the same work whether or not there is such a token. */
static bool signature_fits(struct fmd_request *request, const struct fmd_fields *fields, int *found)
{
    char expected[FM_SERVICE_HEX_BYTES];
    const struct fm_service_request text = {request->method, request->target.text, fields->digest,
                                            fields->time, fields->nonce};
    *found = find_token(request);
    const bool is_signed = fm_service_sign_request(request->token.key, &text, expected);
    return is_signed && fm_service_same(expected, request->claim.signature) && *found == 1;
}

static void count_failure(struct fmd_request *request)
{
    struct fmd_service *service = request->service;
    fmd_metrics_add(FMD_METRIC_failed_signatures, 1);
    pthread_mutex_lock(&service->door);
    fmd_attempts_failed(&service->attempts, request->address, request->begun_ns / 1000000);
    pthread_mutex_unlock(&service->door);
}

static bool check_signature(struct fmd_request *request, const struct fmd_fields *fields)
{
    int found;
    if (request->route->is_open)
        return true;
    const char *wrong = fmd_claim_parse(fields, &request->claim);
    if (wrong != NULL) {
        count_failure(request);
        return FMD_REFUSE(request, request, "%s", wrong);
    }
    request->is_signed = signature_fits(request, fields, &found);
    if (found < 0) {
        fmd_request_refuse_ledger(request, found);
        return false;
    }
    if (request->is_signed) {
        request->link->trusted = true;
        return true;
    }
    count_failure(request);
    return FMD_REFUSE(request, signature,
                      "the token is unknown or revoked, or the signature does not fit");
}

static bool check_clock(struct fmd_request *request, const struct fmd_fields *fields)
{
    struct fmd_service *service = request->service;
    const int64_t now_s = fmd_clock_now_s(&service->clock), skew_s = service->config->skew_s;
    (void)fields;
    if (request->route->is_open)
        return true;
    if ((request->claim.time_s >= now_s - skew_s && request->claim.time_s <= now_s + skew_s &&
         request->claim.time_s >= service->clock.started_s)) {
        fmd_clock_take(&service->clock, request->claim.time_s);
        return true;
    }
    fmd_answer_error(&request->answer, FMD_ERR_clock,
                     "the request was signed at %" PRId64 ", it is %" PRId64
                     "; sign with this clock",
                     request->claim.time_s, now_s);
    fmd_answer_add(&request->answer, "now", json_integer(now_s));
    fmd_answer_add(&request->answer, "skew_s", json_integer(skew_s));
    return false;
}

/* Below 0: the ledger's error. */
static int use_signature(struct fmd_request *request)
{
    struct fmd_service *service = request->service;
    const uint8_t *signature = request->claim.signature_bytes;
    const int64_t keep_s = SIGNATURE_S(service->config->skew_s);
    bool is_fresh = false;
    pthread_mutex_lock(&service->door);
    const enum fmd_replay_answer answer =
        fmd_replay_use(service->replay, signature, request->begun_ns / 1000000000);
    pthread_mutex_unlock(&service->door);
    if (answer != FMD_REPLAY_FRESH || request->route->is_of_host ||
        !fmd_ledger_is_shared(service->ledger))
        return (int)answer;
    const int rc = fmd_ledger_use_signature(service->ledger, signature, keep_s, &is_fresh);
    return rc < 0 ? rc : is_fresh ? FMD_REPLAY_FRESH : FMD_REPLAY_USED;
}

static bool check_replay(struct fmd_request *request, const struct fmd_fields *fields)
{
    (void)fields;
    if (request->route->is_open)
        return true;
    const int answer = use_signature(request);
    if (answer < 0) {
        fmd_request_refuse_ledger(request, answer);
        return false;
    }
    if (answer == FMD_REPLAY_FRESH)
        return true;
    fmd_metrics_add(FMD_METRIC_replays, answer == FMD_REPLAY_USED);
    return answer == FMD_REPLAY_USED
               ? FMD_REFUSE(request, replay,
                            "this signature was used before; sign with another nonce")
               : FMD_REFUSE(request, full, "no memory for another signature");
}

static bool check_params(struct fmd_request *request, const struct fmd_fields *fields)
{
    size_t wanted = 0;
    (void)fields;
    for (; request->route->params[wanted] != NULL; wanted++)
        if (fmd_target_param(&request->target, request->route->params[wanted]) == NULL)
            return FMD_REFUSE(request, request, "the parameter %s must stand once in the query",
                              request->route->params[wanted]);
    return wanted == request->target.params
               ? true
               : FMD_REFUSE(request, request, "a parameter is unknown or doubled");
}

static bool prepare_body(struct fmd_request *request, const struct fmd_fields *fields)
{
    request->takes_packed =
        fields->accept != NULL && strcmp(fields->accept, FM_SERVICE_CODING) == 0;
    if (fields->rate != NULL && !fmd_text_number(fields->rate, &request->client_rate))
        return FMD_REFUSE(request, request, "Fastmap-Rate is no number");
    return fmd_body_prepare(request);
}

static bool begin_call(struct fmd_request *request, const struct fmd_fields *fields)
{
    (void)fields;
    if (request->route->begin != NULL)
        request->route->begin(request);
    return request->answer.status == 0;
}

static bool (*const ladder[])(struct fmd_request *request, const struct fmd_fields *fields) = {
    check_route, check_length, check_draining, check_address, check_signature,
    check_clock, check_replay, check_params,   prepare_body,  begin_call,
};

void fmd_request_begin(struct fmd_request *request, const char *method,
                       const struct fmd_fields *fields)
{
    snprintf(request->method, sizeof request->method, "%s", method);
    fmd_metrics_add(FMD_METRIC_requests, 1);
    for (size_t i = 0; i < sizeof ladder / sizeof ladder[0]; i++)
        if (!ladder[i](request, fields))
            return;
}

/* ---- The answer ------------------------------------------------------------------------------------------
   */

bool fmd_request_drains(const struct fmd_request *request)
{
    if (request->answer.closes)
        return false;
    return request->sent_length <= DRAINED_UNSIGNED ||
           (request->is_signed && request->route != NULL &&
            request->sent_length <= most_of(request));
}

bool fmd_request_sign(const struct fmd_request *request, const void *body, size_t bytes,
                      char signature[FM_SERVICE_HEX_BYTES])
{
    char digest[FM_SERVICE_HEX_BYTES] = FM_SERVICE_NONE;
    uint8_t found[FM_SERVICE_DIGEST_BYTES];
    const struct fmd_outcome *outcome = request->answer.outcome;
    if (!request->is_signed)
        return false;
    if (outcome == NULL) {
        if (EVP_Digest(body, bytes, found, NULL, EVP_sha256(), NULL) != 1)
            return false;
        fm_service_hex(found, sizeof found, digest);
    }
    const struct fm_service_answer text = {request->answer.status, request->claim.signature, digest,
                                           outcome != NULL ? outcome->receipt : FM_SERVICE_NONE};
    return fm_service_sign_answer(request->token.key, &text, signature);
}

void fmd_request_free(struct fmd_request *request)
{
    fmd_body_end(request);
    if (request->route != NULL && request->route->forget != NULL)
        request->route->forget(request);
    fmd_answer_clear(&request->answer);
    EVP_MD_CTX_free(request->digest);
    explicit_bzero(&request->token, sizeof request->token);
    free(request->text);
    free(request);
}
