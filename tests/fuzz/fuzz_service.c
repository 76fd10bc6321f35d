/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The readers of tokens and receipts on arbitrary bytes. Beside what the sanitizers see, it pins that what
 * is accepted is written back as a text that reads the same, and that a token has one spelling.
 */
#include <string.h>

#include "fuzz.h"
#include "service/receipt.h"
#include "service/token.h"

const char fuzz_corpus[] = "service";

static void try_token(const char *text, size_t length)
{
    char id[FM_SERVICE_ID_BYTES] = "untouched";
    if (!fm_service_token_parse(text, length, id)) {
        fuzz_expect(strcmp(id, "untouched") == 0);
        return;
    }
    fuzz_expect(fm_service_id_is_valid(id) && length == FM_SERVICE_TOKEN_BYTES - 1);
    fuzz_expect(memcmp(text + 4, id, strlen(id)) == 0);
}

static void try_receipt(const char *text)
{
    struct fm_service_receipt receipt, again;
    memset(&receipt, 0x5a, sizeof receipt);
    memset(&again, 0x5a, sizeof again);
    if (!fm_service_receipt_parse(text, &receipt))
        return;
    fuzz_expect(receipt.charge >= 0 && receipt.spent >= 0 && receipt.left >= 0);
    char written[FM_SERVICE_RECEIPT_BYTES], rewritten[FM_SERVICE_RECEIPT_BYTES];
    fuzz_expect(fm_service_receipt_format(&receipt, written) < sizeof written);
    fuzz_expect(fm_service_receipt_parse(written, &again));
    fm_service_receipt_format(&again, rewritten);
    fuzz_expect(strcmp(written, rewritten) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exact, so that a step too far is seen */
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    try_token(text, size);
    try_receipt(text);
    free(text);
    return 0;
}
