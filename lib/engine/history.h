/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What elements of a function have cost in earlier maps of this process. A prediction only: a map whose
 * elements turn out different loses some microseconds, never results.
 */
#ifndef FM_ENGINE_HISTORY_H
#define FM_ENGINE_HISTORY_H

#include <stdint.h>

/* Nanoseconds an element of the function, 0 where nothing is known. Threads: any; a few nanoseconds. */
double fm_engine_history_cost_ns(uintptr_t function);

/* Notes the mean cost over a map. */
void fm_engine_history_note(uintptr_t function, double cost_ns);

#endif
