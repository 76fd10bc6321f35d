/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From outside the cell: how one is started, what its process has used, and its end.
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

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cell.h"

static const char *const cell_sentences[] = {[FMD_CELL_NOTHING] = "",
#define SENTENCE(name, sentence) [FMD_CELL_##name] = sentence,
                                             FMD_CELL_STEPS(SENTENCE)
#undef SENTENCE
};

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
    struct fmd_cell_texts *texts = calloc(1, sizeof *texts);
    void *page = mmap(NULL, sizeof *process->page, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int rc = texts == NULL || page == MAP_FAILED
                 ? fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to start a worker")
                 : fmd_cell_prepare(sandbox, terms, &cell, texts);
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
