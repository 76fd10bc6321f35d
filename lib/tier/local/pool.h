/* SPDX-License-Identifier: BSD-3-Clause */
/* What the local tier's own files ask of the pool; the engine's part is in local.h. */
#ifndef FM_LOCAL_POOL_H
#define FM_LOCAL_POOL_H

#include "tier/local/frame.h"

/* Lets others take from the map; later calls do nothing. By its owner, or under the lock of the owner's
   open frame. */
void fm_local_pool_admit(struct fm_local_map *map);

/* After that: wakes a worker if all sleep. */
void fm_local_pool_call(void);

/* The map is over. */
void fm_local_pool_dismiss(struct fm_local_map *map);

/* The thread sleeps (or computes again) while its shared map goes on: its core may be used. */
void fm_local_pool_caller_rests(struct fm_local_thread *owner, bool rests);

/* The thief begins what it took into that frame, work_ns as far as known: wakes another worker if that one
   could share it. And it has ended it. */
void fm_local_pool_begin(const struct fm_local_frame *frame, double work_ns);
void fm_local_pool_end(const struct fm_local_frame *frame, double work_ns);

#endif
