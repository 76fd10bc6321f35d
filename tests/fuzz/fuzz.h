/* SPDX-License-Identifier: BSD-3-Clause */
/* What a fuzz target gives: the function that libFuzzer calls, and the folder of its inputs. */
#ifndef FM_FUZZ_H
#define FM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Below tests/fuzz/corpus. */
extern const char fuzz_corpus[];

/* What every input must satisfy. */
static inline void fuzz_expect(int is_so)
{
    if (!is_so)
        abort();
}

#endif
