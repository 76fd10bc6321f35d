/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting and ending worker processes. */
#ifndef FM_PROCESS_START_H
#define FM_PROCESS_START_H

#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

struct fm_process_orders {
    int channel; /* the worker's end */
    int output;  /* what its standard output and error write to */
    int error;
    const cpu_set_t *cpus; /* to run on */
    /* The answer: */
    pid_t pid;  /* -1: it could not be started, */
    int pidfd;  /* -1 where the kernel has none */
    int reason; /* an errno */
};

/* Starts a worker. False: orders->reason says why not. It ends when this process does, whatever the calling
   thread does. Threads: any. */
bool fm_process_start(struct fm_process_orders *orders);

/* Whether the worker has ended; its exit status as waitpid() gives it, -1 where somebody else has seen to it.
   wait: until it ends. */
bool fm_process_ended(pid_t pid, int pidfd, bool wait, int *status);
void fm_process_kill(pid_t pid, int pidfd);

/* Ends the thread that starts workers, and with it all workers that still run. */
void fm_process_starter_stop(void);
void fm_process_starter_after_fork(void);

#endif
