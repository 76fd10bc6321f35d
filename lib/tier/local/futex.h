/* SPDX-License-Identifier: BSD-3-Clause */
/* Sleeping on a 32-bit word of this process, until it changes, somebody wakes, or time is over. */
#ifndef FM_LOCAL_FUTEX_H
#define FM_LOCAL_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Returns at once if *word != expected; may return early for no reason. timeout_ns 0: no timeout. */
static inline void fm_local_futex_wait(_Atomic uint32_t *word, uint32_t expected,
                                       uint64_t timeout_ns)
{
    const struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000u),
        .tv_nsec = (long)(timeout_ns % 1000000000u),
    };
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns ? &timeout : NULL, NULL,
                  0);
}

static inline void fm_local_futex_wake(_Atomic uint32_t *word, int sleepers)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
}

#endif
