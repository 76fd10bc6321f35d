/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sentences for people, in buffers of fixed size: what errors and log lines have in common.
 */
#ifndef FM_BASE_TEXT_H
#define FM_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>

/* Formats into text[bytes] (at least 4) and returns the length. What does not fit ends in "..."; control
   characters, which could come from a file or a label and play tricks with a terminal, become '?'. */
size_t fm_base_text_format(char *text, size_t bytes, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

/* How many single-letter edits (insert, delete, replace) lead from one word to the other, regardless of
   case. Only the first 32 letters of each count. */
size_t fm_base_text_distance(const char *a, const char *b);

/* The error sentence keeps a path's end rather than its beginning, so that the remedy still fits:
   printf("%s%s", FM_BASE_PATH(path)). */
#define FM_BASE_PATH(path) fm_base_text_dots(path), fm_base_text_tail(path)

const char *fm_base_text_tail(const char *path);
const char *fm_base_text_dots(const char *path);

#endif
