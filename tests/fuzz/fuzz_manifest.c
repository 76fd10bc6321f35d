/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The decoder of manifests on arbitrary bytes. Beside what the sanitizers see, it pins that there is one
 * spelling: what is accepted is what the encoder writes of it, and paths stay below the folder that they are
 * put under.
 *
 * By itself: clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Ilib
 * tests/fuzz/fuzz_manifest.c lib/wire/manifest.c lib/base/{error,text}.c, run with a copy of
 * tests/fuzz/corpus/manifest. In `make check`, test_fuzz_replay.c runs it on that corpus.
 */
#include <fastmap.h>
#include <string.h>

#include "fuzz.h"
#include "wire/manifest.h"

const char fuzz_corpus[] = "manifest";

static void expect_safe(const struct fm_wire_file *file)
{
    fuzz_expect(file->role < FM_WIRE_ROLES && file->path[0] == '/' && file->path[1] != '\0');
    fuzz_expect(strstr(file->path, "/../") == NULL && strstr(file->path, "//") == NULL);
    fuzz_expect(file->bytes <= INT64_MAX && strlen(file->path) < FM_WIRE_MANIFEST_PATH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fm_wire_manifest manifest;
    char *again;
    size_t length;
    char *text = malloc(size + 1); /* exact but for the byte that an empty input needs */
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    const int rc = fm_wire_manifest_decode(text, size, &manifest);
    fuzz_expect(rc == 0 || rc == FASTMAP_ERR_PROGRAM);
    if (rc == 0) {
        for (size_t i = 0; i < manifest.count; i++)
            expect_safe(&manifest.files[i]);
        fuzz_expect(fm_wire_manifest_encode(&manifest, &again, &length) == 0);
        fuzz_expect(length == size && memcmp(again, text, size) == 0);
        free(again);
        fm_wire_manifest_free(&manifest);
    }
    free(text);
    return 0;
}
