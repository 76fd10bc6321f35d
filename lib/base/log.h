/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the library says on standard error: whole lines, and one status line that is drawn over and over
 * on a terminal. Lines of several threads never mix, and a line printed while a status is shown appears
 * above it.
 */
#ifndef FM_BASE_LOG_H
#define FM_BASE_LOG_H

#include <fastmap.h>
#include <stdbool.h>
#include <stddef.h>

/* Prints "fastmap: ..." if the session's verbosity includes the level (QUIET: warnings; NORMAL; LOUD).
   At most 1 KiB, a cut shown as "...". errno is kept. */
void fm_base_log(enum fastmap_verbosity session, enum fastmap_verbosity level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether standard error is a terminal that a status line can be drawn on (TERM is set and not "dumb").
   A session asks once, when it starts. */
bool fm_base_status_is_terminal(void);

/* Draws the line in place of the last one, cut to the terminal's width; one byte is taken as one column.
   Does nothing where standard error is no terminal. */
void fm_base_status_show(const char *line);

/* Takes the status line away; nothing is left of it on the terminal. */
void fm_base_status_clear(void);

/* Columns that a status or a question has; 0: standard error is no terminal. */
size_t fm_base_status_columns(void);

/* A question in the place of the status line: it stands, with lines above it and the cursor at its end, and
   no status is drawn until it is over. The same text again changes nothing: somebody may be typing. */
void fm_base_question_show(const char *line);

/* The question is over. answered: what was typed has ended its line, and both stay on the screen; else
   nothing is left of it. */
void fm_base_question_end(bool answered);

#endif
