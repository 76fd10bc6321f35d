/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allow-list. What is in no table does not exist (ENOSYS): the C library and the usual runtimes then do
 * without it. Calls that only an attack makes end the process, so that the attempt is seen.
 *
 * Calls that are allowed for some arguments only:
 *   clone       threads; clone3 "does not exist" since its flags lie in memory that a filter cannot read
 *   mmap        no shared anonymous memory: it is counted by no limit of the process; none that grows like
 *               a stack: it is not counted as data. mremap, which can stretch the stack as it likes, is
 *               missing: realloc() then copies
 *   kill tgkill the worker itself: abort() and pthread_kill() work, other processes are out of reach
 *   fcntl ioctl prctl prlimit64  a few harmless requests; no locks of ranges, of which there may be any
 *               number
 *   execveat    the descriptor FMD_SECCOMP_EXEC_FD, hence once
 *   sendmsg recvmsg  always: the only socket that a worker has or can get is the one to its host
 */
#include "seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

static const char *const allowed[] = {
    /* bytes */
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "lseek",
    "sendmsg",
    "recvmsg",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "pipe",
    "pipe2",
    "fsync",
    "fdatasync",
    "fadvise64",
    "flock",
    "ftruncate",
    "truncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
    /* waiting */
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "eventfd",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "futex",
    "futex_waitv",
    "nanosleep",
    "clock_nanosleep",
    "pause",
    "restart_syscall",
    "wait4",
    /* files: of the program, read-only, and of /tmp */
    "open",
    "openat",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "chdir",
    "fchdir",
    "getdents",
    "getdents64",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "umask",
    "statfs",
    "fstatfs",
    "utimensat",
    /* memory */
    "brk",
    "munmap",
    "mprotect",
    "madvise",
    "mincore",
    "msync",
    "membarrier",
    /* threads and signals */
    "set_tid_address",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "arch_prctl",
    "exit",
    "exit_group",
    "gettid",
    "getpid",
    "getppid",
    "getpgrp",
    "getpgid",
    "getsid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getresuid",
    "getresgid",
    "getgroups",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigsuspend",
    "sigaltstack",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getpriority",
    "getcpu",
    /* time, limits, the machine */
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "getrusage",
    "timer_create",
    "timer_settime",
    "timer_gettime",
    "timer_getoverrun",
    "timer_delete",
    "setitimer",
    "getitimer",
    "alarm",
    "getrlimit",
    "uname",
    "sysinfo",
    "getrandom",
};

static const char *const deadly[] = {
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "open_by_handle_at",
    "reboot",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
    "modify_ldt",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A call that is allowed where one argument, masked, has a value; as many rows as there are values. */
static const struct guarded {
    const char *name;
    unsigned argument;
    uint64_t mask;
    uint64_t value;
} guarded[] = {
    {"clone", 0,
     CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS |
         CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PTRACE | CLONE_VFORK,
     CLONE_VM | CLONE_THREAD | CLONE_SIGHAND},
    {"mmap", 3, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, 0},
    {"mmap", 3, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, MAP_SHARED},
    {"mmap", 3, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, MAP_ANONYMOUS},
    {"kill", 0, UINT32_MAX, FMD_SECCOMP_PID_MARK},
    {"tgkill", 0, UINT32_MAX, FMD_SECCOMP_PID_MARK},
    {"fcntl", 1, UINT32_MAX, F_DUPFD},
    {"fcntl", 1, UINT32_MAX, F_DUPFD_CLOEXEC},
    {"fcntl", 1, UINT32_MAX, F_GETFD},
    {"fcntl", 1, UINT32_MAX, F_SETFD},
    {"fcntl", 1, UINT32_MAX, F_GETFL},
    {"fcntl", 1, UINT32_MAX, F_SETFL},
    {"ioctl", 1, UINT32_MAX, TCGETS},
    {"ioctl", 1, UINT32_MAX, FIONREAD},
    {"ioctl", 1, UINT32_MAX, FIONBIO},
    {"ioctl", 1, UINT32_MAX, FIOCLEX},
    {"prctl", 0, UINT32_MAX, PR_SET_NAME},
    {"prctl", 0, UINT32_MAX, PR_GET_NAME},
    {"prctl", 0, UINT32_MAX, PR_GET_DUMPABLE},
    {"prctl", 0, UINT32_MAX, PR_SET_TIMERSLACK},
    {"prlimit64", 0, UINT32_MAX, 0},
    {"execveat", 0, UINT32_MAX, FMD_SECCOMP_EXEC_FD},
};

static int add_row(scmp_filter_ctx context, const struct guarded *row)
{
    const int number = seccomp_syscall_resolve_name(row->name);
    const struct scmp_arg_cmp compare =
        SCMP_CMP64(row->argument, SCMP_CMP_MASKED_EQ, row->mask, row->value);
    return number < 0 ? 0 : seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, 1, &compare);
}

/* Names that this architecture does not have are passed over. */
static int add_names(scmp_filter_ctx context, uint32_t action, const char *const *names,
                     size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const int number = seccomp_syscall_resolve_name(names[i]);
        rc = number < 0 ? 0 : seccomp_rule_add(context, action, number, 0);
    }
    return rc;
}

static int add_rules(scmp_filter_ctx context)
{
    int rc = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0) /* a tree: some ten comparisons for a call instead of a hundred */
        rc = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = add_names(context, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    if (rc == 0)
        rc = add_names(context, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
    for (size_t i = 0; i < COUNT(guarded) && rc == 0; i++)
        rc = add_row(context, &guarded[i]);
    return rc;
}

/* libseccomp writes its program to a descriptor. */
static int export(scmp_filter_ctx context, struct sock_fprog *filter)
{
    struct stat status;
    const int fd = memfd_create("seccomp", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : seccomp_export_bpf(context, fd);
    if (rc == 0 && fstat(fd, &status) != 0)
        rc = -errno;
    struct sock_filter *code = rc == 0 ? malloc((size_t)status.st_size) : NULL;
    if (code != NULL && pread(fd, code, (size_t)status.st_size, 0) == status.st_size) {
        filter->filter = code;
        filter->len = (unsigned short)((size_t)status.st_size / sizeof *code);
    } else {
        free(code);
        rc = rc != 0 ? rc : -ENOMEM;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int fmd_seccomp_make(struct sock_fprog *filter)
{
    scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int rc = context == NULL ? -ENOMEM : add_rules(context);
    if (rc == 0)
        rc = export(context, filter);
    if (context != NULL)
        seccomp_release(context);
    if (rc != 0)
        return fm_base_fail(FASTMAP_ERR_STATE,
                            "the filter of system calls cannot be made (libseccomp: error %d)", rc);
    return 0;
}

void fmd_seccomp_fill(struct sock_fprog *filter, pid_t pid)
{
    for (unsigned short i = 0; i < filter->len; i++)
        if (BPF_CLASS(filter->filter[i].code) == BPF_JMP &&
            filter->filter[i].k == FMD_SECCOMP_PID_MARK)
            filter->filter[i].k = (uint32_t)pid;
}

bool fmd_seccomp_apply(const struct sock_fprog *filter)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) == 0;
}
