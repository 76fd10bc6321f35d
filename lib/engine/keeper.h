/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: a thread that computes nothing. It makes the pool, notices what the threads that compute
 * cannot (the first element of a map lasts, cheap elements turn dear, workers fell asleep too early),
 * and draws the progress line.
 */
#ifndef FM_ENGINE_KEEPER_H
#define FM_ENGINE_KEEPER_H

#include <fastmap.h>
#include <stdbool.h>

#include "engine/map.h"

/* Makes the keeper look from now on, starting or waking it if need be. Threads: any. */
void fm_engine_keeper_call(void);

/* Whether there is one: it looks at running maps every 10 ms, at worst every 250 ms. */
bool fm_engine_keeper_made(void);

/* Asks it to make the pool have that many workers (0: one per core), without waiting for it. */
void fm_engine_keeper_want_pool(int width, enum fastmap_bind bind);

/* The map that is displayed is over: takes its progress off the terminal. */
void fm_engine_keeper_map_over(void);

/* Ends the keeper: it may be inside hwloc, whose plug-ins do not survive exit(). Workers stay. */
void fm_engine_keeper_retire(void);

/* After fork(), in the child: there is no keeper. And around fork(), in the parent. */
void fm_engine_keeper_after_fork(void);

#endif
