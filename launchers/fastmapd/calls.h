/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calls of the protocol: what routes.c names.
 */
#ifndef FMD_CALLS_H
#define FMD_CALLS_H

#include "request.h"

void fmd_call_health(struct fmd_request *request);
void fmd_call_metrics(struct fmd_request *request);
void fmd_call_account(struct fmd_request *request);

void fmd_call_blob(struct fmd_request *request);
void fmd_call_part_begin(struct fmd_request *request);
void fmd_call_part_receive(struct fmd_request *request, const void *bytes, size_t count);
void fmd_call_part_finish(struct fmd_request *request);
void fmd_call_part_forget(struct fmd_request *request);
void fmd_call_program(struct fmd_request *request);

void fmd_call_map_open(struct fmd_request *request);
void fmd_call_map_show(struct fmd_request *request);
void fmd_call_map_close(struct fmd_request *request);

void fmd_call_span_begin(struct fmd_request *request);
void fmd_call_span_receive(struct fmd_request *request, const void *bytes, size_t count);
void fmd_call_span_finish(struct fmd_request *request);
void fmd_call_span_forget(struct fmd_request *request);

/* How many vCPUs a map of the request's token may have. */
int64_t fmd_call_vcpus(const struct fmd_request *request);

/* What the store says as the answer of a request; sentences name the thing. */
void fmd_call_refuse(struct fmd_request *request, enum fmd_store_answer answer);

/* [{"digest", "size", "have"}]; frees what it is given. */
json_t *fmd_call_missing(struct fmd_store_missing *missing, size_t count);

#endif
