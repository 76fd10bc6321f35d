/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs and programs: what comes in is streamed into the store.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "calls.h"
#include "log.h"
#include "service/hex.h"

static const struct {
    enum fmd_error error;
    const char *sentence; /* NULL: the store's own */
} refusals[] = {
    [FMD_STORE_OK] = {FMD_ERR_internal, "the store succeeds and fails"},
    [FMD_STORE_NONE] = {FMD_ERR_blob, "this account has no such blob or program here; upload it"},
    [FMD_STORE_MISSING] = {FMD_ERR_missing, "files of the program are not here; upload them"},
    [FMD_STORE_OFFSET] = {FMD_ERR_offset, "the part does not begin where the last one ended"},
    [FMD_STORE_BUSY] = {FMD_ERR_busy, "another part of the blob is being received; wait"},
    [FMD_STORE_SIZE] = {FMD_ERR_size,
                        "the blob is larger than allowed, or than it was said to be before"},
    [FMD_STORE_DIGEST] =
        {FMD_ERR_digest,
         "the blob as a whole has another digest; all of it is dropped, send it anew"},
    [FMD_STORE_MANIFEST] = {FMD_ERR_manifest, NULL},
    [FMD_STORE_STORAGE] = {FMD_ERR_storage, "there is no room for more blobs"},
    [FMD_STORE_INTERNAL] = {FMD_ERR_internal, "the store's disk or memory fails"},
};

void fmd_call_refuse(struct fmd_request *request, enum fmd_store_answer answer)
{
    const char *sentence = refusals[answer].sentence;
    if (answer == FMD_STORE_INTERNAL) {
        char quoted[FMD_LOG_QUOTED];
        fmd_log(FMD_LOG_ERROR, "store", "request=%s why=%s", request->id,
                fmd_log_quote(fm_base_last_error(), quoted));
    }
    fmd_answer_error(&request->answer, refusals[answer].error, "%s",
                     sentence != NULL ? sentence : fm_base_last_error());
}

/* ---- Blobs -----------------------------------------------------------------------------------------------
   */

static bool take_digest(struct fmd_request *request, uint8_t digest[FMD_STORE_SHA256])
{
    const char *text = fmd_request_piece(request, 0);
    if (strlen(text) == FM_SERVICE_HEX_BYTES - 1 &&
        fm_service_unhex(text, FMD_STORE_SHA256, digest))
        return true;
    fmd_answer_error(&request->answer, FMD_ERR_request,
                     "a blob's name is its SHA-256, 64 lower-case hexadecimal digits");
    return false;
}

static void tell(struct fmd_request *request, const struct fmd_store_blob *blob)
{
    fmd_answer_json(&request->answer, 200,
                    json_pack("{s:s, s:I, s:I, s:b}", "digest", fmd_request_piece(request, 0),
                              "size", (json_int_t)blob->bytes, "have", (json_int_t)blob->have,
                              "complete", (int)blob->complete));
}

void fmd_call_blob(struct fmd_request *request)
{
    uint8_t digest[FMD_STORE_SHA256];
    struct fmd_store_blob blob;
    if (!take_digest(request, digest))
        return;
    const enum fmd_store_answer answer =
        fmd_store_find(request->service->store, request->token.name, digest, &blob);
    if (answer != FMD_STORE_OK)
        fmd_call_refuse(request, answer);
    else
        tell(request, &blob);
}

/* What a part needs between its calls. */
struct part {
    struct fmd_store_part *part; /* NULL: the blob is complete, what comes is dropped */
    struct fmd_store_blob blob;
};

void fmd_call_part_begin(struct fmd_request *request)
{
    uint8_t digest[FMD_STORE_SHA256];
    int64_t size, offset;
    if (!take_digest(request, digest))
        return;
    if (!fmd_target_number(&request->target, "size", &size) ||
        !fmd_target_number(&request->target, "offset", &offset) ||
        (uint64_t)size < request->length || offset > size - (int64_t)request->length) {
        fmd_answer_error(&request->answer, FMD_ERR_request,
                         "size and offset must be numbers, and the part lie within the blob");
        return;
    }
    struct part *own = calloc(1, sizeof *own);
    request->own = own;
    if (own == NULL) {
        fmd_answer_error(&request->answer, FMD_ERR_full, "no memory for the part");
        return;
    }
    const enum fmd_store_answer answer =
        fmd_store_part_begin(request->service->store, request->token.name, digest, (uint64_t)size,
                             (uint64_t)offset, request->length, &own->part, &own->blob);
    if (answer == FMD_STORE_OK)
        return;
    fmd_call_refuse(request, answer);
    if (answer == FMD_STORE_OFFSET || answer == FMD_STORE_BUSY)
        fmd_answer_add(&request->answer, "have", json_integer((json_int_t)own->blob.have));
    if (answer == FMD_STORE_SIZE)
        fmd_answer_add(&request->answer, "most",
                       json_integer(request->service->config->blob_bytes));
}

void fmd_call_part_receive(struct fmd_request *request, const void *bytes, size_t count)
{
    const struct part *own = request->own;
    if (own->part == NULL)
        return;
    const enum fmd_store_answer answer = fmd_store_part_write(own->part, bytes, count);
    if (answer != FMD_STORE_OK)
        fmd_call_refuse(request, answer);
}

void fmd_call_part_finish(struct fmd_request *request)
{
    struct part *own = request->own;
    enum fmd_store_answer answer = FMD_STORE_OK;
    if (own->part != NULL)
        answer = fmd_store_part_end(own->part, true, &own->blob);
    own->part = NULL;
    if (answer != FMD_STORE_OK)
        fmd_call_refuse(request, answer);
    else
        tell(request, &own->blob);
}

/* A body that broke off, or had not the digest that was signed. */
void fmd_call_part_forget(struct fmd_request *request)
{
    struct part *own = request->own;
    if (own != NULL && own->part != NULL)
        fmd_store_part_end(own->part, false, &own->blob);
    free(own);
}

/* ---- Programs --------------------------------------------------------------------------------------------
   */

json_t *fmd_call_missing(struct fmd_store_missing *missing, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char digest[FM_SERVICE_HEX_BYTES];
        fm_service_hex(missing[i].sha256, FMD_STORE_SHA256, digest);
        json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "digest", digest, "size",
                                              (json_int_t)missing[i].bytes, "have",
                                              (json_int_t)missing[i].have));
    }
    free(missing);
    return list;
}

void fmd_call_program(struct fmd_request *request)
{
    uint8_t program[FMD_STORE_SHA256];
    char name[FM_SERVICE_HEX_BYTES];
    struct fmd_store_missing *missing = NULL;
    size_t count = 0;
    const enum fmd_store_answer answer = fmd_store_program(
        request->service->store, request->token.name, request->text == NULL ? "" : request->text,
        request->length, program, &missing, &count);
    if (answer != FMD_STORE_OK && answer != FMD_STORE_MISSING) {
        fmd_call_refuse(request, answer);
        return;
    }
    fm_service_hex(program, sizeof program, name);
    fmd_answer_json(
        &request->answer, 200,
        json_pack("{s:s, s:o}", "program", name, "missing", fmd_call_missing(missing, count)));
}
