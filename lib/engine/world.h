/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ranks that this process is one of: found at the first map, the same for all sessions of the process.
 */
#ifndef FM_ENGINE_WORLD_H
#define FM_ENGINE_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "sched/ranks.h"
#include "tier/ranks.h"

struct fm_engine_world {
    const struct fm_tier_ranks *tier;
    struct fm_tier_world is;
    struct fm_sched_edge *edges; /* this rank's neighbours */
    int edge_count;
    bool busy;             /* a map is on; under `mutex` */
    int width;             /* threads that this rank should use, 0: as many as there are cores */
    bool crowded;          /* more ranks share this one's processors than there are of these */
    uint64_t maps;         /* begun so far: the same on all ranks */
    pthread_mutex_t mutex; /* around calls of the tier and what its messages change */
};

/* The world that maps of this session run in: NULL where the process is alone (not started as a rank, one
   rank, no plugin that fits: said once), the session has ranks = OFF, or the calling thread is inside an
   element. Threads: any. */
struct fm_engine_world *fm_engine_world(const struct fastmap_session *session);

/* Threads that a rank should use so that those of one node divide its cores; 0: no limit. */
int fm_engine_world_width(void);

/* After fork(), in the child: it is no rank. */
void fm_engine_world_after_fork(void);

#endif
