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

struct fm_engine_cloud;
struct fm_engine_letter;

/* What a neighbour does, as far as it has said. */
enum fm_engine_role { FM_ENGINE_ROLE_UNKNOWN, FM_ENGINE_ROLE_CALLS, FM_ENGINE_ROLE_SERVES };

struct fm_engine_world {
    const struct fm_tier_ranks *tier; /* where there are no other ranks, one that does nothing */
    struct fm_tier_world is;
    struct fm_sched_edge *edges; /* this rank's neighbours, and a place for one more */
    enum fm_engine_role *roles;  /* theirs */
    int edge_count;
    bool serves;                    /* this rank makes no maps, it only helps */
    bool served;                    /* all other ranks do: a serial program on a cluster */
    bool parted;                    /* goodbye has been said */
    struct fm_engine_letter *early; /* messages of the next map, read before this rank is in it */
    bool busy;                      /* a map is on; under `mutex` */
    struct fm_engine_cloud *cloud;  /* takes part in it, as a rank that is one beyond the others */
    int gateway;                    /* the rank that talks to it, as far as known; -1: none can */
    int turn;                       /* how often that has passed on */
    bool turn_news;                 /* the next one is to be told, */
    uint64_t turn_told;             /* and was so in this map */
    bool turn_said;
    int width;             /* threads that this rank should use, 0: as many as there are cores */
    bool rings;            /* all neighbours' messages wake this rank */
    bool crowded;          /* more ranks share this one's processors than there are of these */
    uint64_t maps;         /* begun so far: the same on all ranks */
    pthread_mutex_t mutex; /* around calls of the tier and what its messages change */
};

/* The world that maps of this session run in: NULL where the process is alone (not started as a rank, one
   rank, no plugin that fits: said once) and has no cloud; where the session has ranks = OFF among ranks; or
   where the calling thread is inside an element. Threads: any. */
struct fm_engine_world *fm_engine_world(const struct fastmap_session *session);

/* Whether the world's ranks can take part in the map, and where there are none, whether the cloud might; says
   once where ranks cannot. */
bool fm_engine_world_can(struct fm_engine_world *here, struct fastmap_session *session,
                         const struct fastmap_map *map);

/* Notes what a neighbour does. */
void fm_engine_world_know(struct fm_engine_world *here, int rank, bool serves);

/* This process makes no more maps with the other ranks: those that serve may go. Nothing where it is no rank,
   or a map is on. */
void fm_engine_world_goodbye(void);

/* The same when the process-wide session ends: also where this rank has not made any map. */
void fm_engine_world_part(void);

/* Threads that a rank should use so that those of one node divide its cores; 0: no limit. */
int fm_engine_world_width(void);

/* After fork(), in the child: it is no rank. */
void fm_engine_world_after_fork(void);

#endif
