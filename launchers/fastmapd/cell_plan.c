/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a cell is going to be, written down before the process exists, which can then neither allocate nor
 * format: its command and variables, its limits, its own copy of the filter.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "cell.h"
#include "seccomp.h"

#define THREADS 64               /* of a worker */
#define THREADS_SHARED_USER 4096 /* of a user who has others, where there are no user namespaces */
#define INODES 1024              /* of its /tmp */
#define ADDRESSES \
    ((uint64_t)64 << 30) /* address space beside its memory: bounds page tables to 1/512 of it */

#define PIPES \
    ((uint64_t)16 << 20) /* what is in them, and other small things of the kernel's, at most */

uint64_t fmd_sandbox_most_bytes(uint64_t memory_bytes, uint64_t stack_bytes)
{
    return memory_bytes + stack_bytes + (memory_bytes + ADDRESSES) / 512 + PIPES;
}

static char *add_text(struct fmd_cell_texts *texts, const char *before, const char *text)
{
    char *made = texts->bytes + texts->used;
    const size_t room = sizeof texts->bytes - texts->used;
    const int length = snprintf(made, room, "%s%s", before, text);
    if (length < 0 || (size_t)length >= room)
        texts->full = true;
    else
        texts->used += (size_t)length + 1;
    return made;
}

bool fmd_sandbox_path(const struct fmd_sandbox *sandbox, const struct fmd_tree *tree,
                      const char *path, char *out, size_t bytes)
{
    const bool inside = sandbox->kind == FMD_SANDBOX_NAMESPACES || path[0] == '\0';
    const int length = snprintf(out, bytes, "%s%s", inside ? "" : tree->root, path);
    return length >= 0 && (size_t)length < bytes;
}

/* The library folders as the worker sees them. */
static char *add_folders(struct fmd_cell_texts *texts, const char *root, const char *folders)
{
    char *all = texts->bytes + texts->used;
    for (const char *from = folders; *from != '\0' && !texts->full;) {
        const size_t length = strcspn(from, ":");
        char folder[PATH_MAX];
        const int made = snprintf(folder, sizeof folder, "%s%.*s", root, (int)length, from);
        if (made < 0 || (size_t)made >= sizeof folder)
            texts->full = true;
        if (from != folders)
            texts->bytes[texts->used - 1] = ':';
        (void)add_text(texts, "", folder);
        from += length + (from[length] == ':');
    }
    return all;
}

static void write_command(struct fmd_cell_texts *texts, const char *root,
                          const struct fmd_tree *tree)
{
    char **argv = texts->argv;
    *argv++ = add_text(texts, root, tree->loader);
    *argv++ = add_text(texts, "--library-path", "");
    *argv++ = add_folders(texts, root, tree->folders);
    *argv++ = add_text(texts, "--preload", "");
    *argv++ = add_text(texts, root, tree->worker);
    *argv++ = add_text(texts, root, tree->executable);
    *argv = NULL;
}

static void write_variables(struct fmd_cell_texts *texts, const char *root,
                            const struct fmd_tree *tree, const char *const *variables)
{
    char **envp = texts->envp;
    *envp++ = add_text(texts, "FASTMAP_WORKER_FD=", "3");
    if (tree->fastmap != NULL) {
        char path[PATH_MAX];
        const int length = snprintf(path, sizeof path, "%s%s", root, tree->fastmap);
        texts->full = texts->full || length < 0 || (size_t)length >= sizeof path;
        *envp++ = add_text(texts, "FASTMAP_WORKER_LIBRARY=", path);
    }
    *envp++ = add_text(texts, "HOME=/tmp", "");
    *envp++ = add_text(texts, "TMPDIR=/tmp", "");
    *envp++ = add_text(texts, "LC_ALL=C", "");
    for (int i = 0; i < FMD_CELL_VARIABLES && variables != NULL && variables[i] != NULL; i++)
        *envp++ = add_text(texts, "", variables[i]);
    *envp = NULL;
}

/* What the program itself has in /tmp, over which the worker's own /tmp is going to lie. */
static bool list_scratch(const struct fmd_tree *tree, struct fmd_cell *cell)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tmp", tree->root);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return false;
    bool fits = true;
    for (struct dirent *found; (found = readdir(folder)) != NULL && fits;) {
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        fits = cell->scratch_count < FMD_CELL_ENTRIES;
        if (!fits)
            break;
        struct fmd_cell_entry *entry = &cell->scratch[cell->scratch_count++];
        snprintf(entry->name, sizeof entry->name, "%s", found->d_name);
        entry->is_folder = found->d_type == DT_DIR;
    }
    closedir(folder);
    return fits;
}

static void set_limit(struct fmd_cell *cell, int resource, uint64_t most)
{
    cell->limits[cell->limit_count++] = (struct fmd_cell_limit){.resource = resource, .most = most};
}

static void write_limits(struct fmd_cell *cell, const struct fmd_sandbox_terms *terms)
{
    const uint64_t data = terms->memory_bytes - terms->scratch_bytes;
    set_limit(cell, RLIMIT_AS, terms->memory_bytes + ADDRESSES);
    set_limit(cell, RLIMIT_DATA, data);
    set_limit(cell, RLIMIT_STACK, terms->stack_bytes);
    set_limit(cell, RLIMIT_FSIZE, terms->scratch_bytes);
    set_limit(cell, RLIMIT_CPU, terms->cpu_s);
    set_limit(cell, RLIMIT_NPROC,
              cell->user_namespace || cell->own_user ? THREADS : THREADS_SHARED_USER);
    set_limit(cell, RLIMIT_NOFILE, FMD_SECCOMP_EXEC_FD);
    set_limit(cell, RLIMIT_SIGPENDING, THREADS);
    set_limit(cell, RLIMIT_MEMLOCK, 0);
    set_limit(cell, RLIMIT_MSGQUEUE, 0);
    /* Not 0, which does not stop a core_pattern with a pipe: 1 stops that, and is too little for a file. */
    set_limit(cell, RLIMIT_CORE, 1);
}

int fmd_cell_prepare(const struct fmd_sandbox *sandbox, const struct fmd_sandbox_terms *terms,
                     struct fmd_cell *cell, struct fmd_cell_texts *texts)
{
    const struct fmd_tree *tree = terms->tree;
    const char *root = sandbox->kind == FMD_SANDBOX_NAMESPACES ? "" : tree->root;
    cell->kind = sandbox->kind;
    cell->own_user = sandbox->own_users;
    cell->user_namespace = sandbox->user_namespaces;
    cell->number = sandbox->user_namespaces ? FMD_CELL_NUMBER : sandbox->first_uid + terms->slot;
    cell->root = tree->root;
    cell->channel_fd = terms->channel_fd;
    cell->output_fd = terms->output_fd;
    cell->null_fd = sandbox->null_fd;
    cell->filter.len = sandbox->filter.len;
    cell->filter.filter = malloc(sandbox->filter.len * sizeof *sandbox->filter.filter);
    if (cell->filter.filter == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to start a worker");
    memcpy(cell->filter.filter, sandbox->filter.filter,
           sandbox->filter.len * sizeof *sandbox->filter.filter);
    snprintf(cell->tmpfs, sizeof cell->tmpfs, "size=%llu,nr_inodes=%d,mode=0700",
             (unsigned long long)terms->scratch_bytes, INODES);
    write_limits(cell, terms);
    if (!list_scratch(tree, cell))
        return fm_base_fail(FASTMAP_ERR_STATE,
                            "the program cannot be started: it has too many files of its "
                            "own in /tmp, or its folder is damaged");
    if (tree->loader != NULL) {
        write_command(texts, root, tree);
        write_variables(texts, root, tree, terms->variables);
        cell->loader = texts->argv[0];
    }
    cell->argv = texts->argv;
    cell->envp = texts->envp;
    return texts->full
               ? fm_base_fail(FASTMAP_ERR_STATE, "the program cannot be started: its paths and "
                                                 "variables are longer than 64 KiB")
               : 0;
}
