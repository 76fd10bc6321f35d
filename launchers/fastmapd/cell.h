/* SPDX-License-Identifier: BSD-3-Clause */
/* What a new process does to itself before it becomes the program, and the plan of it. For sandbox.c
   alone. */
#ifndef FMD_CELL_H
#define FMD_CELL_H

#include <stdbool.h>
#include <sys/resource.h>

#include "sandbox.h"

#define FMD_CELL_NUMBER 1000 /* user and group number inside a user namespace */
#define FMD_CELL_ENTRIES 16  /* entries of the program's own /tmp at most */
#define FMD_CELL_CHANNEL_FD 3

#define FMD_CELL_STEPS(X)                                        \
    X(WAIT, "its user's number could not be set")                \
    X(MOUNTS, "mounts could not be made private")                \
    X(TREE, "the program's folder could not be taken")           \
    X(USER, "it could not become a user without rights")         \
    X(ROOT, "the program's folder could not become the root")    \
    X(SCRATCH, "its /tmp could not be made")                     \
    X(PIVOT, "the host's files could not be left behind")        \
    X(RIGHTS, "its rights could not be dropped")                 \
    X(LANDLOCK, "Landlock could not be applied")                 \
    X(LIMITS, "its limits could not be set")                     \
    X(DESCRIPTORS, "its descriptors could not be arranged")      \
    X(FILTER, "the filter of system calls could not be applied") \
    X(EXEC, "the program's loader could not be executed")

enum fmd_cell_step {
    FMD_CELL_NOTHING = 0,
#define FMD_CELL_STEP(name, sentence) FMD_CELL_##name,
    FMD_CELL_STEPS(FMD_CELL_STEP)
#undef FMD_CELL_STEP
};

struct fmd_cell_limit {
    int resource;
    rlim_t most;
};

/* All that the child needs, made before it exists: it must not allocate, format or take locks. */
struct fmd_cell {
    enum fmd_sandbox_kind kind;
    bool own_user; /* root can and must change to another user */
    bool user_namespace;
    uint32_t number; /* of the user that it becomes, as it sees it itself */
    struct fmd_sandbox_page *page;
    const char *root;   /* absolute, on the host */
    const char *loader; /* absolute, in the program's tree; NULL: no program */
    char **argv;
    char **envp;
    char tmpfs[96]; /* mount options */
    struct fmd_cell_entry {
        char name[256];
        bool is_folder;
    } scratch[FMD_CELL_ENTRIES]; /* what the program has in /tmp */
    unsigned scratch_count;
    struct fmd_cell_limit limits[16];
    unsigned limit_count;
    int channel_fd, output_fd, null_fd;
    struct sock_fprog filter;
};

#define FMD_CELL_VARIABLES 64
#define FMD_CELL_TEXT ((size_t)64 << 10)

/* Strings of argv and envp in one place. */
struct fmd_cell_texts {
    char *argv[8];
    char *envp[FMD_CELL_VARIABLES + 8];
    size_t used;
    bool full;
    char bytes[FMD_CELL_TEXT];
};

/* Writes down all that the child needs; texts are zeroed memory that must last as long. The copy of the
   filter is to be freed, also where this fails. 0, or a code with a sentence. */
int fmd_cell_prepare(const struct fmd_sandbox *sandbox, const struct fmd_sandbox_terms *terms,
                     struct fmd_cell *cell, struct fmd_cell_texts *texts);

/* Never returns. */
void fmd_cell_enter(struct fmd_cell *cell) __attribute__((noreturn));

#endif
