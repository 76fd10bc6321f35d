/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One spelling in, one spelling out: what dollars() writes, money() reads as the same number.
 */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "money.h"

bool fmd_text_number(const char *text, int64_t *out)
{
    int64_t value = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        const unsigned digit = (unsigned)*text - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (int64_t)digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool fmd_text_money(const char *text, int64_t *nano)
{
    char whole[32], decimals[10] = "000000000";
    const size_t before = strcspn(text, ".");
    const size_t after = text[before] == '.' ? strlen(text + before + 1) : 0;
    int64_t dollars, rest;
    if (before >= sizeof whole || after > 9 || (text[before] == '.' && after == 0))
        return false;
    memcpy(whole, text, before);
    whole[before] = '\0';
    memcpy(decimals, text + before + 1, after);
    return fmd_text_number(whole, &dollars) && fmd_text_number(decimals, &rest) &&
           !__builtin_mul_overflow(dollars, FMD_NANO_PER_DOLLAR, &dollars) &&
           !__builtin_add_overflow(dollars, rest, nano);
}

void fmd_text_dollars(int64_t nano, char text[FMD_TEXT_DOLLARS])
{
    const int64_t rest = nano % FMD_NANO_PER_DOLLAR;
    int length = snprintf(text, FMD_TEXT_DOLLARS, "%s%" PRId64 ".%09" PRId64, nano < 0 ? "-" : "",
                          nano < 0 ? -(nano / FMD_NANO_PER_DOLLAR) : nano / FMD_NANO_PER_DOLLAR,
                          rest < 0 ? -rest : rest);
    while (text[length - 1] == '0' && text[length - 3] != '.')
        text[--length] = '\0';
}
