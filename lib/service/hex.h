/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes as lower-case hexadecimal digits, and back. Pure.
 */
#ifndef FM_SERVICE_HEX_H
#define FM_SERVICE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a digest or signature, and of its text with the NUL. */
#define FM_SERVICE_DIGEST_BYTES 32
#define FM_SERVICE_HEX_BYTES 65

/* text gets 2 * count digits and a NUL. */
void fm_service_hex(const uint8_t *bytes, size_t count, char *text);

/* Reads 2 * count digits and no more: text[2 * count] must be NUL. False, and bytes undefined, for
   anything else; upper case is anything else too, so that a digest has one name. */
bool fm_service_unhex(const char *text, size_t count, uint8_t *bytes);

#endif
