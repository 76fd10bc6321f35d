/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line is written in one piece, so that those of several workers do not mix. What comes after the limit is
 * read and forgotten: a worker never waits for its output to be shown, whatever it prints.
 */
#include "tier/process/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/io.h"

#define READ_BYTES 16384
#define READS 64 /* at a time: somebody else has to be listened to as well */

static void show(const struct fm_process_output *output, const char *name, const char *line,
                 size_t bytes)
{
    char text[FM_PROCESS_LINE_BYTES + 64];
    const int length = snprintf(text, sizeof text, "[%s] %.*s\n", name, (int)bytes, line);
    if (length > 0)
        (void)fm_base_io_write_all(output->to, text,
                                   (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void say_full(struct fm_process_output *output, const char *name)
{
    char text[96];
    const int length =
        snprintf(text, sizeof text, "it has printed more than %zu KiB: the rest is not shown",
                 FM_PROCESS_OUTPUT_MOST >> 10);
    output->full = true;
    show(output, name, text, (size_t)length);
}

void fm_process_output_flush(struct fm_process_output *output, const char *name)
{
    if (output->used > 0 && !output->full)
        show(output, name, output->line, output->used);
    output->used = 0;
}

static void take(struct fm_process_output *output, const char *name, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && !output->full; i++) {
        if (output->shown++ >= FM_PROCESS_OUTPUT_MOST)
            say_full(output, name);
        else if (text[i] == '\n' && output->used == 0)
            show(output, name, "", 0);
        else if (text[i] == '\n')
            fm_process_output_flush(output, name);
        else
            output->line[output->used++] = text[i];
        if (output->used == sizeof output->line)
            fm_process_output_flush(output, name);
    }
}

void fm_process_output_drain(struct fm_process_output *output, const char *name)
{
    char text[READ_BYTES];
    for (int i = 0; i < READS && output->fd >= 0; i++) {
        const ssize_t bytes = read(output->fd, text, sizeof text);
        if (bytes > 0) {
            take(output, name, text, (size_t)bytes);
        } else if (bytes == 0) {
            close(output->fd);
            output->fd = -1;
        } else if (errno != EINTR) {
            return;
        }
    }
}

void fm_process_output_next(struct fm_process_output *output)
{
    output->shown = 0;
    output->full = false;
}
