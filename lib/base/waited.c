/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/waited.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* The file is one line: time on a processor, time waiting for one, number of turns. */
uint64_t fm_base_waited_ns(void)
{
    return fm_base_waited_ns_of(gettid());
}

uint64_t fm_base_waited_ns_of(pid_t thread)
{
    char text[96];
    (void)snprintf(text, sizeof text, "/proc/self/task/%d/schedstat", (int)thread);
    const int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    const ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    uint64_t waited = 0;
    return sscanf(text, "%*u %" SCNu64, &waited) == 1 ? waited : 0;
}
