/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least of the physical memory and the limits of the cgroups above this process, version 2 and 1. Where
 * these cannot be read there is no limit to be known.
 */
#include "memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t physical(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_MAX;
}

/* The number in a file; UINT64_MAX where there is none, "max" included. */
static uint64_t read_limit(const char *folder, const char *group, const char *name)
{
    char path[PATH_MAX];
    unsigned long long limit;
    if (snprintf(path, sizeof path, "%s%s/%s", folder, group, name) >= (int)sizeof path)
        return UINT64_MAX;
    FILE *from = fopen(path, "re");
    if (from == NULL)
        return UINT64_MAX;
    const int got = fscanf(from, "%llu", &limit);
    fclose(from);
    return got == 1 ? limit : UINT64_MAX;
}

/* A limit of a group holds for those below it. */
static uint64_t least_above(const char *folder, char *group, const char *name)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        const uint64_t limit = read_limit(folder, group, name);
        least = limit < least ? limit : least;
        char *slash = strrchr(group, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup: number:controllers:path. */
static uint64_t limit_of_line(char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL)
        return UINT64_MAX;
    line[strcspn(line, "\n")] = '\0';
    *group++ = '\0';
    if (controllers[1] == '\0')
        return least_above("/sys/fs/cgroup", group, "memory.max");
    if (strcmp(controllers + 1, "memory") == 0)
        return least_above("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    return UINT64_MAX;
}

uint64_t fmd_memory_bytes(void)
{
    char line[PATH_MAX];
    uint64_t least = physical();
    FILE *groups = fopen("/proc/self/cgroup", "re");
    while (groups != NULL && fgets(line, sizeof line, groups) != NULL) {
        const uint64_t limit = limit_of_line(line);
        least = limit < least ? limit : least;
    }
    if (groups != NULL)
        fclose(groups);
    return least;
}
