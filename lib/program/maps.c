/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads /proc/self/maps, a line a mapping: "start-end perms offset dev inode path". The path's newlines are
 * written \012 there, and " (deleted)" is appended where the file has lost its name. Device and inode are
 * not always those that stat() tells (btrfs, overlay): where they differ the file is mapped a second time,
 * and the kernel's words are compared.
 */
#include "program/maps.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BUFFER_BYTES ((size_t)64 << 10) /* the kernel makes as much of the file as is asked for */

static const char deleted[] = " (deleted)";

static void take_path(const char *text, struct fm_program_mapping *found)
{
    size_t length = strcspn(text, "\n");
    const size_t mark = sizeof deleted - 1;
    found->is_deleted = length > mark && memcmp(text + length - mark, deleted, mark) == 0;
    if (found->is_deleted)
        length -= mark;
    if (length >= sizeof found->path)
        length = 0;
    memcpy(found->path, text, length);
    found->path[length] = '\0';
}

static bool is_at(const char *line, uintptr_t address, struct fm_program_mapping *found)
{
    uintptr_t start;
    uintptr_t end;
    int path = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %x:%x %" SCNu64 " %n", &start, &end,
               &found->device_major, &found->device_minor, &found->inode, &path) != 5 ||
        address < start || address >= end)
        return false;
    take_path(line + path, found);
    return true;
}

bool fm_program_mapped(const void *address, struct fm_program_mapping *found)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return false;
    setvbuf(maps, NULL, _IOFBF, BUFFER_BYTES);
    char *line = NULL;
    size_t bytes = 0;
    bool is_found = false;
    while (!is_found && getline(&line, &bytes, maps) > 0)
        is_found = is_at(line, (uintptr_t)address, found);
    free(line);
    fclose(maps);
    return is_found;
}

static bool is_same(const struct fm_program_mapping *a, const struct fm_program_mapping *b)
{
    return a->inode == b->inode && a->device_major == b->device_major &&
           a->device_minor == b->device_minor;
}

static bool is_as_stat_says(const struct fm_program_mapping *loaded, int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_ino == loaded->inode &&
           major(status.st_dev) == loaded->device_major &&
           minor(status.st_dev) == loaded->device_minor;
}

bool fm_program_maps_file(const void *address, int fd)
{
    struct fm_program_mapping loaded;
    struct fm_program_mapping opened;
    if (!fm_program_mapped(address, &loaded) || loaded.inode == 0)
        return false;
    if (is_as_stat_says(&loaded, fd))
        return true;
    void *page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
    if (page == MAP_FAILED)
        return false;
    const bool is_it = fm_program_mapped(page, &opened) && is_same(&loaded, &opened);
    munmap(page, 1);
    return is_it;
}
