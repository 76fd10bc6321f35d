/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terms of a map on arbitrary bytes: what is accepted is in range, what is refused has a sentence.
 */
#include <string.h>

#include "../../launchers/fastmapd/terms.h"
#include "fuzz.h"

const char fuzz_corpus[] = "terms";

static void expect_valid(const struct fmd_terms *terms)
{
    fuzz_expect(strlen(terms->key) >= 16 && strlen(terms->key) <= 64);
    fuzz_expect(terms->budget > 0 && terms->pool.vcpus > 0);
    fuzz_expect(terms->pool.in_size <= 1 << 30 && terms->pool.out_size <= 1 << 30);
    fuzz_expect(strlen(terms->pool.module) < FM_WIRE_WORKER_PATH &&
                terms->pool.fenv_bytes <= FM_WIRE_WORKER_FENV);
    if (terms->pool.trail)
        fuzz_expect(!terms->pool.block && terms->pool.in_size >= FM_WIRE_WORKER_TRAIL_BYTES &&
                    terms->pool.out_size >= FM_WIRE_WORKER_TRAIL_BYTES);
    fuzz_expect(terms->has_shared == (terms->pool.shared_bytes > 0));
    for (size_t i = 0; terms->variables[i] != NULL; i++)
        fuzz_expect(strchr(terms->variables[i], '=') != NULL && i < FMD_TERMS_VARIABLES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fmd_terms terms;
    char sentence[FMD_TERMS_SENTENCE] = "";
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    if (fmd_terms_parse(text, size, &terms, sentence))
        expect_valid(&terms);
    else
        fuzz_expect(sentence[0] != '\0');
    fmd_terms_free(&terms);
    free(text);
    return 0;
}
