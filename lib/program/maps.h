/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which file is mapped at an address, as the kernel says it: the file itself, which may no longer be what
 * the path leads to.
 */
#ifndef FM_PROGRAM_MAPS_H
#define FM_PROGRAM_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "program/module.h"

struct fm_program_mapping {
    unsigned device_major, device_minor;
    uint64_t inode;                   /* 0: no file */
    char path[FM_PROGRAM_PATH_BYTES]; /* "" or in brackets: no file */
    bool is_deleted;                  /* the path is the one that the file had */
};

/* False: nothing is mapped there, or /proc cannot be read. */
bool fm_program_mapped(const void *address, struct fm_program_mapping *found);

/* Whether what is mapped at the address is the file that the descriptor is open on. */
bool fm_program_maps_file(const void *address, int fd);

#endif
