/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The body of a request on its way in. It may travel as one frame of zstd (Content-Encoding), the bytes that
 * it decodes to being told beforehand (Fastmap-Length). The body that calls see, and whose digest was signed,
 * is the decoded one, so that a span or a part of a blob is the same however it has travelled. `length` and
 * `received` count it, `sent_length` and `sent_received` what the connection carries.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "request.h"
#include "service/coding.h"
#include "service/sign.h"
#include "text.h"

/* ---- What the headers say ------------------------------------------------------------------------------ */

/* The bytes that the body decodes to. A frame that is longer than those is of no use to anybody. */
static bool measure_decoded(struct fmd_request *request, const struct fmd_fields *fields)
{
    int64_t decoded;
    request->length = request->sent_length;
    if (fields->coding == NULL)
        return true;
    request->is_packed = true;
    if (strcmp(fields->coding, FM_SERVICE_CODING) != 0 || !fm_service_coding_is_there())
        return FMD_REFUSE(request, encoding, "this service does not take that Content-Encoding");
    if (fields->decoded == NULL || !fmd_text_number(fields->decoded, &decoded) ||
        (uint64_t)decoded < request->sent_length)
        return FMD_REFUSE(request, request,
                          "Fastmap-Length must say how many bytes the body decodes to, and not "
                          "fewer than it has");
    request->length = (uint64_t)decoded;
    return true;
}

bool fmd_body_measure(struct fmd_request *request, const struct fmd_fields *fields)
{
    int64_t length = 0;
    if (fields->encoding != NULL)
        return FMD_REFUSE(request, length,
                          "a body needs Content-Length; Transfer-Encoding is not taken");
    if (fields->length != NULL && !fmd_text_number(fields->length, &length))
        return FMD_REFUSE(request, length, "Content-Length is no number");
    if (fields->length == NULL && strcmp(request->method, "GET") != 0 &&
        strcmp(request->method, "DELETE") != 0)
        return FMD_REFUSE(request, length, "a body needs Content-Length");
    request->sent_length = (uint64_t)length;
    return measure_decoded(request, fields);
}

bool fmd_body_prepare(struct fmd_request *request)
{
    if (request->route->receive == NULL && request->length > 0) {
        request->text = malloc(request->length + 1);
        if (request->text == NULL)
            return FMD_REFUSE(request, full, "no memory for the body");
    }
    if (request->is_packed) {
        request->unpack = fm_service_unpack_new(request->length);
        if (request->unpack == NULL)
            return FMD_REFUSE(request, full, "no memory to decode the body");
    }
    if (request->length == 0 || request->route->is_open)
        return true;
    request->digest = EVP_MD_CTX_new();
    return request->digest != NULL && EVP_DigestInit_ex(request->digest, EVP_sha256(), NULL) == 1
               ? true
               : FMD_REFUSE(request, full, "no memory for a digest");
}

/* ---- What comes ---------------------------------------------------------------------------------------- */

/* Decoded bytes: never more than `length` in all. */
static bool take(void *context, const void *bytes, size_t count)
{
    struct fmd_request *request = context;
    if (request->digest != NULL)
        EVP_DigestUpdate(request->digest, bytes, count);
    if (request->route->receive != NULL)
        request->route->receive(request, bytes, count);
    else
        memcpy(request->text + request->received, bytes, count);
    request->received += count;
    return request->answer.status == 0;
}

static void refuse_frame(struct fmd_request *request)
{
    fmd_answer_error(&request->answer, FMD_ERR_encoding,
                     "the body is not one frame of zstd that decodes to %" PRIu64
                     " bytes with a window of 1 MiB at most",
                     request->length);
}

void fmd_request_receive(struct fmd_request *request, const void *bytes, size_t count)
{
    if (request->answer.status != 0)
        return;
    fmd_metrics_add(FMD_METRIC_received_bytes, (int64_t)count);
    if (count > request->sent_length - request->sent_received) {
        fmd_answer_error(&request->answer, FMD_ERR_length,
                         "the body is longer than its Content-Length");
        request->answer.closes = true;
        return;
    }
    if (request->meter != NULL)
        fmd_meter_take(request->meter, request->sent_received == 0, count);
    request->sent_received += count;
    if (request->unpack == NULL)
        take(request, bytes, count);
    else if (!fm_service_unpack_feed(request->unpack, bytes, count, take, request) &&
             request->answer.status == 0)
        refuse_frame(request);
}

/* ---- Its end ------------------------------------------------------------------------------------------- */

void fmd_body_end(struct fmd_request *request)
{
    if (request->meter != NULL && request->sent_received > 0)
        fmd_meter_end(request->meter);
    request->meter = NULL;
    fm_service_unpack_free(request->unpack);
    request->unpack = NULL;
}

/* Without a body the digest that was signed must be that of nothing. */
static bool digest_fits(struct fmd_request *request)
{
    uint8_t found[FM_SERVICE_DIGEST_BYTES];
    if (request->route->is_open)
        return true;
    if (request->digest == NULL)
        return fm_service_unhex(FM_SERVICE_DIGEST_EMPTY, sizeof found, found) &&
               memcmp(found, request->claim.digest, sizeof found) == 0;
    return EVP_DigestFinal_ex(request->digest, found, NULL) == 1 &&
           memcmp(found, request->claim.digest, sizeof found) == 0;
}

void fmd_request_finish(struct fmd_request *request)
{
    if (request->answer.status != 0)
        return;
    const bool is_whole = request->unpack == NULL || fm_service_unpack_is_whole(request->unpack);
    fmd_body_end(request);
    if (request->sent_received != request->sent_length)
        fmd_answer_error(&request->answer, FMD_ERR_length,
                         "the body is shorter than its Content-Length");
    else if (!is_whole)
        refuse_frame(request);
    else if (!digest_fits(request))
        fmd_answer_error(&request->answer, FMD_ERR_digest,
                         "the body does not have the digest that was signed");
    else {
        if (request->text != NULL)
            request->text[request->length] = '\0';
        request->route->finish(request);
    }
}
