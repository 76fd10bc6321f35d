/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Composes what goes to standard error and writes each piece with one write(2), bypassing stdio, whose
 * buffers belong to the application. It decides nothing about what is worth saying: callers do.
 *
 * The lock protects the status line and keeps write order and status in step. It is held across fork(),
 * so that a child never inherits it locked; the child starts without a status line, since the line on
 * the terminal is its parent's.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

enum {
    LINE_BYTES = 1024,
    STATUS_BYTES = 256,
    USUAL_COLUMNS = 80 /* for terminals that do not know, such as serial lines */
};

static const char prefix[] = "fastmap: ";
static const char erase_line[] = "\r\033[K";

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char status[STATUS_BYTES]; /* what is on the terminal; "" for nothing */
static bool asks;                 /* it is a question */

/* ---- The lock ---------------------------------------------------------------------------------- */

static void lock_before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void unlock_in_child(void)
{
    status[0] = '\0';
    asks = false;
    pthread_mutex_unlock(&lock);
}

static void prepare_for_fork(void)
{
    pthread_atfork(lock_before_fork, unlock_in_parent, unlock_in_child);
}

static void acquire(void)
{
    pthread_once(&fork_once, prepare_for_fork);
    pthread_mutex_lock(&lock);
}

static void release(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- Composing and writing ------------------------------------------------------------------------ */

/* One piece of output: room for a line, the status erased before it and redrawn after it. */
struct output {
    size_t length;
    char text[LINE_BYTES + STATUS_BYTES + 2 * sizeof erase_line];
};

static void append(struct output *output, const char *text, size_t length)
{
    memcpy(output->text + output->length, text, length);
    output->length += length;
}

/* A standard error that is closed, full or broken is no reason to fail: the rest is dropped. */
static void write_out(const struct output *output)
{
    size_t done = 0;
    while (done < output->length) {
        const ssize_t written = write(STDERR_FILENO, output->text + done, output->length - done);
        if (written < 0 && errno != EINTR)
            return;
        if (written > 0)
            done += (size_t)written;
    }
}

static void append_erasure(struct output *output)
{
    if (status[0] != '\0')
        append(output, erase_line, sizeof erase_line - 1);
}

void fm_base_log(enum fastmap_verbosity session, enum fastmap_verbosity level, const char *fmt, ...)
{
    if (session < level)
        return;
    const int kept_errno = errno;
    char line[LINE_BYTES - sizeof prefix];
    va_list args;
    va_start(args, fmt);
    const size_t length = fm_base_text_format(line, sizeof line, fmt, args);
    va_end(args);

    struct output output = {0};
    acquire();
    append_erasure(&output);
    append(&output, prefix, sizeof prefix - 1);
    append(&output, line, length);
    append(&output, "\n", 1);
    append(&output, status, strlen(status));
    write_out(&output);
    release();
    errno = kept_errno;
}

/* ---- The status line ------------------------------------------------------------------------------ */

bool fm_base_status_is_terminal(void)
{
    const int kept_errno = errno;
    const char *term = getenv("TERM");
    const bool is_capable = term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    const bool is_terminal = is_capable && isatty(STDERR_FILENO);
    errno = kept_errno;
    return is_terminal;
}

/* Asked each time because windows change. A character in the last column makes some terminals move to the
   next line. */
size_t fm_base_status_columns(void)
{
    struct winsize size;
    const int kept_errno = errno;
    const bool is_terminal = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
    errno = kept_errno;
    if (!is_terminal)
        return 0;
    return size.ws_col > 0 ? size.ws_col - 1u : USUAL_COLUMNS - 1;
}

static void set_status(const char *line, size_t columns)
{
    const size_t room = columns < STATUS_BYTES - 1 ? columns : STATUS_BYTES - 1;
    const size_t length = strnlen(line, room);
    for (size_t i = 0; i < length; i++)
        status[i] = (char)((unsigned char)line[i] < 0x20u || line[i] == 0x7F ? '?' : line[i]);
    status[length] = '\0';
}

/* Under the lock. */
static void draw(const char *line, size_t columns)
{
    struct output output = {0};
    set_status(line, columns);
    append(&output, erase_line, sizeof erase_line - 1);
    append(&output, status, strlen(status));
    write_out(&output);
}

/* Under the lock. */
static void erase(void)
{
    struct output output = {0};
    append_erasure(&output);
    status[0] = '\0';
    write_out(&output);
}

void fm_base_status_show(const char *line)
{
    const int kept_errno = errno;
    const size_t columns = fm_base_status_columns();
    if (columns > 0) {
        acquire();
        if (!asks)
            draw(line, columns);
        release();
    }
    errno = kept_errno;
}

void fm_base_status_clear(void)
{
    const int kept_errno = errno;
    acquire();
    if (!asks)
        erase();
    release();
    errno = kept_errno;
}

/* ---- The question --------------------------------------------------------------------------------- */

void fm_base_question_show(const char *line)
{
    const int kept_errno = errno;
    const size_t columns = fm_base_status_columns();
    if (columns > 0) {
        acquire();
        if (!asks || strncmp(line, status, columns) != 0)
            draw(line, columns);
        asks = true;
        release();
    }
    errno = kept_errno;
}

void fm_base_question_end(bool answered)
{
    const int kept_errno = errno;
    acquire();
    if (asks && !answered)
        erase();
    else if (asks)
        status[0] = '\0';
    asks = false;
    release();
    errno = kept_errno;
}
