/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs the fuzz target on the inputs kept in tests/fuzz/corpus/settings: what fuzzing found, and one of
 * each kind of line. A finding ends the program, which the harness counts as an error and which names
 * the file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../test.h"
#include "base/settings_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[FM_BASE_FILE_MAX];

static bool replay(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!CHECK_TRUE(file != NULL, "%s cannot be opened", path))
        return false;
    const size_t size = fread(input, 1, sizeof input, file);
    fclose(file);
    fprintf(stderr, "replaying %s\n", name);
    LLVMFuzzerTestOneInput(input, size);
    return true;
}

TEST(the_settings_parser_survives_every_input_of_the_corpus)
{
    char folder[512];
    const char *srcdir = getenv("srcdir");
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/settings", srcdir != NULL ? srcdir : ".");
    DIR *listing = opendir(folder);
    if (!CHECK_TRUE(listing != NULL, "%s cannot be opened; is srcdir set?", folder))
        return;
    size_t replayed = 0;
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        if (entry->d_name[0] != '.')
            replayed += replay(folder, entry->d_name);
    closedir(listing);
    CHECK_TRUE(replayed >= 10, "%zu inputs", replayed);
}
