/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Formatting that is safe to show, and the distance behind "did you mean". What is said, and where it
 * goes, is up to error.c and log.c.
 */
#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 32, PATH_SHOWN = 160 };

static const char dots[] = "...";

/* Drops the bytes of a UTF-8 character that was cut in the middle. */
static size_t whole_characters(const char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0u) == 0x80u)
        start--;
    if (start == 0)
        return length;
    const unsigned char lead = (unsigned char)text[start - 1];
    const size_t expected = lead >= 0xF0u ? 3 : lead >= 0xE0u ? 2 : lead >= 0xC0u ? 1 : 0;
    return length - start >= expected ? length : start - 1;
}

size_t fm_base_text_format(char *text, size_t bytes, const char *fmt, va_list args)
{
    const int wanted = vsnprintf(text, bytes, fmt, args);
    size_t length = wanted < 0 ? 0 : (size_t)wanted;
    if (length >= bytes) {
        length = whole_characters(text, bytes - sizeof dots);
        memcpy(text + length, dots, sizeof dots);
        length += sizeof dots - 1;
    }
    text[length] = '\0';
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20u || text[i] == 0x7F)
            text[i] = '?';
    return length;
}

static unsigned lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned)(c - 'A' + 'a') : (unsigned char)c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's table, one row at a time: row[j] is the distance from a's first i letters to b's first j. */
size_t fm_base_text_distance(const char *a, const char *b)
{
    const size_t a_length = strnlen(a, WORD_MAX);
    const size_t b_length = strnlen(b, WORD_MAX);
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t replaced = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = least(replaced, 1 + least(row[j], row[j - 1]));
        }
    }
    return row[b_length];
}

const char *fm_base_text_tail(const char *path)
{
    const size_t length = strlen(path);
    return length <= PATH_SHOWN ? path : path + (length - PATH_SHOWN);
}

const char *fm_base_text_dots(const char *path)
{
    return strlen(path) <= PATH_SHOWN ? "" : dots;
}
