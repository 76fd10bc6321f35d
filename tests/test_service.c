/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client and fastmapd share: the text of tokens, what is signed and how, receipts. The signatures
 * expected here were made by the openssl command as docs/PROTOCOL.md tells.
 */
#include <stdio.h>
#include <string.h>

#include "service/receipt.h"
#include "service/sign.h"
#include "service/token.h"
#include "test.h"

#define TOKEN "fm1_0001020304050607_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static void known_token(char text[FM_SERVICE_TOKEN_BYTES])
{
    uint8_t secret[32];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    fm_service_token_format(secret, secret, text);
}

TEST(a_token_is_a_prefix_an_id_and_base64url_of_the_secret)
{
    char text[FM_SERVICE_TOKEN_BYTES], id[FM_SERVICE_ID_BYTES];
    known_token(text);
    CHECK_EQ_STR(text, TOKEN);
    CHECK_TRUE(fm_service_token_parse(text, strlen(text), id), "%s", text);
    CHECK_EQ_STR(id, "0001020304050607");
}

TEST(a_token_has_one_spelling)
{
    char id[FM_SERVICE_ID_BYTES];
    static const char *const wrong[] = {
        "",
        "fm1_",
        "fm2_0001020304050607_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "fm1_000102030405060G_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "fm1_000102030405060A_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "fm1_0001020304050607-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "fm1_0001020304050607_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
        "fm1_0001020304050607_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+",
        TOKEN "A",
        TOKEN "\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_TRUE(!fm_service_token_parse(wrong[i], strlen(wrong[i]), id), "accepted: %s",
                   wrong[i]);
}

TEST(tokens_made_are_valid_and_differ)
{
    char first[FM_SERVICE_TOKEN_BYTES], second[FM_SERVICE_TOKEN_BYTES], id[FM_SERVICE_ID_BYTES];
    CHECK_TRUE(fm_service_token_create(first) && fm_service_token_create(second), "%s %s", first,
               second);
    CHECK_TRUE(fm_service_token_parse(first, strlen(first), id), "%s", first);
    CHECK_TRUE(strcmp(first, second) != 0 && strcmp(first + 21, second + 21) != 0, "%s", first);
}

/* key=$(printf %s $TOKEN | openssl dgst -sha256 -r | cut -d' ' -f1)
   printf '%s\n' fastmap-request-1 POST ... | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -r */
TEST(requests_and_answers_are_signed_as_openssl_does)
{
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    char signature[FM_SERVICE_HEX_BYTES];
    fm_service_token_key(TOKEN, key);
    const struct fm_service_request request = {
        "POST", "/v1/maps/0011223344556677/spans/1?first=0&count=4", FM_SERVICE_DIGEST_EMPTY,
        "1764072000", "AAAAAAAAAAAAAAAAAAAAAA"};
    CHECK_TRUE(fm_service_sign_request(key, &request, signature), "%s", request.target);
    CHECK_EQ_STR(signature, "824f9f74751d2c4c6224fb20859e1833d9f38d443196ab86901da043d45f3ba9");
    const struct fm_service_answer answer = {200, signature, FM_SERVICE_NONE, "map=0 span=1"};
    char answered[FM_SERVICE_HEX_BYTES];
    CHECK_TRUE(fm_service_sign_answer(key, &answer, answered), "%s", answer.receipt);
    CHECK_EQ_STR(answered, "0dce6989c5d64d7fe62207194a8dd46fe8596d36d796bef459d6d7dfc4db47af");
}

TEST(a_text_that_is_too_long_is_not_signed)
{
    uint8_t key[FM_SERVICE_DIGEST_BYTES] = {0};
    char target[FM_SERVICE_TEXT_MAX], signature[FM_SERVICE_HEX_BYTES];
    memset(target, 'a', sizeof target - 1);
    target[sizeof target - 1] = '\0';
    const struct fm_service_request request = {"GET", target, FM_SERVICE_DIGEST_EMPTY, "0", "n"};
    CHECK_TRUE(!fm_service_sign_request(key, &request, signature), "%s", "signed");
}

static struct fm_service_receipt full_receipt(void)
{
    struct fm_service_receipt receipt = {.map = "b6c1f0e2a9d34c58",
                                         .span = UINT64_MAX,
                                         .status = FM_SERVICE_DIED,
                                         .computed = UINT64_MAX,
                                         .failed = UINT64_MAX,
                                         .failures = FM_SERVICE_FAILURES,
                                         .raised = UINT32_MAX,
                                         .cpu_ns = UINT64_MAX,
                                         .charge = INT64_MAX,
                                         .spent = INT64_MAX,
                                         .left = INT64_MAX,
                                         .vcpus = UINT32_MAX};
    for (size_t i = 0; i < FM_SERVICE_FAILURES; i++)
        receipt.failure[i] = (struct fm_service_failure){UINT64_MAX - i, UINT64_MAX, INT32_MIN};
    return receipt;
}

TEST(the_longest_receipt_fits_and_is_read_back)
{
    const struct fm_service_receipt receipt = full_receipt();
    struct fm_service_receipt found = {0};
    char text[FM_SERVICE_RECEIPT_BYTES];
    CHECK_TRUE(fm_service_receipt_format(&receipt, text) < sizeof text, "%s", text);
    CHECK_TRUE(fm_service_receipt_parse(text, &found), "%s", text);
    CHECK_EQ_STR(found.map, receipt.map);
    CHECK_TRUE(found.span == UINT64_MAX && found.status == FM_SERVICE_DIED && found.failures == 16,
               "%s", text);
    CHECK_TRUE(found.failure[15].index == UINT64_MAX - 15 && found.failure[15].code == INT32_MIN,
               "%s", text);
    CHECK_TRUE(found.charge == INT64_MAX && found.left == INT64_MAX, "%s", text);
    CHECK_TRUE(found.vcpus == UINT32_MAX, "%s", text);
}

#define RECEIPT                                                                           \
    "map=b6c1f0e2a9d34c58 span=7 status=done computed=100 failed=2 failures=42+8:-3,7:1 " \
    "raised=32 "                                                                          \
    "cpu_ns=1234567 "                                                                     \
    "charge=18 spent=1218 left=998782"

TEST(a_receipt_is_read_whole_or_not_at_all)
{
    struct fm_service_receipt found = {.span = 99};
    static const char *const wrong[] = {
        "",
        "map=b6c1f0e2a9d34c58 span=7",
        RECEIPT " span=7",
        RECEIPT " vcpus=0",
        RECEIPT " vcpus=-1",
        RECEIPT " vcpus=2 vcpus=2",
        RECEIPT " vcpus=4294967296",
        RECEIPT " vcpus=",
        RECEIPT " ",
        " " RECEIPT,
        "map=b6c1f0e2a9d34c58 span=-7 status=done computed=1 "
        "failed=0 failures=- raised=0 cpu_ns=1 charge=1 spent=1 left=1",
        "map=b6c1f0e2a9d34c58 span=7 status=fine computed=1 "
        "failed=0 failures=- raised=0 cpu_ns=1 charge=1 spent=1 left=1",
        "map=b6c1f0e2a9d34c58 span=7 status=done computed=1 "
        "failed=0 failures=1: raised=0 cpu_ns=1 charge=1 spent=1 left=1",
        "map=b6c1f0e2a9d34c58 span=7 status=done computed=1 "
        "failed=0 failures=1:0 raised=0 cpu_ns=1 charge=1 spent=1 left=1",
        "map=b6c1f0e2a9d34c58 span=7 status=done computed=1 "
        "failed=0 failures=- raised=0 cpu_ns=1 charge=1 spent=1 "
        "left=9223372036854775808",
        "map=b6c1 span=7 status=done computed=1 failed=0 "
        "failures=- raised=0 cpu_ns=1 charge=1 spent=1 left=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_TRUE(!fm_service_receipt_parse(wrong[i], &found) && found.span == 99, "accepted: %s",
                   wrong[i]);
    CHECK_TRUE(fm_service_receipt_parse(RECEIPT " later=1", &found), "%s", RECEIPT);
    CHECK_TRUE(found.span == 7 && found.failure[0].code == -3 && found.failure[0].count == 8 &&
                   found.failure[1].index == 7,
               "%s", RECEIPT);
    CHECK_EQ_INT(found.vcpus, 0);
    CHECK_TRUE(fm_service_receipt_parse(RECEIPT " vcpus=3", &found), "%s", RECEIPT);
    CHECK_EQ_INT(found.vcpus, 3);
}
