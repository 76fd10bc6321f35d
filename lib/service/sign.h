/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is signed in a request and in an answer, and the signatures themselves: HMAC-SHA256 in hexadecimal
 * over a text of lines. docs/PROTOCOL.md, part 2, has the texts. Threads: any.
 */
#ifndef FM_SERVICE_SIGN_H
#define FM_SERVICE_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/hex.h"

/* The digest of an empty body, and what stands for a digest or receipt that there is not. */
#define FM_SERVICE_DIGEST_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FM_SERVICE_NONE "-"

/* No field may hold a newline: whoever fills it in from outside checks that. */
struct fm_service_request {
    const char *method; /* upper case */
    const char *target; /* path and query as sent */
    const char *digest; /* of the body, hexadecimal */
    const char *time;   /* seconds since 1970, decimal */
    const char *nonce;
};

struct fm_service_answer {
    unsigned status;     /* 100 to 999 */
    const char *request; /* the signature of the request that is answered */
    const char *digest;  /* of the answer's body, or FM_SERVICE_NONE */
    const char *receipt; /* or FM_SERVICE_NONE */
};

#define FM_SERVICE_TEXT_MAX 4096 /* bytes of a text that can be signed */

/* The signature; false where the text is longer than FM_SERVICE_TEXT_MAX. */
bool fm_service_sign_request(const uint8_t key[FM_SERVICE_DIGEST_BYTES],
                             const struct fm_service_request *request,
                             char signature[FM_SERVICE_HEX_BYTES]);
bool fm_service_sign_answer(const uint8_t key[FM_SERVICE_DIGEST_BYTES],
                            const struct fm_service_answer *answer,
                            char signature[FM_SERVICE_HEX_BYTES]);

/* The texts alone; the length that the whole has, as snprintf() does. */
size_t fm_service_request_text(const struct fm_service_request *request, char *text, size_t bytes);
size_t fm_service_answer_text(const struct fm_service_answer *answer, char *text, size_t bytes);

/* Compares in a time that does not depend on where they differ. */
bool fm_service_same(const char a[FM_SERVICE_HEX_BYTES], const char b[FM_SERVICE_HEX_BYTES]);

#endif
