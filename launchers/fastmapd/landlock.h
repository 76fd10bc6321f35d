/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's Landlock, for where namespaces are forbidden. */
#ifndef FMD_LANDLOCK_H
#define FMD_LANDLOCK_H

#include <stdbool.h>

/* Whether this kernel has it, in a version that can deny all that matters here. */
bool fmd_landlock_is_there(void);

/* Leaves to the calling thread, for good, what lies below one folder, to read and execute: nothing else
   of the file system, no TCP port, no abstract socket, no signal to others. NO_NEW_PRIVS must be set.
   False: errno. Safe in a child of a process with threads. */
bool fmd_landlock_apply(const char *folder);

#endif
