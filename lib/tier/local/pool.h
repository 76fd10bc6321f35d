/* SPDX-License-Identifier: BSD-3-Clause */
/* What the local tier's own files ask of the pool; the engine's part is in local.h. */
#ifndef FM_LOCAL_POOL_H
#define FM_LOCAL_POOL_H

#include "tier/local/frame.h"

/* Lets others take from the map. Under the lock of its owner's open frame; later calls do nothing. */
void fm_local_pool_admit(struct fm_local_map *map);

/* After that: wakes a worker if all sleep. */
void fm_local_pool_call(void);

/* The map is over. */
void fm_local_pool_dismiss(struct fm_local_map *map);

/* The thread sleeps (or computes again) while its shared map goes on: its core may be used. */
void fm_local_pool_caller_rests(struct fm_local_thread *owner, bool rests);

/* The thief begins (or has ended) what it took into that frame. */
void fm_local_pool_computes(const struct fm_local_frame *frame, bool computes);

/* A thief is about to compute work_ns of what it took: wakes another if that could share it. */
void fm_local_pool_pass_on(double work_ns);

#endif
