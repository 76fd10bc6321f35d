/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What elements print: read from the worker's pipe and shown line by line, with the worker's name before
 * each, up to a limit for a map.
 */
#ifndef FM_PROCESS_OUTPUT_H
#define FM_PROCESS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#define FM_PROCESS_OUTPUT_MOST \
    ((size_t)256 << 10) /* bytes of one worker's stream shown of one map */
#define FM_PROCESS_LINE_BYTES 1024

struct fm_process_output {
    int fd; /* the pipe's end; -1: none */
    int to; /* where it is shown: 1 or 2 */
    size_t shown;
    bool full;
    size_t used; /* of a line that has not ended */
    char line[FM_PROCESS_LINE_BYTES];
};

/* Reads what there is, without waiting, and shows the lines that are whole. */
void fm_process_output_drain(struct fm_process_output *output, const char *name);

/* Shows what is left of a line that has not ended. */
void fm_process_output_flush(struct fm_process_output *output, const char *name);

/* Another map begins: the limit counts from 0. */
void fm_process_output_next(struct fm_process_output *output);

#endif
