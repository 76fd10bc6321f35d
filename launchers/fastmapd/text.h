/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers and money as text. Pure.
 */
#ifndef FMD_TEXT_H
#define FMD_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define FMD_TEXT_DOLLARS 32

/* Decimal digits only, no sign, no blank; false where it is anything else or above INT64_MAX. */
bool fmd_text_number(const char *text, int64_t *out);

/* "12", "0.05", "1.000000001" dollars as nano-dollars. */
bool fmd_text_money(const char *text, int64_t *nano);

/* "12.00", "0.000013889": two decimals at least, no zeros at the end beyond. */
void fmd_text_dollars(int64_t nano, char text[FMD_TEXT_DOLLARS]);

#endif
