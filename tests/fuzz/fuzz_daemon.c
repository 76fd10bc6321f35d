/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmapd's configuration file on arbitrary bytes: what is accepted is in range, what is refused names its
 * line.
 */
#include <string.h>

#include "../../launchers/fastmapd/config_table.h"
#include "base/error.h"
#include "fuzz.h"

const char fuzz_corpus[] = "daemon";

static void expect_in_range(const struct fmd_config *config)
{
    for (size_t i = 0; i < fmd_config_count; i++) {
        const struct fmd_config_row *row = &fmd_config_rows[i];
        const char *field = (const char *)config + row->field;
        int64_t number;
        memcpy(&number, field, sizeof number);
        if (row->kind == FMD_CONFIG_STRING)
            fuzz_expect(strnlen(field, FMD_CONFIG_TEXT) < FMD_CONFIG_TEXT);
        else if (row->kind == FMD_CONFIG_WORD)
            fuzz_expect(number >= 0 && number < 3 && row->words[number] != NULL);
        else
            fuzz_expect(number >= row->least && number <= row->most);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fmd_config config;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    fmd_config_default(&config);
    const int rc = fmd_config_parse(&config, "file", text, size);
    fuzz_expect(rc == 0 || rc == FASTMAP_ERR_CONFIG);
    if (rc != 0)
        fuzz_expect(strncmp(fm_base_last_error(), "file:", 5) == 0);
    expect_in_range(&config);
    free(text);
    return 0;
}
