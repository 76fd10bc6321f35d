/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reader of ELF files on arbitrary bytes: whatever they are, it reads only them, ends, and says either
 * what a loader could use or one sentence.
 *
 * By itself: clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude -Ilib
 * tests/fuzz/fuzz_elf.c lib/program/elf.c lib/base/{error,text}.c, run with a copy of
 * tests/fuzz/corpus/elf. In `make check`, test_fuzz_replay.c runs it on that corpus.
 */
#include <fastmap.h>
#include <string.h>

#include "base/error.h"
#include "fuzz.h"
#include "program/elf.h"

const char fuzz_corpus[] = "elf";

static void expect_usable(const struct fm_program_elf *elf)
{
    fuzz_expect(elf->interpreter == NULL || elf->interpreter[0] == '/');
    fuzz_expect(elf->soname == NULL || elf->soname[0] != '\0');
    fuzz_expect(elf->needed_count <= FM_PROGRAM_NEEDED_MOST && elf->machine != NULL);
    for (size_t i = 0; i < elf->needed_count; i++)
        fuzz_expect(elf->needed[i][0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fm_program_elf elf;
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return 0;
    memcpy(bytes + 1, data, size); /* unaligned, and exact at its end */
    const struct fm_program_input input = fm_program_input_memory(bytes + 1, size);
    fm_base_fail(0, "%s", "");
    const int rc = fm_program_elf_read(&input, "file", &elf);
    fuzz_expect(rc == 0 ||
                (rc == FASTMAP_ERR_PROGRAM && strncmp(fm_base_last_error(), "file is ", 8) == 0));
    if (rc == 0) {
        expect_usable(&elf);
        fm_program_elf_free(&elf);
    }
    free(bytes);
    return 0;
}
