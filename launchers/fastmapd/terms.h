/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The body of POST /v1/maps, from JSON. PURE, fuzzed.
 */
#ifndef FMD_TERMS_H
#define FMD_TERMS_H

#include <jansson.h>

#include "ledger.h"
#include "pool.h"

#define FMD_TERMS_VARIABLES 64
#define FMD_TERMS_SENTENCE 160

struct fmd_terms {
    json_t *json; /* owns the texts */
    const char *key;
    uint8_t program[FMD_STORE_SHA256];
    struct fmd_pool_terms pool; /* without account and shared_fd; vcpus as wanted */
    bool has_shared;
    uint8_t shared[FMD_STORE_SHA256];
    int64_t budget;
    uint8_t fenv[FM_WIRE_WORKER_FENV];
    char *variables[FMD_TERMS_VARIABLES + 1]; /* "NAME=value", NULL at the end */
    json_t *features;                         /* array of strings, or NULL */
};

/* False with a sentence. Ended by free() in both cases. */
bool fmd_terms_parse(const char *text, size_t length, struct fmd_terms *terms,
                     char sentence[FMD_TERMS_SENTENCE]);
void fmd_terms_free(struct fmd_terms *terms);

#endif
