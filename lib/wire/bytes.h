/* SPDX-License-Identifier: BSD-3-Clause */
/* Integers as bytes, little end first, on every machine. */
#ifndef FM_WIRE_BYTES_H
#define FM_WIRE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void fm_wire_put(uint8_t *bytes, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t fm_wire_get(const uint8_t *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

#endif
