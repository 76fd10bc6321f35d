/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of tokens. A text is accepted in one spelling only: the 43rd character of base64url carries
 * four bits, and its two others must be zero.
 */
#include "service/token.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#define PREFIX "fm1_"

enum { ID_BYTES = 8, SECRET_BYTES = 32, SECRET_CHARS = 43, TOKEN_CHARS = 4 + 16 + 1 + 43 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool fm_service_id_is_valid(const char *text)
{
    uint8_t bytes[ID_BYTES];
    return strnlen(text, FM_SERVICE_ID_BYTES) == 2 * ID_BYTES &&
           fm_service_unhex(text, ID_BYTES, bytes);
}

static bool is_secret(const char *text)
{
    for (size_t i = 0; i < SECRET_CHARS; i++)
        if (memchr(alphabet, text[i], sizeof alphabet - 1) == NULL)
            return false;
    const char *last = memchr(alphabet, text[SECRET_CHARS - 1], sizeof alphabet - 1);
    return (last - alphabet) % 4 == 0;
}

bool fm_service_token_parse(const char *text, size_t length, char id[FM_SERVICE_ID_BYTES])
{
    if (length != TOKEN_CHARS || memcmp(text, PREFIX, strlen(PREFIX)) != 0)
        return false;
    char found[FM_SERVICE_ID_BYTES] = "";
    memcpy(found, text + strlen(PREFIX), 2 * ID_BYTES);
    if (!fm_service_id_is_valid(found) || text[strlen(PREFIX) + 2 * ID_BYTES] != '_' ||
        !is_secret(text + TOKEN_CHARS - SECRET_CHARS))
        return false;
    memcpy(id, found, sizeof found);
    return true;
}

/* 32 bytes in groups of three; the last two bytes make three characters. */
static void put_secret(const uint8_t secret[SECRET_BYTES], char *text)
{
    for (size_t i = 0; i < SECRET_CHARS; i++) {
        const size_t bit = 6 * i;
        const unsigned next = bit / 8 + 1 < SECRET_BYTES ? secret[bit / 8 + 1] : 0;
        const unsigned pair = (unsigned)secret[bit / 8] << 8 | next;
        text[i] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    text[SECRET_CHARS] = '\0';
}

void fm_service_token_format(const uint8_t id[ID_BYTES], const uint8_t secret[SECRET_BYTES],
                             char text[FM_SERVICE_TOKEN_BYTES])
{
    memcpy(text, PREFIX, sizeof PREFIX); /* what follows overwrites its end */
    fm_service_hex(id, ID_BYTES, text + strlen(PREFIX));
    text[TOKEN_CHARS - SECRET_CHARS - 1] = '_';
    put_secret(secret, text + TOKEN_CHARS - SECRET_CHARS);
}

bool fm_service_token_create(char text[FM_SERVICE_TOKEN_BYTES])
{
    uint8_t id[ID_BYTES];
    uint8_t secret[SECRET_BYTES];
    if (RAND_bytes(id, sizeof id) != 1 || RAND_priv_bytes(secret, sizeof secret) != 1)
        return false;
    fm_service_token_format(id, secret, text);
    OPENSSL_cleanse(secret, sizeof secret);
    return true;
}

void fm_service_token_key(const char *text, uint8_t key[FM_SERVICE_DIGEST_BYTES])
{
    SHA256((const unsigned char *)text, strlen(text), key);
}
