/* SPDX-License-Identifier: BSD-3-Clause */
/* A new thread inherits its maker's mask, so the mask is changed for the moment of making it. */
#include "base/thread.h"

#include <signal.h>
#include <stddef.h>

bool fm_base_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument,
                          const char *name)
{
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const bool made = pthread_create(thread, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (made)
        (void)pthread_setname_np(*thread, name);
    return made;
}
