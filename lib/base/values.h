/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings whose values are text with a form of its own: what is accepted, and what it means. Each check
 * returns 0 or the code given, with a sentence that begins with `where`.
 */
#ifndef FM_BASE_VALUES_H
#define FM_BASE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

/* https://host or https://host:port, nothing after it but one slash. A password in it is refused and not
   shown. */
int fm_base_values_check_url(int code, const char *where, const char *text);

/* One or more of sha256//BASE64, joined by semicolons, as curl has them. */
int fm_base_values_check_pin(int code, const char *where, const char *text);

/* US dollars: digits, or digits, a point and at most 9 digits. */
int fm_base_values_check_dollars(int code, const char *where, const char *text);

/* The same, exactly, in nano-dollars; false, and *nano untouched, for anything else. */
bool fm_base_values_dollars(const char *text, int64_t *nano);

#endif
