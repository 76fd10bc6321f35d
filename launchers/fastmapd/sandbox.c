/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From outside the cell: which kind of sandbox this machine has to offer, how a new one is started, what
 * its process has used, and its end.
 *
 * clone3() makes the process in its namespaces at once, with a descriptor for it; the parent then writes
 * which user of the machine the child's user is. As root that is a number that nobody else has, and that no
 * two workers have at the same time; otherwise it is fastmapd's own user, and the namespaces alone
 * separate.
 *
 * CPU time is read from the process's CPU clock, which any process may read of any other: the kernel's sum
 * over its threads, those that have ended included, to the nanosecond and up to now. The filter lets no
 * worker have children, so there is nothing else to add; the process cannot touch that clock; and until the
 * process is reaped its number is no other's. A cgroup's cpu.stat would give the same, where one may be
 * made; rusage has microseconds and comes only at the end.
 */
#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cell.h"
#include "landlock.h"
#include "seccomp.h"

#define THREADS 64               /* of a worker */
#define THREADS_SHARED_USER 4096 /* of a user who has others, where there are no user namespaces */
#define INODES 1024              /* of its /tmp */
#define ADDRESSES \
    ((uint64_t)64 << 30) /* address space beside its memory: bounds page tables to 128 MiB */
#define VARIABLES 64
#define TEXT_BYTES (64 << 10)

static const char *const cell_sentences[] = {[FMD_CELL_NOTHING] = "",
#define SENTENCE(name, sentence) [FMD_CELL_##name] = sentence,
                                             FMD_CELL_STEPS(SENTENCE)
#undef SENTENCE
};

/* ---- What the child needs ---- */

/* Strings of argv and envp in one place. */
struct texts {
    char *argv[8];
    char *envp[VARIABLES + 8];
    size_t used;
    bool full;
    char bytes[TEXT_BYTES];
};

static char *add_text(struct texts *texts, const char *before, const char *text)
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
static char *add_folders(struct texts *texts, const char *root, const char *folders)
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

static void write_command(struct texts *texts, const char *root, const struct fmd_tree *tree)
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

static void write_variables(struct texts *texts, const char *root, const struct fmd_tree *tree,
                            const char *const *variables)
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
    for (int i = 0; i < VARIABLES && variables != NULL && variables[i] != NULL; i++)
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

static int prepare(const struct fmd_sandbox *sandbox, const struct fmd_sandbox_terms *terms,
                   struct fmd_cell *cell, struct texts *texts)
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

/* ---- The start ---- */

static bool write_file(pid_t pid, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    const int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return done;
}

/* Which user of the machine the only user inside is. */
static bool give_numbers(const struct fmd_sandbox *sandbox, unsigned slot, pid_t pid)
{
    char users[64], groups[64];
    const uint32_t own = sandbox->first_uid + slot;
    snprintf(users, sizeof users, "%d %u 1", FMD_CELL_NUMBER, sandbox->own_users ? own : geteuid());
    snprintf(groups, sizeof groups, "%d %u 1", FMD_CELL_NUMBER,
             sandbox->own_users ? own : getegid());
    return (sandbox->own_users || write_file(pid, "setgroups", "deny")) &&
           write_file(pid, "gid_map", groups) && write_file(pid, "uid_map", users);
}

static void let_go(struct fmd_sandbox_page *page)
{
    atomic_store(&page->go, 1);
    (void)syscall(SYS_futex, &page->go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static pid_t make_process(const struct fmd_cell *cell, int *pid_fd)
{
    struct clone_args how = {
        .flags = CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pid_fd,
        .exit_signal = SIGCHLD,
    };
    if (cell->kind == FMD_SANDBOX_NAMESPACES)
        how.flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                     CLONE_NEWCGROUP | (cell->user_namespace ? CLONE_NEWUSER : 0);
    return (pid_t)syscall(SYS_clone3, &how, sizeof how);
}

/* Signals that come before the child has none of our handlers any more would run them there. */
static int start_prepared(const struct fmd_sandbox *sandbox, unsigned slot, struct fmd_cell *cell,
                          struct fmd_sandbox_process *process)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = make_process(cell, &process->pid_fd);
    if (pid == 0)
        fmd_cell_enter(cell);
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return fm_base_fail(FASTMAP_ERR_STATE, "no process can be made for a worker: %s",
                            strerror(error));
    process->pid = pid;
    if (cell->user_namespace && !give_numbers(sandbox, slot, pid)) {
        const int why = errno;
        char unused[1];
        fmd_sandbox_kill(process);
        (void)fmd_sandbox_reap(process, unused, sizeof unused);
        return fm_base_fail(FASTMAP_ERR_STATE, "the user of a worker cannot be set: %s",
                            strerror(why));
    }
    let_go(process->page);
    return 0;
}

int fmd_sandbox_start(const struct fmd_sandbox *sandbox, const struct fmd_sandbox_terms *terms,
                      struct fmd_sandbox_process *process)
{
    struct fmd_cell cell = {0};
    struct texts *texts = calloc(1, sizeof *texts);
    void *page = mmap(NULL, sizeof *process->page, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc = texts == NULL || page == MAP_FAILED
                 ? fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to start a worker")
                 : prepare(sandbox, terms, &cell, texts);
    if (rc == 0) {
        process->page = cell.page = page;
        rc = start_prepared(sandbox, terms->slot, &cell, process);
        page = MAP_FAILED; /* the process has it, or it is gone */
    }
    if (page != MAP_FAILED)
        munmap(page, sizeof *process->page);
    free(cell.filter.filter);
    free(texts);
    return rc;
}

/* ---- Its life and end ---- */

uint64_t fmd_sandbox_cpu_ns(const struct fmd_sandbox_process *process)
{
    clockid_t clock;
    struct timespec used;
    const uint64_t before = atomic_load(&process->page->cpu_ns);
    if (before == 0 || clock_getcpuclockid(process->pid, &clock) != 0 ||
        clock_gettime(clock, &used) != 0)
        return 0;
    const uint64_t now = (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
    return now > before ? now - before : 0;
}

void fmd_sandbox_kill(const struct fmd_sandbox_process *process)
{
    (void)syscall(SYS_pidfd_send_signal, process->pid_fd, SIGKILL, NULL, 0);
}

static void explain(const struct fmd_sandbox_page *page, char *why, size_t bytes)
{
    const uint32_t step = atomic_load(&page->step);
    const int error = atomic_load(&page->error);
    why[0] = '\0';
    if (step != FMD_CELL_NOTHING && step < sizeof cell_sentences / sizeof *cell_sentences)
        snprintf(why, bytes, "%s: %s", cell_sentences[step], strerror(error));
}

int fmd_sandbox_reap(struct fmd_sandbox_process *process, char *why, size_t bytes)
{
    int status = 0;
    pid_t found;
    do
        found = waitpid(process->pid, &status, 0);
    while (found < 0 && errno == EINTR);
    explain(process->page, why, bytes);
    close(process->pid_fd);
    munmap(process->page, sizeof *process->page);
    process->pid = 0;
    process->page = NULL;
    return found < 0 ? 0 : status;
}

/* ---- Which kind ---- */

/* A child that goes all the way, with an empty folder for a program. */
static bool try_kind(struct fmd_sandbox *sandbox, const char *folder, char *why, size_t bytes)
{
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s", folder);
    const struct fmd_tree tree = {.root = root};
    const struct fmd_sandbox_terms terms = {.tree = &tree,
                                            .channel_fd = sandbox->null_fd,
                                            .output_fd = sandbox->null_fd,
                                            .memory_bytes = 64 << 20,
                                            .scratch_bytes = 1 << 20,
                                            .stack_bytes = 1 << 20,
                                            .cpu_s = 10};
    struct fmd_sandbox_process process;
    if (fmd_sandbox_start(sandbox, &terms, &process) != 0) {
        snprintf(why, bytes, "%s", fm_base_last_error());
        return false;
    }
    return fmd_sandbox_reap(&process, why, bytes) == 0;
}

static const struct kind {
    enum fmd_sandbox_kind kind;
    bool user_namespaces;
    bool as_root, as_user; /* for whom it is any good */
    const char *name;
} kinds[] = {
    {FMD_SANDBOX_NAMESPACES, true, true, true, "namespaces"},
    {FMD_SANDBOX_NAMESPACES, false, true, false, "namespaces but those of users"},
    {FMD_SANDBOX_LANDLOCK, false, false, true, "Landlock"},
    {FMD_SANDBOX_BARE, false, false, true, "no protection of this machine's files"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool may_be(const struct kind *kind, bool unconfined)
{
    return (geteuid() == 0 ? kind->as_root : kind->as_user) &&
           (kind->kind != FMD_SANDBOX_BARE || unconfined) &&
           (kind->kind != FMD_SANDBOX_LANDLOCK || fmd_landlock_is_there());
}

static int choose(struct fmd_sandbox *sandbox, bool unconfined, const char *folder)
{
    char why[256] = "";
    for (int i = 0; i < KINDS; i++) {
        sandbox->kind = kinds[i].kind;
        sandbox->user_namespaces = kinds[i].user_namespaces;
        if (may_be(&kinds[i], unconfined) && try_kind(sandbox, folder, why, sizeof why))
            return 0;
    }
    return fm_base_fail(
        FASTMAP_ERR_STATE, "this machine offers no sandbox (%s): allow user namespaces%s", why,
        geteuid() == 0 ? ", or start fastmapd as another user than root"
                       : ", or set run_programs_without_a_sandbox = yes and trust every user");
}

int fmd_sandbox_open(struct fmd_sandbox *sandbox, uint32_t first_uid, bool unconfined)
{
    char folder[] = "/tmp/fastmapd-XXXXXX";
    char inner[sizeof folder + 4];
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->own_users = geteuid() == 0;
    sandbox->first_uid = first_uid != 0 ? first_uid : 0x70000000;
    sandbox->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (sandbox->null_fd < 0 || mkdtemp(folder) == NULL)
        return fm_base_fail(FASTMAP_ERR_STATE, "/dev/null or a folder in /tmp cannot be opened: %s",
                            strerror(errno));
    snprintf(inner, sizeof inner, "%s/tmp", folder);
    int rc = chmod(folder, 0755) != 0 || mkdir(inner, 0755) != 0
                 ? fm_base_fail(FASTMAP_ERR_STATE, "%s cannot be made: %s", inner, strerror(errno))
                 : fmd_seccomp_make(&sandbox->filter);
    if (rc == 0)
        rc = choose(sandbox, unconfined, folder);
    rmdir(inner);
    rmdir(folder);
    if (rc != 0)
        fmd_sandbox_close(sandbox);
    return rc;
}

void fmd_sandbox_close(struct fmd_sandbox *sandbox)
{
    free(sandbox->filter.filter);
    sandbox->filter.filter = NULL;
    if (sandbox->null_fd >= 0)
        close(sandbox->null_fd);
    sandbox->null_fd = -1;
}

const char *fmd_sandbox_describe(const struct fmd_sandbox *sandbox)
{
    switch (sandbox->kind) {
    case FMD_SANDBOX_NAMESPACES:
        return !sandbox->user_namespaces
                   ? "namespaces (none of users), seccomp, a user of its own for each"
               : sandbox->own_users ? "namespaces, seccomp, a user of its own for each"
                                    : "namespaces, seccomp";
    case FMD_SANDBOX_LANDLOCK: return "Landlock, seccomp";
    case FMD_SANDBOX_BARE: break;
    }
    return "seccomp alone: programs can read what fastmapd can read";
}
