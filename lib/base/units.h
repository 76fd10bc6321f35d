/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quantities as people read them. Pure: no locale, no state; each writes to a buffer of the caller's and
 * returns it.
 */
#ifndef FM_BASE_UNITS_H
#define FM_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define FM_BASE_UNITS_BYTES 32 /* room that every function here needs */

/* "850 ns", "12.3 ms", "4.2 s", "3 min 20 s", "1 h 02 min", "3 d 04 h"; "?" for what is not a time. */
char *fm_base_units_seconds(double seconds, char text[FM_BASE_UNITS_BYTES]);

/* "12,345" below a million, then "1.2 M", "345 G". */
char *fm_base_units_count(uint64_t count, char text[FM_BASE_UNITS_BYTES]);

/* "3.4 k/s", "850/s", "0.5/s"; slow ones "6.0/min", "2.0/h"; "?" for what is not a rate. */
char *fm_base_units_rate(double per_s, char text[FM_BASE_UNITS_BYTES]);

/* "512 B", "1.5 KiB", "200 MiB". */
char *fm_base_units_bytes(uint64_t bytes, char text[FM_BASE_UNITS_BYTES]);

#endif
