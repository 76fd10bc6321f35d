/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shared block of a map for ranks that only serve, which have no copy of their own. It travels once to
 * each node and lies in memory that the ranks of a node share; blocks of earlier maps are found again by
 * their digest.
 */
#ifndef FM_ENGINE_BLOCKS_H
#define FM_ENGINE_BLOCKS_H

#include "engine/group.h"

/* Answers a rank that needs the block of the group's map. */
void fm_engine_block_answer(struct fm_engine_group *group, int to,
                            const struct fm_engine_header *need);

/* The map is over: what was made for answers goes. */
void fm_engine_block_forget(struct fm_engine_group *group);

/* The block of `bytes` bytes that the map which rank `from` has opened needs. It stays until some later
   call. NULL: no memory, with its sentence, or MPI has ended. Without the mutex. */
const void *fm_engine_block_fetch(struct fm_engine_world *world, int from, size_t bytes);

#endif
