/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a thread was ready to run but had no processor, since it began: time that a computation took but
 * that was not its own. Linux says so in /proc/self/task/THREAD/schedstat.
 */
#ifndef FM_BASE_WAITED_H
#define FM_BASE_WAITED_H

#include <stdint.h>
#include <sys/types.h>

/* Of the calling thread, or of one of this process. Nanoseconds; 0 where the system does not tell. Some
   microseconds to read. */
uint64_t fm_base_waited_ns(void);
uint64_t fm_base_waited_ns_of(pid_t thread);

#endif
