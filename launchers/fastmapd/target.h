/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets and the signing headers of requests, from text. PURE, fuzzed.
 */
#ifndef FMD_TARGET_H
#define FMD_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/token.h"

#define FMD_TARGET_BYTES 512 /* of a target, its NUL included */
#define FMD_TARGET_SEGMENTS 6
#define FMD_TARGET_PARAMS 4

struct fmd_target {
    char text[FMD_TARGET_BYTES];  /* as sent */
    char parts[FMD_TARGET_BYTES]; /* the same, cut into the pieces below */
    size_t segments;
    const char *segment[FMD_TARGET_SEGMENTS]; /* /v1/maps: "v1", "maps" */
    size_t params;
    struct {
        const char *name, *value;
    } param[FMD_TARGET_PARAMS];
};

/* False for a text that is too long, has too many pieces, an empty one, or a character that none has. */
bool fmd_target_parse(const char *text, struct fmd_target *target);

/* The value of a parameter; NULL: it does not stand there, or twice. */
const char *fmd_target_param(const struct fmd_target *target, const char *name);

/* The same as a number below 2^63. */
bool fmd_target_number(const struct fmd_target *target, const char *name, int64_t *out);

/* Texts of the headers; NULL: absent. */
struct fmd_fields {
    const char *authorization, *time, *nonce, *digest, *length, *encoding;
    const char *coding, *decoded; /* of the body: how it is packed, and its length without that */
    const char *accept, *rate;    /* of outputs: how they may be packed, and how fast they arrive */
    bool doubled;                 /* one of them stood twice */
};

/* What the headers claim, well formed but not believed. */
struct fmd_claim {
    char id[FM_SERVICE_ID_BYTES];
    char signature[FM_SERVICE_HEX_BYTES];
    uint8_t signature_bytes[FM_SERVICE_DIGEST_BYTES];
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    int64_t time_s;
};

/* NULL, or what is wrong with them, as a part of a sentence. */
const char *fmd_claim_parse(const struct fmd_fields *fields, struct fmd_claim *claim);

#endif
