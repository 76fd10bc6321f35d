/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a fuzz target, which is linked in, on the inputs kept in its corpus (what fuzzing found, and one of
 * each kind), and on these with some bytes changed, the same ones each time. A finding ends the program,
 * which the harness counts as an error and which names the file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "fuzz.h"

#define INPUT_MOST ((size_t)1 << 20)
#define MUTANTS 2000 /* of each input */

static uint8_t input[INPUT_MOST];
static uint8_t mutant[INPUT_MOST];

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Changes, inserts or removes some bytes of the input; returns the mutant's size. */
static size_t mutate(size_t size, uint64_t *state)
{
    memcpy(mutant, input, size);
    for (uint64_t changes = 1 + next_random(state) % 4; changes > 0; changes--) {
        const size_t at = size > 0 ? next_random(state) % size : 0;
        const uint64_t kind = next_random(state) % 8;
        if (kind == 0 && size > 0) {
            size = at;
        } else if (kind == 1 && size + 1 < INPUT_MOST) {
            memmove(mutant + at + 1, mutant + at, size - at);
            mutant[at] = (uint8_t)next_random(state);
            size++;
        } else if (size > 0) {
            mutant[at] = kind < 4   ? (uint8_t)next_random(state)
                         : kind < 6 ? mutant[at] ^ (uint8_t)(1u << next_random(state) % 8)
                                    : (uint8_t)(kind == 6 ? 0xff : 0);
        }
    }
    return size;
}

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
    uint64_t state = size;
    for (int i = 0; i < MUTANTS; i++) {
        const size_t mutated = mutate(size, &state);
        LLVMFuzzerTestOneInput(mutant, mutated);
    }
    return true;
}

TEST(the_target_survives_every_input_of_its_corpus_and_their_mutants)
{
    char folder[512];
    const char *srcdir = getenv("srcdir");
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".",
             fuzz_corpus);
    DIR *listing = opendir(folder);
    if (!CHECK_TRUE(listing != NULL, "%s cannot be opened; is srcdir set?", folder))
        return;
    size_t replayed = 0;
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        if (entry->d_name[0] != '.')
            replayed += replay(folder, entry->d_name);
    closedir(listing);
    CHECK_TRUE(replayed >= 8, "%zu inputs", replayed);
}
