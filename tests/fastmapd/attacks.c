/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Elements that try to do what they must not. Each writes what it came to: "none: ..." where it got
 * nothing, "GOT ...", where it did, or a number that the test compares with a limit. What is meant to kill
 * the worker writes "alive" behind the attempt.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "prisoner.h"

extern char **environ;

/* ---- Reports ---- */

static size_t reported;

static void begin(char *out)
{
    reported = (size_t)snprintf(out, PRISONER_OUT, "none:");
}

__attribute__((format(printf, 2, 3))) static void add(char *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(out + reported, PRISONER_OUT - reported, format, arguments);
    va_end(arguments);
    reported += length > 0 ? (size_t)length : 0;
    if (reported >= PRISONER_OUT)
        reported = PRISONER_OUT - 1;
}

/* A call that must fail: notes how, or that it did not. */
static void must_fail(char *out, const char *what, long rc)
{
    if (rc < 0) {
        add(out, " %s: %s;", what, strerrorname_np(errno));
    } else {
        memcpy(out, "GOT  ", 5);
        add(out, " %s: %ld;", what, rc);
    }
}

/* ---- Work ---- */

static int echo(const char *in, char *out)
{
    memcpy(out, in, PRISONER_IN);
    memset(out + PRISONER_IN, 0, PRISONER_OUT - PRISONER_IN);
    return strcmp(in, "fail") == 0 ? -7 : 0;
}

static uint64_t own_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void spin(uint64_t ns)
{
    const uint64_t until = own_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
    while (own_ns(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

/* As many milliseconds of CPU time as the input says. */
static int work(const char *in, char *out)
{
    spin((uint64_t)atoi(in) * 1000000);
    strcpy(out, "worked");
    return 0;
}

static int nap(const char *in, char *out)
{
    usleep((unsigned)atoi(in) * 1000);
    strcpy(out, "woke");
    return 0;
}

/* ---- Files ---- */

static int read_files(const char *in, char *out)
{
    const char *const paths[] = {
        in,          "/etc/passwd", "/etc/shadow", "/proc/self/maps",        "/proc/1/environ",
        "/dev/null", "/sys/kernel", "/var/lib",    "../../../../etc/passwd", "/root"};
    begin(out);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        must_fail(out, "", open(paths[i], O_RDONLY));
    return 0;
}

static int write_files(const char *in, char *out)
{
    char beside[512];
    snprintf(beside, sizeof beside, "%.400s-new",
             in); /* the program's own file, and one beside it */
    begin(out);
    must_fail(out, "open program", open(in, O_WRONLY));
    must_fail(out, "new file", open(beside, O_CREAT | O_WRONLY, 0600));
    must_fail(out, "root", open("/new", O_CREAT | O_WRONLY, 0600));
    must_fail(out, "unlink", unlink(in));
    must_fail(out, "rename", rename(in, "/tmp/moved"));
    must_fail(out, "chmod", chmod(in, 0777));
    must_fail(out, "mkdir", mkdir("/new", 0700));
    must_fail(out, "truncate", truncate(in, 0));
    must_fail(out, "mknod", mknod("/tmp/null", S_IFCHR | 0600, 0x103));
    return 0;
}

/* Names of what lies in the root, for the test to look at. */
static int list_root(const char *in, char *out)
{
    DIR *root = opendir("/");
    (void)in;
    begin(out);
    for (struct dirent *entry; root != NULL && (entry = readdir(root)) != NULL;)
        if (entry->d_name[0] != '.')
            add(out, " /%s", entry->d_name);
    add(out, " ");
    return 0;
}

static int fill_disk(const char *in, char *out)
{
    static char block[65536];
    unsigned long bytes = 0;
    ssize_t written;
    (void)in;
    for (int file = 0; file < 64; file++) {
        char name[32];
        snprintf(name, sizeof name, "/tmp/fill-%d", file);
        signal(SIGXFSZ, SIG_IGN);
        const int fd = open(name, O_CREAT | O_WRONLY, 0600);
        while (fd >= 0 && (written = write(fd, block, sizeof block)) > 0)
            bytes += (unsigned long)written;
        close(fd);
    }
    snprintf(out, PRISONER_OUT, "%lu bytes", bytes);
    return 0;
}

static int fill_inodes(const char *in, char *out)
{
    unsigned long files = 0;
    (void)in;
    for (; files < 100000; files++) {
        char name[32];
        snprintf(name, sizeof name, "/tmp/i-%lu", files);
        const int fd = open(name, O_CREAT | O_WRONLY, 0600);
        if (fd < 0)
            break;
        close(fd);
    }
    snprintf(out, PRISONER_OUT, "%lu files", files);
    return 0;
}

/* ---- Others ---- */

static int see_processes(const char *in, char *out)
{
    (void)in;
    begin(out);
    must_fail(out, "opendir /proc", opendir("/proc") == NULL ? -1 : 0);
    add(out, " pid %d, parent %d;", (int)getpid(), (int)getppid());
    must_fail(out, "pidfd_open", syscall(SYS_pidfd_open, atoi(in), 0));
    must_fail(out, "getpgid", atoi(in) > 1 ? getpgid(atoi(in)) : -1);
    return 0;
}

static int signal_others(const char *in, char *out)
{
    const pid_t host = atoi(in);
    union sigval value = {0};
    begin(out);
    must_fail(out, "kill host", kill(host, SIGTERM));
    must_fail(out, "kill -1", kill(-1, SIGTERM));
    must_fail(out, "kill 0", kill(0, SIGTERM));
    must_fail(out, "kill parent", kill(getppid(), SIGTERM));
    must_fail(out, "tgkill", syscall(SYS_tgkill, host, host, SIGTERM));
    must_fail(out, "tkill", syscall(SYS_tkill, host, SIGTERM));
    must_fail(out, "sigqueue", sigqueue(host, SIGTERM, value));
    return 0;
}

static int read_memory(const char *in, char *out)
{
    char bytes[8];
    struct iovec here = {bytes, 8}, there = {(void *)0x400000, 8};
    (void)!process_vm_readv(atoi(in), &here, 1, &there, 1, 0);
    strcpy(out, "alive");
    return 0;
}

static int trace(const char *in, char *out)
{
    (void)ptrace(PTRACE_ATTACH, atoi(in), NULL, NULL);
    strcpy(out, "alive");
    return 0;
}

static int connect_anywhere(const char *in, char *out)
{
    int pair[2];
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(in)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    begin(out);
    must_fail(out, "inet", socket(AF_INET, SOCK_STREAM, 0));
    must_fail(out, "inet6", socket(AF_INET6, SOCK_DGRAM, 0));
    must_fail(out, "unix", socket(AF_UNIX, SOCK_STREAM, 0));
    must_fail(out, "netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    must_fail(out, "vsock", socket(40, SOCK_STREAM, 0));
    must_fail(out, "packet", socket(AF_PACKET, SOCK_RAW, 0));
    must_fail(out, "socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    must_fail(out, "connect 3", connect(3, (struct sockaddr *)&to, sizeof to));
    must_fail(out, "io_uring", syscall(425, 8, NULL));
    return 0;
}

/* ---- More of oneself ---- */

static int fork_off(const char *in, char *out)
{
    struct clone_args how = {.exit_signal = SIGCHLD};
    static char name[] = "x";
    char *argv[] = {name, NULL};
    pid_t child = -1;
    (void)in;
    begin(out);
    must_fail(out, "fork", fork());
    must_fail(out, "vfork", syscall(SYS_vfork));
    must_fail(out, "clone", syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
    must_fail(out, "clone pid namespace",
              syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, NULL, NULL, NULL, NULL));
    must_fail(out, "clone3", syscall(SYS_clone3, &how, sizeof how));
    errno = posix_spawn(&child, "/x", NULL, NULL, argv, environ);
    must_fail(out, "spawn", errno == 0 ? 0 : -1);
    return 0;
}

/* Executing the loader, by name and through every descriptor number that the filter might let pass. */
static int execute(const char *in, char *out)
{
    static char name[] = "x";
    char *argv[] = {name, NULL};
    begin(out);
    must_fail(out, "execve", execve(in, argv, environ));
    const int fd = open(in, O_RDONLY);
    must_fail(out, "dup2 64", dup2(fd, 64));
    must_fail(out, "dup above", fcntl(fd, F_DUPFD, 64));
    must_fail(out, "execveat", syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH));
    must_fail(out, "execveat 64", syscall(SYS_execveat, 64, "", argv, environ, AT_EMPTY_PATH));
    must_fail(out, "memfd", (int)syscall(SYS_memfd_create, "x", 0));
    close(fd);
    return 0;
}

static void *sleep_thread(void *unused)
{
    usleep(300000);
    return unused;
}

static int many_threads(const char *in, char *out)
{
    pthread_attr_t small;
    unsigned long made = 0;
    pthread_t thread;
    (void)in;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    while (made < 20000 && pthread_create(&thread, &small, sleep_thread, NULL) == 0)
        made++;
    snprintf(out, PRISONER_OUT, "%lu threads", made);
    usleep(400000);
    return 0;
}

/* ---- Memory ---- */

static int eat_memory(const char *in, char *out)
{
    enum { PIECE = 4 << 20 };
    unsigned long bytes = 0;
    char *piece;
    (void)in;
    while (bytes < 4ul << 30 && (piece = malloc(PIECE)) != NULL) {
        memset(piece, 1, PIECE);
        bytes += PIECE;
    }
    snprintf(out, PRISONER_OUT, "%lu bytes", bytes);
    return 0;
}

/* Memory that grows downwards like a stack is not counted as data by the kernel. */
static int eat_stacks(const char *in, char *out)
{
    const size_t piece = (size_t)16 << 20;
    unsigned long bytes = 0;
    (void)in;
    while (bytes < 256ul << 20) {
        void *at = mmap(NULL, piece, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            break;
        memset(at, 1, piece);
        bytes += piece;
    }
    snprintf(out, PRISONER_OUT, "%lu bytes", bytes);
    return 0;
}

/* The first thread's stack, where the kernel has put its random bytes, moved to where there is more room. */
static int stretch_stack(const char *in, char *out)
{
    const size_t wanted = (size_t)256 << 20;
    char *page = (char *)(getauxval(AT_RANDOM) & ~(uintptr_t)4095);
    (void)in;
    char *at = mremap(page, 4096, wanted, MREMAP_MAYMOVE);
    if (at != MAP_FAILED)
        memset(at, 1, wanted);
    snprintf(out, PRISONER_OUT, "%lu bytes", at == MAP_FAILED ? 0ul : (unsigned long)wanted);
    return 0;
}

/* Records of locked ranges are the kernel's memory, and no limit counts them. */
static int lock_ranges(const char *in, char *out)
{
    unsigned long locks = 0;
    const int fd = open("/tmp/locked", O_RDWR | O_CREAT, 0600);
    (void)in;
    for (off_t at = 200000; at > 0 && fd >= 0; at -= 2) {
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
        if (fcntl(fd, F_SETLK, &range) != 0)
            break;
        locks++;
    }
    snprintf(out, PRISONER_OUT, "%lu locks", locks);
    return 0;
}

static int share_memory(const char *in, char *out)
{
    (void)in;
    begin(out);
    must_fail(out, "shared",
              mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                              : 0);
    must_fail(out, "validate",
              mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0) ==
                      MAP_FAILED
                  ? -1
                  : 0);
    must_fail(out, "shmget", syscall(SYS_shmget, 0, 1 << 20, 0600 | 01000));
    must_fail(out, "mlock", mlockall(MCL_FUTURE));
    must_fail(out, "memfd", (int)syscall(SYS_memfd_create, "x", 0));
    return 0;
}

/* Page tables: touch one page in each 2 MiB of as much address space as there is. */
static int eat_tables(const char *in, char *out)
{
    const size_t piece = (size_t)1 << 30;
    unsigned long pieces = 0;
    (void)in;
    for (volatile char *at; pieces < 4096; pieces++) {
        at = mmap(NULL, piece, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED)
            break;
        for (size_t i = 0; i < piece; i += (size_t)2 << 20)
            (void)at[i];
    }
    snprintf(out, PRISONER_OUT, "%lu GiB", pieces);
    return 0;
}

static int shrink_arena(const char *in, char *out)
{
    struct stat status;
    begin(out);
    (void)in;
    for (int fd = 3; fd < 64; fd++)
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
            must_fail(out, "shrink", ftruncate(fd, 0));
            must_fail(out, "grow", ftruncate(fd, (off_t)1 << 40));
            must_fail(out, "seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
        }
    return 0;
}

/* ---- What it has ---- */

static int list_descriptors(const char *in, char *out)
{
    (void)in;
    begin(out);
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            add(out, " %d", fd);
    add(out, " ");
    return 0;
}

static int list_variables(const char *in, char *out)
{
    (void)in;
    begin(out);
    for (char **variable = environ; *variable != NULL; variable++)
        add(out, " %s", *variable);
    add(out, " ");
    return 0;
}

static int gain_rights(const char *in, char *out)
{
    const struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY};
    struct utsname name;
    (void)in;
    begin(out);
    must_fail(out, "setuid", setuid(0));
    must_fail(out, "setgid", setgid(0));
    must_fail(out, "nproc", setrlimit(RLIMIT_NPROC, &more));
    must_fail(out, "data", setrlimit(RLIMIT_DATA, &more));
    must_fail(out, "nice", setpriority(PRIO_PROCESS, 0, -20));
    must_fail(out, "hostname", sethostname("x", 1));
    must_fail(out, "clock", clock_settime(CLOCK_REALTIME, &(struct timespec){0}));
    must_fail(out, "prctl pdeathsig", syscall(SYS_prctl, 1, 0, 0, 0, 0));
    must_fail(out, "personality", syscall(SYS_personality, 0x0040000));
    uname(&name);
    add(out, " uid %d, host %s", (int)getuid(), name.nodename);
    return 0;
}

/* What ends the worker at once. */
#define DEADLY(name, call)                     \
    static int name(const char *in, char *out) \
    {                                          \
        (void)in;                              \
        (void)!(call);                         \
        strcpy(out, "alive");                  \
        return 0;                              \
    }
DEADLY(mount_something, mount("x", "/tmp", "tmpfs", 0, NULL))
DEADLY(unshare_user, syscall(SYS_unshare, CLONE_NEWUSER))
DEADLY(load_bpf, syscall(SYS_bpf, 0, NULL, 0))
DEADLY(ask_userfaultfd, syscall(SYS_userfaultfd, 0))
DEADLY(ask_perf, syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0))
DEADLY(add_key, syscall(SYS_add_key, "user", "x", "x", 1, -1))
DEADLY(enter_namespace, syscall(SYS_setns, 3, 0))
DEADLY(change_root, chroot("/tmp"))

#if defined(__x86_64__)
/* The 32-bit entry, whose numbers a filter for 64 bits would misread: 20 is getpid there. */
static int call_32_bits(const char *in, char *out)
{
    long rc = 20;
    (void)in;
    __asm__ volatile("int $0x80" : "+a"(rc) : : "memory");
    strcpy(out, "alive");
    return 0;
}

static int call_x32(const char *in, char *out)
{
    (void)in;
    (void)syscall(0x40000000 + SYS_getpid);
    strcpy(out, "alive");
    return 0;
}
#endif

/* ---- Ends ---- */

static volatile int *volatile nowhere;

static int crash(const char *in, char *out)
{
    strcpy(out, "done");
    if (in[0] == '!')
        *nowhere = 1;
    return 0;
}

static int abort_it(const char *in, char *out)
{
    (void)in;
    (void)out;
    abort();
}

static int exit_it(const char *in, char *out)
{
    (void)out;
    exit(atoi(in));
}

static int loop(const char *in, char *out)
{
    strcpy(out, "done");
    while (in[0] == '!')
        ;
    return 0;
}

static int sleep_long(const char *in, char *out)
{
    strcpy(out, "done");
    while (in[0] == '!')
        pause();
    return 0;
}

static int chatter(const char *in, char *out)
{
    static char text[4096];
    (void)in;
    memset(text, 'x', sizeof text);
    begin(out);
    for (int i = 0; i < 256; i++)
        if (write(1, text, sizeof text) < 0) {
            must_fail(out, "write", -1);
            return 0;
        }
    strcpy(out, "GOT a mebibyte through");
    return 0;
}

static void *spin_thread(void *unused)
{
    spin(UINT64_MAX / 2);
    return unused;
}

/* Threads that go on when the element has returned. */
static int leave_threads(const char *in, char *out)
{
    pthread_t thread;
    (void)in;
    strcpy(out, pthread_create(&thread, NULL, spin_thread, NULL) == 0 ? "left" : "none");
    return 0;
}

static void *worked(void *ms)
{
    spin(*(uint64_t *)ms * 1000000);
    return NULL;
}

/* The same CPU time in two threads that are gone when the element returns. */
static int work_in_threads(const char *in, char *out)
{
    pthread_t threads[2];
    uint64_t ms = (uint64_t)atoi(in);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, worked, &ms);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    strcpy(out, "worked");
    return 0;
}

/* ---- Answers that break the protocol ---- */

#define BREAKING(name, how)                    \
    static int name(const char *in, char *out) \
    {                                          \
        (void)in;                              \
        strcpy(out, "done");                   \
        prisoner_answer = how;                 \
        return 0;                              \
    }
BREAKING(say_garbage, PRISONER_GARBAGE)
BREAKING(say_long, PRISONER_LONG)
BREAKING(say_cut, PRISONER_CUT)
BREAKING(say_old_sequence, PRISONER_SEQUENCE)
BREAKING(say_other_span, PRISONER_OTHER_SPAN)
BREAKING(say_too_many, PRISONER_TOO_MANY)
BREAKING(say_false_failures, PRISONER_FAILURES)
BREAKING(say_twice, PRISONER_TWICE)
BREAKING(say_hello_again, PRISONER_HELLO)
BREAKING(say_bye, PRISONER_HOST_FRAME)
BREAKING(say_descriptors, PRISONER_DESCRIPTORS)
BREAKING(say_without_end, PRISONER_FLOOD)
BREAKING(say_nothing, PRISONER_SILENT)
BREAKING(hang_up, PRISONER_CLOSED)

#define ENTRY(name) \
    {               \
#name, name \
    }
const struct prisoner_entry prisoner_entries[] = {
    ENTRY(echo),
    ENTRY(work),
    ENTRY(nap),
    ENTRY(read_files),
    ENTRY(write_files),
    ENTRY(list_root),
    ENTRY(fill_disk),
    ENTRY(fill_inodes),
    ENTRY(see_processes),
    ENTRY(signal_others),
    ENTRY(read_memory),
    ENTRY(trace),
    ENTRY(connect_anywhere),
    ENTRY(fork_off),
    ENTRY(execute),
    ENTRY(many_threads),
    ENTRY(eat_memory),
    ENTRY(eat_stacks),
    ENTRY(stretch_stack),
    ENTRY(lock_ranges),
    ENTRY(share_memory),
    ENTRY(eat_tables),
    ENTRY(shrink_arena),
    ENTRY(list_descriptors),
    ENTRY(list_variables),
    ENTRY(gain_rights),
    ENTRY(mount_something),
    ENTRY(unshare_user),
    ENTRY(load_bpf),
    ENTRY(ask_userfaultfd),
    ENTRY(ask_perf),
    ENTRY(add_key),
    ENTRY(enter_namespace),
    ENTRY(change_root),
#if defined(__x86_64__)
    ENTRY(call_32_bits),
    ENTRY(call_x32),
#endif
    ENTRY(crash),
    ENTRY(abort_it),
    ENTRY(exit_it),
    ENTRY(loop),
    ENTRY(sleep_long),
    ENTRY(chatter),
    ENTRY(leave_threads),
    ENTRY(work_in_threads),
    ENTRY(say_garbage),
    ENTRY(say_long),
    ENTRY(say_cut),
    ENTRY(say_old_sequence),
    ENTRY(say_other_span),
    ENTRY(say_too_many),
    ENTRY(say_false_failures),
    ENTRY(say_twice),
    ENTRY(say_hello_again),
    ENTRY(say_bye),
    ENTRY(say_descriptors),
    ENTRY(say_without_end),
    ENTRY(say_nothing),
    ENTRY(hang_up),
};
const size_t prisoner_count = sizeof prisoner_entries / sizeof *prisoner_entries;
