/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FM_ENGINE_VERIFY_H
#define FM_ENGINE_VERIFY_H

#include <fastmap.h>

struct fm_process_map;

/* Computes the map's first element in this process and in the calling thread's worker, leaving the map's
   arrays as they are. 0, or VERIFY where the results differ, MEMORY, PROGRAM, with a sentence. */
int fm_engine_verify(struct fm_process_map *process, const struct fastmap_map *map);

#endif
