/* SPDX-License-Identifier: BSD-3-Clause */
/* Which system calls a worker may make, as a program for the kernel. */
#ifndef FMD_SECCOMP_H
#define FMD_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/types.h>

/* The descriptor that may be executed, once: a worker cannot open one of this number, since it is above
   its RLIMIT_NOFILE, and it is closed by the exec. So nothing can be executed after the start. */
#define FMD_SECCOMP_EXEC_FD 64

/* Stands in the filter where the worker's own process number belongs. */
#define FMD_SECCOMP_PID_MARK 0x7fed4321u

/* Makes the filter, instructions to be freed. FASTMAP_ERR_STATE with a sentence. */
int fmd_seccomp_make(struct sock_fprog *filter);

/* Puts the process number in. Safe in a child of a process with threads. */
void fmd_seccomp_fill(struct sock_fprog *filter, pid_t pid);

/* Applies it to the calling thread; false: errno. Safe likewise. */
bool fmd_seccomp_apply(const struct sock_fprog *filter);

#endif
