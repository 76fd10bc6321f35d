/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens: fm1_<id>_<secret>, 16 hexadecimal digits that name the token, and 32 random bytes as 43
 * characters of base64url. The key that signs is the SHA-256 of the whole text; docs/PROTOCOL.md, part 2.
 */
#ifndef FM_SERVICE_TOKEN_H
#define FM_SERVICE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/hex.h"

#define FM_SERVICE_TOKEN_BYTES 65 /* of the text, its NUL included */
#define FM_SERVICE_ID_BYTES 17

/* Whether text (length bytes) is a token; its id goes to id. Says nothing about whether anybody knows it. */
bool fm_service_token_parse(const char *text, size_t length, char id[FM_SERVICE_ID_BYTES]);

/* Whether text is 16 hexadecimal digits and nothing else. */
bool fm_service_id_is_valid(const char *text);

/* A new token from the system's random source. False where that fails. */
bool fm_service_token_create(char text[FM_SERVICE_TOKEN_BYTES]);

/* The token of these bytes: what create() does to random ones. */
void fm_service_token_format(const uint8_t id[8], const uint8_t secret[32],
                             char text[FM_SERVICE_TOKEN_BYTES]);

/* The key that the token (which has been parsed) signs with. */
void fm_service_token_key(const char *text, uint8_t key[FM_SERVICE_DIGEST_BYTES]);

#endif
