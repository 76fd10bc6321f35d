/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The steps into the cell, in the one order in which each is still allowed: mounts need the rights over the
 * own namespaces, these go with the capabilities, and the filter, last, forbids all that was done before.
 *
 * It runs in a copy of a process that may have had many threads: so nothing but system calls, no
 * allocation, no locks. What fails is written to the page that parent and child share, and the child ends:
 * there is no step after which it would go on with less.
 *
 * The program's folder is opened while the child still has the number of fastmapd's user (its parents are
 * closed to all others), cloned as a mount of its own, made read-only, and becomes the root. Nothing else
 * of the host is in it: no /proc, no /dev, no /sys. Over its /tmp lies a small file system in memory; what
 * the program itself has in /tmp is put back into that.
 *
 * The loader is executed by its descriptor, whose number is above the limit of descriptors that the child
 * then has: the filter allows that number only, so a program can never execute anything again.
 */
#include "cell.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "landlock.h"
#include "seccomp.h"

/* From <sys/mount.h>, which does not go together with <linux/mount.h>. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *options);
int umount2(const char *target, int flags);
#define DETACH 2

#define WAIT_S 30

static __attribute__((noreturn)) void leave(struct fmd_cell *cell, enum fmd_cell_step step)
{
    atomic_store(&cell->page->error, errno);
    atomic_store(&cell->page->step, (uint32_t)step);
    _exit(127);
}

static void must(struct fmd_cell *cell, bool done, enum fmd_cell_step step)
{
    if (!done)
        leave(cell, step);
}

/* Until the parent has given the new user namespace its numbers, which takes it some microseconds. */
static void wait_for_numbers(struct fmd_cell *cell)
{
    for (int seconds = 0; atomic_load(&cell->page->go) == 0; seconds++) {
        const struct timespec most = {.tv_sec = 1};
        const long rc = syscall(SYS_futex, &cell->page->go, FUTEX_WAIT, 0, &most, NULL, 0);
        must(cell,
             seconds < WAIT_S &&
                 (rc == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT),
             FMD_CELL_WAIT);
    }
}

/* ---- Files ---- */

/* A mount of its own of what lies there, which nobody can write to, nor find a device or a set-user
   program in. */
static int clone_mount(int folder, const char *name)
{
    struct mount_attr attributes = {.attr_set =
                                        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    const int fd = (int)syscall(SYS_open_tree, folder, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd >= 0 &&
        syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool move_mount_to(int fd, int target)
{
    return target >= 0 && syscall(SYS_move_mount, fd, "", target, "",
                                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

struct mounts {
    int tree;
    int target; /* where the tree is mounted: the folder itself */
    int scratch[FMD_CELL_ENTRIES];
};

static void take_files(struct fmd_cell *cell, struct mounts *mounts)
{
    must(cell, mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, FMD_CELL_MOUNTS);
    mounts->target = open(cell->root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    mounts->tree = clone_mount(AT_FDCWD, cell->root);
    must(cell, mounts->target >= 0 && mounts->tree >= 0, FMD_CELL_TREE);
    const int scratch =
        openat(mounts->target, "tmp", O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    must(cell, scratch >= 0, FMD_CELL_TREE);
    for (unsigned i = 0; i < cell->scratch_count; i++) {
        mounts->scratch[i] = clone_mount(scratch, cell->scratch[i].name);
        must(cell, mounts->scratch[i] >= 0, FMD_CELL_TREE);
    }
}

static bool put_back(const struct fmd_cell_entry *entry, int scratch, int mount_fd)
{
    const int made = entry->is_folder
                         ? mkdirat(scratch, entry->name, 0700)
                         : openat(scratch, entry->name, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const int target =
        made < 0 ? -1 : openat(scratch, entry->name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    return move_mount_to(mount_fd, target);
}

static void change_root(struct fmd_cell *cell, const struct mounts *mounts)
{
    must(cell, move_mount_to(mounts->tree, mounts->target) && fchdir(mounts->tree) == 0,
         FMD_CELL_ROOT);
    must(cell, mount("fastmap", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, cell->tmpfs) == 0,
         FMD_CELL_SCRATCH);
    const int scratch = open("tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < cell->scratch_count; i++)
        must(cell, put_back(&cell->scratch[i], scratch, mounts->scratch[i]), FMD_CELL_SCRATCH);
    must(cell,
         syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", DETACH) == 0 && chdir("/") == 0,
         FMD_CELL_PIVOT);
}

/* ---- Rights ---- */

static bool become_user(const struct fmd_cell *cell)
{
    const uint32_t number = cell->number;
    /* Its rights over its namespaces are needed a little longer. */
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0)
        return false;
    if (cell->own_user && syscall(SYS_setgroups, (size_t)0, NULL) != 0)
        return false;
    /* The system calls themselves: the library's wait for threads that this copy does not have. */
    return syscall(SYS_setresgid, number, number, number) == 0 &&
           syscall(SYS_setresuid, number, number, number) == 0;
}

static bool drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[2] = {{0}, {0}};
    for (int capability = 0; capability <= 63; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL && errno != EPERM)
            return false;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

/* It ends when fastmapd does. To be said again after a change of user, which undoes it. */
static bool follow_parent(void)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0;
}

/* Whether fastmapd has not ended just before that was said. Only this process and it have had the
   channel's other end, and this one has no longer. */
static bool has_parent(void)
{
    struct pollfd channel = {.fd = FMD_CELL_CHANNEL_FD};
    return poll(&channel, 1, 0) >= 0 && (channel.revents & (POLLHUP | POLLERR)) == 0;
}

static void reset_signals(void)
{
    const struct sigaction plain = {.sa_handler = SIG_DFL};
    const struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigset_t none;
    for (int signal = 1; signal < _NSIG; signal++)
        (void)sigaction(signal, &plain, NULL);
    /* When its output has been too long the pipe is closed: printf() then fails, and nobody minds. */
    (void)sigaction(SIGPIPE, &ignored, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool set_limits(const struct fmd_cell *cell)
{
    for (unsigned i = 0; i < cell->limit_count; i++) {
        const struct rlimit limit = {.rlim_cur = cell->limits[i].most,
                                     .rlim_max = cell->limits[i].most};
        if (setrlimit((unsigned)cell->limits[i].resource, &limit) != 0)
            return false;
    }
    return true;
}

/* 0 nothing, 1 and 2 output, 3 the channel, FMD_SECCOMP_EXEC_FD the loader, and no other. They may be
   any numbers now, these ones too: so first they go out of the way. */
static bool arrange(const struct fmd_cell *cell, int loader)
{
    const int wanted[] = {cell->null_fd, cell->output_fd, cell->output_fd, cell->channel_fd};
    int high[4];
    const int exec_fd = loader < 0 ? -1 : fcntl(loader, F_DUPFD, FMD_SECCOMP_EXEC_FD + 1);
    for (int i = 0; i < 4; i++)
        if ((high[i] = fcntl(wanted[i], F_DUPFD, FMD_SECCOMP_EXEC_FD + 1)) < 0)
            return false;
    for (int i = 0; i < 4; i++)
        if (dup2(high[i], i) < 0)
            return false;
    if (loader >= 0 && dup3(exec_fd, FMD_SECCOMP_EXEC_FD, O_CLOEXEC) < 0)
        return false;
    return syscall(SYS_close_range, 4, FMD_SECCOMP_EXEC_FD - 1, 0) == 0 &&
           syscall(SYS_close_range, FMD_SECCOMP_EXEC_FD + 1, ~0u, 0) == 0;
}

/* ---- The whole way ---- */

static int open_loader(const struct fmd_cell *cell)
{
    return cell->loader == NULL ? -1 : open(cell->loader, O_PATH | O_CLOEXEC);
}

static uint64_t own_cpu_ns(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void enter_namespaces(struct fmd_cell *cell)
{
    struct mounts mounts;
    if (cell->user_namespace)
        wait_for_numbers(cell);
    take_files(cell, &mounts);
    must(cell, become_user(cell), FMD_CELL_USER);
    change_root(cell, &mounts);
    (void)sethostname("fastmap", 7);
}

void fmd_cell_enter(struct fmd_cell *cell)
{
    const bool has_namespaces = cell->kind == FMD_SANDBOX_NAMESPACES;
    reset_signals();
    (void)syscall(SYS_setsid);
    (void)umask(077);
    must(cell, follow_parent(), FMD_CELL_RIGHTS);
    if (has_namespaces)
        enter_namespaces(cell);
    must(cell, follow_parent() && drop_rights(), FMD_CELL_RIGHTS);
    const int loader = open_loader(cell);
    must(cell, cell->loader == NULL || loader >= 0, FMD_CELL_EXEC);
    if (cell->kind == FMD_SANDBOX_LANDLOCK)
        must(cell, fmd_landlock_apply(cell->root), FMD_CELL_LANDLOCK);
    must(cell, arrange(cell, loader) && has_parent(), FMD_CELL_DESCRIPTORS);
    must(cell, set_limits(cell), FMD_CELL_LIMITS);
    fmd_seccomp_fill(&cell->filter, (pid_t)syscall(SYS_getpid));
    must(cell, fmd_seccomp_apply(&cell->filter), FMD_CELL_FILTER);
    if (cell->loader == NULL)
        _exit(0);
    atomic_store(&cell->page->cpu_ns, own_cpu_ns());
    (void)syscall(SYS_execveat, FMD_SECCOMP_EXEC_FD, "", cell->argv, cell->envp, AT_EMPTY_PATH);
    atomic_store(&cell->page->cpu_ns, 0);
    leave(cell, FMD_CELL_EXEC);
}
