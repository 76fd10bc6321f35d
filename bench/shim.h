/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the shim of workers lies that was built with a bench, which is linked to run where it is. */
#ifndef FM_BENCH_SHIM_H
#define FM_BENCH_SHIM_H

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline const char *bench_shim(void)
{
    static char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t end = slash != NULL ? (size_t)(slash - path) : 0;
    snprintf(path + end, PATH_MAX - end, "/../.libs/fastmap-worker.so");
    return path;
}

#endif
