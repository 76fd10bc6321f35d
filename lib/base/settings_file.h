/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file's text. Pure: bytes in, values or an error out; settings.c finds and reads the
 * file, the fuzzer drives this directly.
 */
#ifndef FM_BASE_SETTINGS_FILE_H
#define FM_BASE_SETTINGS_FILE_H

#include <stddef.h>

#include "base/settings_table.h"

#define FM_BASE_FILE_MAX ((size_t)65536) /* bytes of a configuration file */
#define FM_BASE_FILE_LINE_MAX 4352 /* bytes of a line: a secret of full length and its key fit */

/*
 * Parses text[length], of which text[length] must be writable too: values are ended by '\0' in place, and
 * the layer points to them. CONFIG names path and line.
 */
int fm_base_settings_parse_file(const char *path, char *text, size_t length,
                                struct fm_base_layer *layer);

#endif
