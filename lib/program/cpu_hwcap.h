/* SPDX-License-Identifier: BSD-3-Clause */
/* Elsewhere than on x86 the kernel tells in two words of bits which instructions a program may use: a
   feature is the number of its bit, which is as good as its name to compare two hosts of one kind. */
#ifndef FM_PROGRAM_CPU_HWCAP_H
#define FM_PROGRAM_CPU_HWCAP_H

#include <stddef.h>
#include <stdio.h>
#include <sys/auxv.h>

static inline size_t fm_program_cpu_word(char *text, size_t bytes, const char *word,
                                         unsigned long bits)
{
    size_t length = 0;
    for (unsigned bit = 0; bit < 8 * sizeof bits; bit++)
        if ((bits >> bit & 1u) != 0 && length + 16 < bytes)
            length += (size_t)snprintf(text + length, bytes - length, "%s.%02u ", word, bit);
    return length;
}

static inline void fm_program_cpu(char *text, size_t bytes)
{
    text[0] = '\0';
    size_t length = fm_program_cpu_word(text, bytes, "hwcap", getauxval(AT_HWCAP));
    length += fm_program_cpu_word(text + length, bytes - length, "hwcap2", getauxval(AT_HWCAP2));
    if (length > 0)
        text[length - 1] = '\0';
}

#endif
