/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes as the answer to an attempt: the headers that matter, each once, and the body, unpacked where it
 * is packed, and no longer than it may be. Whether the answer is genuine: its signature covers status, body
 * and receipt, and the request that it answers.
 */
#include "tier/cloud/reply.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/sign.h"
#include "tier/cloud/say.h"

#define JSON_MOST ((size_t)4 << 20)

static void take_header(struct fm_cloud_call *call, char *to, size_t room, const char *value,
                        size_t length)
{
    if (to[0] != '\0' || length >= room) {
        call->header_is_wrong = true;
        return;
    }
    memcpy(to, value, length);
    to[length] = '\0';
}

static bool is_header(const char *line, size_t length, const char *name, const char **value,
                      size_t *value_length)
{
    const size_t name_length = strlen(name);
    if (length <= name_length || strncasecmp(line, name, name_length) != 0)
        return false;
    line += name_length;
    length -= name_length;
    while (length > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        length--;
    *value = line;
    *value_length = length;
    return true;
}

/* A status line begins an answer: what came before it was an interim one. */
void fm_cloud_reply_forget(struct fm_cloud_call *call)
{
    call->receipt[0] = '\0';
    call->answer_signature[0] = '\0';
    call->answer_bytes = 0;
    call->coding[0] = '\0';
    call->rate[0] = '\0';
    call->answer_is_long = false;
    call->answer_is_garbled = false;
    call->header_is_wrong = false;
}

size_t fm_cloud_reply_header(char *line, size_t size, size_t count, void *context)
{
    struct fm_cloud_call *call = context;
    const size_t length = size * count;
    const char *value;
    size_t value_length;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        fm_cloud_reply_forget(call);
    else if (is_header(line, length, "Fastmap-Receipt:", &value, &value_length))
        take_header(call, call->receipt, sizeof call->receipt, value, value_length);
    else if (is_header(line, length, "Fastmap-Signature:", &value, &value_length))
        take_header(call, call->answer_signature, sizeof call->answer_signature, value,
                    value_length);
    else if (is_header(line, length, "Content-Encoding:", &value, &value_length))
        take_header(call, call->coding, sizeof call->coding, value, value_length);
    else if (is_header(line, length, "Fastmap-Rate:", &value, &value_length))
        take_header(call, call->rate, sizeof call->rate, value, value_length);
    return length;
}

static bool make_room(struct fm_cloud_call *call, size_t wanted)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    const size_t most = call->is_span && status / 100 == 2 ? call->most_bytes : JSON_MOST;
    if (wanted > most) {
        call->answer_is_long = true;
        return false;
    }
    if (wanted <= call->answer_room)
        return true;
    size_t room = call->answer_room * 2 > 4096 ? call->answer_room * 2 : 4096;
    room = room < wanted ? wanted : room;
    room = room > most ? most : room;
    uint8_t *answer = realloc(call->answer, room);
    if (answer == NULL)
        return false;
    call->answer = answer;
    call->answer_room = room;
    return true;
}

static bool append(void *context, const void *bytes, size_t count)
{
    struct fm_cloud_call *call = context;
    if (!make_room(call, call->answer_bytes + count))
        return false;
    memcpy(call->answer + call->answer_bytes, bytes, count);
    call->answer_bytes += count;
    return true;
}

/* Outputs alone come packed, and give what the receipt tells of. */
static bool begin_unpacking(struct fm_cloud_call *call)
{
    struct fm_service_receipt receipt;
    size_t exact;
    if (!call->is_span || strcmp(call->coding, FM_SERVICE_CODING) != 0 ||
        !fm_service_receipt_parse(call->receipt, &receipt) ||
        __builtin_mul_overflow(receipt.computed, call->out_size, &exact) ||
        exact > call->most_bytes)
        return false;
    call->unpack = fm_service_unpack_new(exact);
    return call->unpack != NULL;
}

static bool take_packed(struct fm_cloud_call *call, const char *bytes, size_t count)
{
    call->answer_is_garbled = (call->unpack == NULL && !begin_unpacking(call)) ||
                              !fm_service_unpack_feed(call->unpack, bytes, count, append, call);
    return !call->answer_is_garbled;
}

size_t fm_cloud_reply_body(char *bytes, size_t size, size_t count, void *context)
{
    struct fm_cloud_call *call = context;
    const size_t length = size * count;
    if (call->is_span)
        fm_service_gauge_take(&call->line->arriving, !call->arriving, length, fm_cloud_now());
    call->arriving = call->is_span;
    const bool taken =
        call->coding[0] != '\0' ? take_packed(call, bytes, length) : append(call, bytes, length);
    return taken ? length : 0;
}

bool fm_cloud_reply_is_garbled(const struct fm_cloud_call *call, bool complete)
{
    return call->answer_is_garbled ||
           (complete && call->unpack != NULL && !fm_service_unpack_is_whole(call->unpack));
}

void fm_cloud_reply_end(struct fm_cloud_call *call)
{
    if (call->arriving)
        fm_service_gauge_end(&call->line->arriving, fm_cloud_now());
    call->arriving = false;
    fm_service_unpack_free(call->unpack);
    call->unpack = NULL;
}

bool fm_cloud_reply_is_genuine(const struct fm_cloud_call *call)
{
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    char digest_text[FM_SERVICE_HEX_BYTES] = FM_SERVICE_NONE;
    char expected[FM_SERVICE_HEX_BYTES];
    if (!call->is_span) {
        if (EVP_Digest(call->answer, call->answer_bytes, digest, NULL, EVP_sha256(), NULL) != 1)
            return false;
        fm_service_hex(digest, sizeof digest, digest_text);
    }
    const struct fm_service_answer answer = {(unsigned)call->status, call->signature, digest_text,
                                             call->receipt[0] != '\0' ? call->receipt
                                                                      : FM_SERVICE_NONE};
    return !call->header_is_wrong && strlen(call->answer_signature) == FM_SERVICE_HEX_BYTES - 1 &&
           fm_service_sign_answer(call->line->key, &answer, expected) &&
           fm_service_same(expected, call->answer_signature);
}
