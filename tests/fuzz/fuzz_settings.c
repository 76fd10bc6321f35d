/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of the configuration file on arbitrary bytes. Beside what the sanitizers see, it pins what
 * every input must satisfy: 0 or CONFIG, an error leaves a sentence, and what was accepted is in range.
 *
 * By itself: clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Ilib
 * tests/fuzz/fuzz_settings.c lib/base/{error,secret,settings_file,settings_table,text,values}.c, run with a
 * copy of tests/fuzz/corpus/settings. In `make check`, test_fuzz_replay.c runs it on that corpus.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/settings_file.h"
#include "fuzz.h"

const char fuzz_corpus[] = "settings";

static void expect_valid(const struct fm_base_layer *layer, unsigned lines)
{
    struct fm_base_settings settings = {0};
    for (size_t key = 0; key < FM_BASE_KEYS; key++)
        fuzz_expect(layer->values[key].line <= lines);
    fuzz_expect(fm_base_settings_store(layer, &settings) == 0);
    fuzz_expect(settings.exec_policy <= FASTMAP_EXEC_POLICY_CLOUD);
    fuzz_expect(settings.verbosity <= FASTMAP_VERBOSITY_LOUD);
    fuzz_expect(settings.max_local_workers >= 0 && settings.max_local_workers <= 4096);
    fuzz_expect(settings.bind <= FASTMAP_BIND_NONE);
    fuzz_expect(settings.progress <= FASTMAP_PROGRESS_OFF);
    fuzz_expect(settings.confirm_charges <= FASTMAP_CONFIRM_OFF);
    fuzz_expect(settings.max_cloud_workers >= 0 && settings.max_cloud_workers <= 65536);
    fuzz_expect(settings.max_charge >= -1);
    fuzz_expect(settings.cloud_url == NULL || strncasecmp(settings.cloud_url, "https://", 8) == 0);
    fm_base_settings_free_texts(&settings);
    const char *secret = layer->values[FM_BASE_KEY_SECRET].text;
    fuzz_expect(secret == NULL ||
                (secret[0] != '\0' && strcspn(secret, " \t\r\n") == strlen(secret)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > FM_BASE_FILE_MAX)
        return 0;
    char *text = malloc(size + 1); /* exact, so that a step too far is seen */
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    struct fm_base_layer layer = {0};
    fm_base_fail(0, "%s", "");
    const int rc = fm_base_settings_parse_file("file", text, size, &layer);
    fuzz_expect(rc == 0 || rc == FASTMAP_ERR_CONFIG);
    if (rc == 0)
        expect_valid(&layer, (unsigned)size);
    else
        fuzz_expect(strncmp(fm_base_last_error(), "file:", 5) == 0);
    free(text);
    return 0;
}
