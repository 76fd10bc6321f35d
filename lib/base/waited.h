/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long the calling thread was ready to run but had no processor, since it began: time that a
 * computation took but that was not its own. Linux says so in /proc/thread-self/schedstat.
 */
#ifndef FM_BASE_WAITED_H
#define FM_BASE_WAITED_H

#include <stdint.h>

/* Nanoseconds; 0 where the system does not tell. Some microseconds to read. */
uint64_t fm_base_waited_ns(void);

#endif
