/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing all of a block, whatever interrupts it. */
#ifndef FM_BASE_IO_H
#define FM_BASE_IO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

/* False: an error, which errno says; some of it may have been written. Threads: any. */
static inline bool fm_base_io_write_all(int fd, const void *block, size_t size)
{
    const char *bytes = block;
    while (size > 0) {
        const ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        size -= (size_t)written;
    }
    return true;
}

#endif
