/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides what counts as a crash (the signals of the table below, and exit() inside an element) and tells the
 * host, once. The handler runs on a stack of its own, so an overflow of the stack is told like anything else.
 * Then it lets the signal take its course, through the handler that was there before (AddressSanitizer's
 * writes its report) or by default, so that the exit status and the core file are what they would be.
 *
 * Elsewhere than in the serving thread there is no alternate stack: an overflow there ends the process
 * without a word, and the host reads the control page.
 */
#include "program/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10) /* with room for a sanitizer's frames */
#define BEYOND_BYTES \
    ((uintptr_t)64 << 20) /* how far below the stack's end a large frame may reach */
#define ABOVE_BYTES ((uintptr_t)128 << 10)

static struct fm_wire_worker_control own_page = {.index = FM_WIRE_WORKER_NONE};
struct fm_wire_worker_control *fm_program_crash_control = &own_page;

static const struct watched {
    int signal;
    const char *sentence;
} watched[] = {
    {SIGSEGV, "it accessed memory that it does not have (SIGSEGV)"},
    {SIGBUS, "it accessed memory that is not there (SIGBUS)"},
    {SIGFPE, "it raised an arithmetic exception that is trapped (SIGFPE)"},
    {SIGILL, "it ran an instruction that this processor does not have (SIGILL)"},
    {SIGABRT, "it called abort() (SIGABRT)"},
    {SIGTRAP, "it ran into a trap (SIGTRAP)"},
    {SIGSYS, "it made a system call that is not allowed (SIGSYS)"},
};
enum { WATCHED = sizeof watched / sizeof *watched };

static struct sigaction before[WATCHED];
static struct fm_program_channel *host;
static pid_t own_pid;
static uintptr_t stack_top;
static _Atomic bool told;

bool fm_program_crash_is_own(void)
{
    return getpid() == own_pid;
}

static void tell(enum fm_wire_worker_end end, int value, const char *sentence)
{
    if (!fm_program_crash_is_own() || atomic_exchange(&told, true))
        return;
    struct fm_wire_worker_frame frame = {
        .type = FM_WIRE_WORKER_ERROR,
        .is.error = {.span = atomic_load(&fm_program_crash_control->span),
                     .index = atomic_load(&fm_program_crash_control->index),
                     .end = (uint32_t)end,
                     .value = value,
                     .sentence = sentence},
    };
    (void)fm_program_channel_send(host, &frame, -1);
}

/* Whether an address is where the serving thread's stack ends, or not far below. */
static bool is_stack_end(uintptr_t address)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur > stack_top)
        return false;
    const uintptr_t end = stack_top - (uintptr_t)limit.rlim_cur;
    return address < end + ABOVE_BYTES && address + BEYOND_BYTES > end;
}

static void crashed(int signal, siginfo_t *info, void *context)
{
    (void)context;
    size_t i = 0;
    while (i < WATCHED - 1 && watched[i].signal != signal)
        i++;
    const bool overflow =
        signal == SIGSEGV && info->si_code > 0 && is_stack_end((uintptr_t)info->si_addr);
    tell(FM_WIRE_WORKER_SIGNAL, signal,
         overflow ? "it overflowed the stack (SIGSEGV): raise the limit, ulimit -s"
                  : watched[i].sentence);
    (void)sigaction(signal, &before[i], NULL);
    if (info->si_code <= 0) /* sent, so nothing would raise it again */
        (void)raise(signal);
}

static void exited(int status, void *unused)
{
    (void)unused;
    if (atomic_load(&fm_program_crash_control->index) != FM_WIRE_WORKER_NONE)
        tell(FM_WIRE_WORKER_EXIT, status, "it called exit()");
}

static void make_stack(void)
{
    void *memory = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    const stack_t stack = {.ss_sp = memory, .ss_size = STACK_BYTES};
    if (memory != MAP_FAILED)
        (void)sigaltstack(&stack, NULL);
}

void fm_program_crash_watch(struct fm_program_channel *channel)
{
    struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    host = channel;
    own_pid = getpid();
    stack_top = (uintptr_t)&action;
    make_stack();
    for (size_t i = 0; i < WATCHED; i++)
        (void)sigaction(watched[i].signal, &action, &before[i]);
    (void)on_exit(exited, NULL);
}
