/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts a program that nobody trusts. docs/SANDBOX.md tells what an attacker may try and what stops it;
 * cell.c is what the new process does to itself before it becomes the program, sandbox.c what is prepared
 * before and done from outside.
 */
#ifndef FMD_SANDBOX_H
#define FMD_SANDBOX_H

#include <linux/filter.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store.h"

enum fmd_sandbox_kind {
    FMD_SANDBOX_NAMESPACES, /* of all kinds, its own root; seccomp; limits */
    FMD_SANDBOX_LANDLOCK,   /* Landlock; seccomp; limits: the host's paths, the user of fastmapd */
    FMD_SANDBOX_BARE        /* seccomp and limits alone: no protection of the host's files */
};

struct fmd_sandbox {
    enum fmd_sandbox_kind kind;
    bool own_users;       /* fastmapd is root: each worker gets a user number of its own */
    bool user_namespaces; /* for NAMESPACES; without them only root has any */
    uint32_t first_uid;
    struct sock_fprog filter;
    int null_fd;
};

/* Finds the best kind by trying each with a child that goes all the way but for the program. `unconfined`
   allows BARE. FASTMAP_ERR_STATE, with a sentence, where there is none. */
int fmd_sandbox_open(struct fmd_sandbox *sandbox, uint32_t first_uid, bool unconfined);
void fmd_sandbox_close(struct fmd_sandbox *sandbox);

/* "namespaces, seccomp, a user of its own for each". */
const char *fmd_sandbox_describe(const struct fmd_sandbox *sandbox);

/* A path of the program's as its worker sees it; false: it is too long. */
bool fmd_sandbox_path(const struct fmd_sandbox *sandbox, const struct fmd_tree *tree,
                      const char *path, char *out, size_t bytes);

struct fmd_sandbox_terms {
    const struct fmd_tree *tree; /* NULL: nothing is executed; the child ends with status 0 */
    unsigned slot;               /* which user number; no two live workers have the same */
    int channel_fd;              /* its end of the socket */
    int output_fd;               /* where standard output and error go */
    uint64_t memory_bytes;
    uint64_t scratch_bytes;
    uint64_t stack_bytes;
    uint64_t cpu_s; /* CPU time of its whole life */
    const char *const *variables;
};

/* Physical memory that a process of such terms can take at most: its data, its /tmp and its stack, and what
   the kernel keeps for it (page tables for its address space, stacks of threads, pipes). */
uint64_t fmd_sandbox_most_bytes(uint64_t memory_bytes, uint64_t stack_bytes);

/* The first page that parent and child share, until the exec takes it away. */
struct fmd_sandbox_page {
    _Atomic uint32_t go;     /* the parent has written the child's maps of users */
    _Atomic uint32_t step;   /* what failed: enum fmd_cell_step; 0: nothing did */
    _Atomic int32_t error;   /* and how */
    _Atomic uint64_t cpu_ns; /* its CPU time when it became the program; 0: it has not */
};

struct fmd_sandbox_process {
    pid_t pid;
    int pid_fd; /* readable when it has ended */
    struct fmd_sandbox_page *page;
};

/* Starts one; it is the caller's child, to be ended by fmd_sandbox_kill() and fmd_sandbox_reap(). 0, or
   a code with a sentence. What fails in the child is found at its end. */
int fmd_sandbox_start(const struct fmd_sandbox *sandbox, const struct fmd_sandbox_terms *terms,
                      struct fmd_sandbox_process *process);

/* CPU time of the program so far, all its threads, living and ended, user and system, by the kernel's
   books, without what the start of the sandbox took. Valid until it is reaped. */
uint64_t fmd_sandbox_cpu_ns(const struct fmd_sandbox_process *process);

void fmd_sandbox_kill(const struct fmd_sandbox_process *process);

/* Waits for its end: as waitpid() has it. `why`, where the program never began, gets a sentence, else
   "". */
int fmd_sandbox_reap(struct fmd_sandbox_process *process, char *why, size_t bytes);

#endif
