/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets and signing headers of requests on arbitrary bytes: the first line is the target, the others are
 * the
 * headers in the order of struct fmd_fields. What is accepted has the pieces that it was cut into.
 */
#include <string.h>

#include "../../launchers/fastmapd/target.h"
#include "fuzz.h"

const char fuzz_corpus[] = "target";

/* The pieces with what stands between them are the text again. */
static void expect_pieces(const struct fmd_target *target)
{
    char again[FMD_TARGET_BYTES] = "";
    fuzz_expect(target->segments >= 1 && target->segments <= FMD_TARGET_SEGMENTS);
    for (size_t i = 0; i < target->segments; i++) {
        fuzz_expect(target->segment[i][0] != '\0');
        strcat(strcat(again, "/"), target->segment[i]);
    }
    for (size_t i = 0; i < target->params; i++) {
        strcat(strcat(again, i == 0 ? "?" : "&"), target->param[i].name);
        strcat(strcat(again, "="), target->param[i].value);
    }
    fuzz_expect(strcmp(again, target->text) == 0);
}

static char *next_line(char **rest)
{
    char *line = *rest;
    if (line == NULL)
        return NULL;
    *rest = strchr(line, '\n');
    if (*rest != NULL)
        *(*rest)++ = '\0';
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fmd_target target;
    struct fmd_claim claim;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *rest = text;
    int64_t number;
    if (fmd_target_parse(next_line(&rest), &target)) {
        expect_pieces(&target);
        if (fmd_target_number(&target, "count", &number))
            fuzz_expect(number >= 0);
    }
    struct fmd_fields fields = {0};
    fields.authorization = next_line(&rest);
    fields.time = next_line(&rest);
    fields.nonce = next_line(&rest);
    fields.digest = next_line(&rest);
    if (fmd_claim_parse(&fields, &claim) == NULL)
        fuzz_expect(strlen(claim.id) == 16 && strlen(claim.signature) == 64 && claim.time_s >= 0);
    free(text);
    return 0;
}
