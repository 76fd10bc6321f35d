/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps whose elements run in worker processes. To the local tier such a map is one with a block function that
 * hands each block to the calling thread's worker: frames, stealing, jobs of other ranks and reports are what
 * they are for threads.
 */
#ifndef FM_ENGINE_PROCESSES_H
#define FM_ENGINE_PROCESSES_H

#include "engine/engine.h"
#include "engine/map.h"
#include "engine/worker.h"

struct fm_process_map;

/* Whether the map's elements run in processes; not inside a worker, whose elements are in one. */
static inline bool fm_engine_processes_wanted(const struct fastmap_session *session,
                                              const struct fastmap_map *map)
{
    const enum fastmap_workers workers =
        map->workers != FASTMAP_WORKERS_DEFAULT ? map->workers : session->settings.workers;
    return __builtin_expect(workers == FASTMAP_WORKERS_PROCESSES, 0) && !fm_engine_worker_serves();
}

/* Prepares it, and compares an element if that is wanted. rank: -1 without ranks. 0, or PROGRAM, MEMORY,
   VERIFY with a sentence; nothing has run then but that element. */
int fm_engine_processes_open(const struct fastmap_session *session, const struct fastmap_map *map,
                             int rank, struct fm_process_map **opened);

/* Makes *work, a copy of the map or of a part of it, what the local tier computes for the run, whose
   `process` is set. */
void fm_engine_processes_forward(struct fm_engine_map *run, struct fastmap_map *work);

/* The whole of a checked map without ranks. */
int fm_engine_processes_run(struct fastmap_session *session, const struct fastmap_map *map,
                            struct fastmap_report *report);

#endif
