/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What elements of a function have cost in earlier maps of this process. A prediction only: a map whose
 * elements turn out different loses some microseconds, never results.
 */
#ifndef FM_ENGINE_HISTORY_H
#define FM_ENGINE_HISTORY_H

#include <stdint.h>

#include "sched/spread.h"

/* Nanoseconds an element of the function, 0 where nothing is known. Threads: any; a few nanoseconds. */
double fm_engine_history_cost_ns(uintptr_t function);

/* How far its elements scattered when it was last looked at; all 0: nothing is known. */
struct fm_sched_spread fm_engine_history_spread(uintptr_t function);

/* Notes the mean cost over a map, and the scatter in it; NULL: that was not looked at. */
void fm_engine_history_note(uintptr_t function, double cost_ns,
                            const struct fm_sched_spread *spread);

#endif
