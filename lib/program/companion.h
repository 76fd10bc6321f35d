/* SPDX-License-Identifier: BSD-3-Clause */
/* The files that are installed beside the library: plugins, and the shim of workers. */
#ifndef FM_PROGRAM_COMPANION_H
#define FM_PROGRAM_COMPANION_H

#include <limits.h>
#include <stdbool.h>

/* Finds one: beside the library itself, in its folder `fastmap` or (in a build folder) right there, or else
   where it was configured to be. False: there is none; path then says where it should be. */
bool fm_program_companion(const char *name, char path[PATH_MAX]);

/* Opens a plugin among them, for good, and returns its table, of which the first member is an int: its
   version. NULL: it does not load or is another version; why says which. Threads: any. */
const void *fm_program_companion_plugin(const char *name, const char *table, int version,
                                        const char **why);

#endif
