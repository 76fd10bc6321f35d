/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hexadecimal text: one spelling for each value.
 */
#include "service/hex.h"

void fm_service_hex(const uint8_t *bytes, size_t count, char *text)
{
    static const char digits[16] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * count] = '\0';
}

/* 0 to 15, or -1. */
static int value_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool fm_service_unhex(const char *text, size_t count, uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        const int high = value_of(text[2 * i]);
        const int low = high < 0 ? -1 : value_of(text[2 * i + 1]);
        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * count] == '\0';
}
