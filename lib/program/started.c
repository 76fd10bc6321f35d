/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When this process started: /proc/self/stat has it in ticks since the machine did. Clocks are set, and a
 * file server has its own: within some seconds, and where a time lies in the future, the answer is no.
 */
#include "program/started.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLACK_S 3.0

/* The 22nd field; the second, the program's name in parentheses, may have spaces and parentheses in it. */
static bool read_ticks(unsigned long long *ticks)
{
    char line[1024];
    FILE *stat = fopen("/proc/self/stat", "re");
    if (stat == NULL)
        return false;
    const bool is_read = fgets(line, sizeof line, stat) != NULL;
    fclose(stat);
    const char *rest = is_read ? strrchr(line, ')') : NULL;
    return rest != NULL &&
           sscanf(rest + 1,
                  " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                  "%*s %*s %llu",
                  ticks) == 1;
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool fm_program_started_before(const struct timespec *time)
{
    unsigned long long ticks;
    const long ticks_per_s = sysconf(_SC_CLK_TCK);
    if (ticks_per_s <= 0 || !read_ticks(&ticks))
        return false;
    const double age = seconds(CLOCK_BOOTTIME) - (double)ticks / (double)ticks_per_s;
    const double now = seconds(CLOCK_REALTIME);
    const double then = (double)time->tv_sec + (double)time->tv_nsec * 1e-9;
    return then > now - age + SLACK_S && then <= now;
}
