/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files and folders fastmapd trusts: their owner, mode and kind are checked on the opened descriptor,
 * and every refusal names the path, what is wrong with it, and what to do.
 */
#ifndef FMD_PATHS_H
#define FMD_PATHS_H

#include <stddef.h>

enum fmd_paths_trust {
    FMD_PATHS_TRUSTED, /* nobody but its owner and root may write */
    FMD_PATHS_SECRET   /* nor read */
};

/* Opens a folder of the user's own with mode 0700, making it (and what lies above) where it is missing. It
   must be no symbolic link, and no folder above it may be open for others to write (sticky ones may).
   Returns 0 and a descriptor, or CONFIG. */
int fmd_paths_folder(const char *path, int *fd);

/* Reads a whole file of at most `most` bytes; *text, with a NUL behind it, is to be freed. CONFIG. */
int fmd_paths_read(const char *path, enum fmd_paths_trust trust, size_t most, char **text,
                   size_t *length);

/* Writes a new file of mode 0600 as a whole or not at all; an old one of that name is replaced. */
int fmd_paths_write(int folder, const char *name, const void *text, size_t length);

#endif
