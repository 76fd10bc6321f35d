/* SPDX-License-Identifier: BSD-3-Clause */
/* How the library makes a thread of its own. */
#ifndef FM_BASE_THREAD_H
#define FM_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread that no signal of the process is delivered to: these are the application's threads'. Only
   faults of what it runs reach it. name: at most 15 bytes, for debuggers. False: the system gives no more. */
bool fm_base_thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument,
                          const char *name);

#endif
