/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The starter: a thread that does nothing but start workers. A child asks the kernel to be killed when its
 * parent ends, and to the kernel the parent is a thread: a worker that a thread of the pool or of the
 * application had started would die with that thread. The starter lives as long as there are workers, so they
 * end with the process, `kill -9` included, even in the middle of an element.
 *
 * `mutex` protects the one order that is being carried out; orders wait their turn.
 */
#include "tier/process/start.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/thread.h"
#include "tier/process/recipe.h"

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t ordered; /* the starter waits for it */
    pthread_cond_t changed; /* those who order do */
    pthread_t thread;
    bool made;
    bool stop;
    struct fm_process_orders *orders; /* NULL: none */
    char **environment;
} starter = {.mutex = PTHREAD_MUTEX_INITIALIZER,
             .ordered = PTHREAD_COND_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER};

/* ---- The child between vfork() and exec: system calls only, in its parent's memory ---- */

static void settle_signals(void)
{
    sigset_t none;
    struct sigaction defaults = {.sa_handler = SIG_DFL};
    sigemptyset(&defaults.sa_mask);
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, &defaults, NULL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves a descriptor to its place, where exec() leaves it open. */
static bool place(int from, int to)
{
    return from == to ? fcntl(from, F_SETFD, 0) == 0 : dup2(from, to) == to;
}

/* Nothing else of the program's stays open, be it a lock, a socket or half a pipe. */
static void close_others(void)
{
    const unsigned first = FM_PROCESS_CHANNEL_FD + 1;
    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
    for (int fd = (int)first; fd < 65536; fd++)
        (void)close(fd);
}

static void become_worker(const struct fm_process_orders *orders, pid_t parent, int nothing)
{
    char *const arguments[] = {(char *)fm_process_recipe_name(), NULL};
    settle_signals();
    (void)setpgid(0, 0); /* what the terminal's keys do is for the program to decide */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        return;
    (void)sched_setaffinity(0, sizeof *orders->cpus, orders->cpus);
    if (!place(nothing, 0) || !place(orders->output, 1) || !place(orders->error, 2) ||
        !place(orders->channel, FM_PROCESS_CHANNEL_FD))
        return;
    close_others();
    (void)execve(fm_process_recipe_program(), arguments, starter.environment);
}

/* ---- The starter ---- */

/* All descriptors of an order are above those that they are moved to: see worker.c. */
static void carry_out(struct fm_process_orders *orders)
{
    const pid_t parent = getpid();
    const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int high = nothing >= 0 ? fcntl(nothing, F_DUPFD_CLOEXEC, FM_PROCESS_CHANNEL_FD + 1) : -1;
    volatile int reason = high < 0 ? errno : 0; /* the child writes it, too */
    pid_t pid = -1;
    /* A fork would copy the page tables of a large program for nothing, and nothing that posix_spawn() offers
       can ask for the signal. */
    /* NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork) */
    if (reason == 0 && (pid = vfork()) == 0) {
        become_worker(orders, parent, high); /* NOLINT(clang-analyzer-unix.Vfork): see there */
        reason = errno;
        _exit(127);
    }
    if (pid < 0)
        reason = errno;
    orders->pid = pid;
    orders->reason = reason;
    orders->pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (nothing >= 0)
        close(nothing);
    if (high >= 0)
        close(high);
}

static void *starter_main(void *unused)
{
    pthread_mutex_lock(&starter.mutex);
    while (!starter.stop) {
        if (starter.orders == NULL) {
            pthread_cond_wait(&starter.ordered, &starter.mutex);
            continue;
        }
        struct fm_process_orders *orders = starter.orders;
        pthread_mutex_unlock(&starter.mutex);
        carry_out(orders);
        pthread_mutex_lock(&starter.mutex);
        starter.orders = NULL;
        pthread_cond_broadcast(&starter.changed);
    }
    pthread_mutex_unlock(&starter.mutex);
    return unused;
}

/* Under the mutex. */
static bool order(struct fm_process_orders *orders, char **environment)
{
    if (!starter.made) {
        starter.stop = false;
        starter.made = fm_base_thread_start(&starter.thread, starter_main, NULL, "fastmap-starter");
    }
    if (!starter.made) {
        orders->reason = EAGAIN;
        return false;
    }
    while (starter.orders != NULL)
        pthread_cond_wait(&starter.changed, &starter.mutex);
    starter.orders = orders;
    starter.environment = environment;
    pthread_cond_signal(&starter.ordered);
    while (starter.orders == orders)
        pthread_cond_wait(&starter.changed, &starter.mutex);
    return orders->pid > 0;
}

bool fm_process_start(struct fm_process_orders *orders)
{
    orders->pid = -1;
    orders->pidfd = -1;
    char **environment = fm_process_recipe_environment();
    if (environment == NULL) {
        orders->reason = ENOMEM;
        return false;
    }
    pthread_mutex_lock(&starter.mutex);
    const bool started = order(orders, environment);
    pthread_mutex_unlock(&starter.mutex);
    free(environment);
    if (!started || orders->reason == 0)
        return started;
    int status; /* the child came, but not as far as exec */
    (void)fm_process_ended(orders->pid, orders->pidfd, true, &status);
    if (orders->pidfd >= 0)
        close(orders->pidfd);
    return false;
}

void fm_process_starter_stop(void)
{
    pthread_mutex_lock(&starter.mutex);
    const bool made = starter.made;
    starter.made = false;
    starter.stop = true;
    pthread_cond_signal(&starter.ordered);
    pthread_mutex_unlock(&starter.mutex);
    if (made)
        pthread_join(starter.thread, NULL);
}

void fm_process_starter_after_fork(void)
{
    pthread_mutex_init(&starter.mutex, NULL);
    pthread_cond_init(&starter.ordered, NULL);
    pthread_cond_init(&starter.changed, NULL);
    starter.made = false;
    starter.orders = NULL;
}

/* ---- Its end ---- */

bool fm_process_ended(pid_t pid, int pidfd, bool wait, int *status)
{
    siginfo_t info = {0};
    const int options = WEXITED | (wait ? 0 : WNOHANG);
    int rc;
    *status = -1;
    do
        rc = pidfd >= 0 ? waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, options)
                        : waitid(P_PID, (id_t)pid, &info, options);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        return true; /* the application has waited for it */
    if (info.si_pid == 0)
        return false;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
    return true;
}

/* With what its elements have started, which is in its process group. */
void fm_process_kill(pid_t pid, int pidfd)
{
    if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) != 0)
        return; /* it has ended and been waited for: the number may be somebody else's */
    (void)kill(pid, SIGKILL);
    (void)kill(-pid, SIGKILL);
}
