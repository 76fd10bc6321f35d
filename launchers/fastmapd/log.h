/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the service says on standard error: a line for each event, words of the form name=value, for machines
 * and people alike. Never a secret, never what is computed.
 */
#ifndef FMD_LOG_H
#define FMD_LOG_H

#include "config.h"

void fmd_log_start(enum fmd_log_level level);
bool fmd_log_is_on(enum fmd_log_level level);

/* Format and values make words; texts among them go through fmd_log_quote(). */
void fmd_log(enum fmd_log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define FMD_LOG_QUOTED 512

/* Text as one quoted word: anything but printable ASCII, quotes and backslashes is escaped; a cut is shown
   as "...". */
const char *fmd_log_quote(const char *text, char quoted[FMD_LOG_QUOTED]);

#endif
