/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row for each setting. To add one: a field in struct fmd_config, a row in config_table.c, an entry in
 * docs/man/fastmapd.conf.5. Nothing else.
 */
#ifndef FMD_CONFIG_TABLE_H
#define FMD_CONFIG_TABLE_H

#include "config.h"

enum fmd_config_kind {
    FMD_CONFIG_WORD,
    FMD_CONFIG_COUNT,
    FMD_CONFIG_BYTES,
    FMD_CONFIG_MONEY,
    FMD_CONFIG_STRING
};

struct fmd_config_row {
    const char *key;
    enum fmd_config_kind kind;
    size_t field; /* offset in struct fmd_config; an int64_t, or char[FMD_CONFIG_TEXT] */
    const char *fallback;
    int64_t least, most;  /* of numbers, in the smallest unit */
    const char *words[4]; /* of WORD: value 0, 1, 2; ended by NULL */
    const char *doc;
};

extern const struct fmd_config_row fmd_config_rows[];
extern const size_t fmd_config_count;

#endif
