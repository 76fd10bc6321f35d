/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker says with its last breath: which element was being computed when a signal or a call of
 * exit() ended it.
 */
#ifndef FM_PROGRAM_CRASH_H
#define FM_PROGRAM_CRASH_H

#include "program/channel.h"
#include "wire/worker.h"

/* Where the worker keeps what it computes: in the arena's control page, before there is an arena in a page
   of its own. Never NULL. */
extern struct fm_wire_worker_control *fm_program_crash_control;

/* From now on the end of this process is told over the channel. The calling thread gets an alternate
   stack for signals. Once, by the thread that serves. */
void fm_program_crash_watch(struct fm_program_channel *channel);

/* Whether the calling process is the one that watches, not a child that an element has forked. */
bool fm_program_crash_is_own(void);

#endif
