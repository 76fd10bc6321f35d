/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signatures of requests and answers. The first line of a text says which kind it is, so that no signature
 * of one kind can stand for another.
 */
#include "service/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static size_t length_of(int printed)
{
    return printed < 0 ? 0 : (size_t)printed;
}

size_t fm_service_request_text(const struct fm_service_request *request, char *text, size_t bytes)
{
    return length_of(snprintf(text, bytes, "fastmap-request-1\n%s\n%s\n%s\n%s\n%s\n",
                              request->method, request->target, request->digest, request->time,
                              request->nonce));
}

size_t fm_service_answer_text(const struct fm_service_answer *answer, char *text, size_t bytes)
{
    return length_of(snprintf(text, bytes, "fastmap-answer-1\n%03u\n%s\n%s\n%s\n", answer->status,
                              answer->request, answer->digest, answer->receipt));
}

static bool sign(const uint8_t key[FM_SERVICE_DIGEST_BYTES], const char *text, size_t length,
                 char signature[FM_SERVICE_HEX_BYTES])
{
    uint8_t mac[FM_SERVICE_DIGEST_BYTES];
    if (length == 0 || length >= FM_SERVICE_TEXT_MAX ||
        HMAC(EVP_sha256(), key, FM_SERVICE_DIGEST_BYTES, (const unsigned char *)text, length, mac,
             NULL) == NULL)
        return false;
    fm_service_hex(mac, sizeof mac, signature);
    return true;
}

bool fm_service_sign_request(const uint8_t key[FM_SERVICE_DIGEST_BYTES],
                             const struct fm_service_request *request,
                             char signature[FM_SERVICE_HEX_BYTES])
{
    char text[FM_SERVICE_TEXT_MAX];
    return sign(key, text, fm_service_request_text(request, text, sizeof text), signature);
}

bool fm_service_sign_answer(const uint8_t key[FM_SERVICE_DIGEST_BYTES],
                            const struct fm_service_answer *answer,
                            char signature[FM_SERVICE_HEX_BYTES])
{
    char text[FM_SERVICE_TEXT_MAX];
    return sign(key, text, fm_service_answer_text(answer, text, sizeof text), signature);
}

bool fm_service_same(const char a[FM_SERVICE_HEX_BYTES], const char b[FM_SERVICE_HEX_BYTES])
{
    return CRYPTO_memcmp(a, b, FM_SERVICE_HEX_BYTES) == 0;
}
