/* SPDX-License-Identifier: BSD-3-Clause */
/* What a map's arguments must fulfil. */
#ifndef FM_ENGINE_CHECK_H
#define FM_ENGINE_CHECK_H

#include <fastmap.h>

/* 0, or the code and sentence of the first thing that is wrong. Costs a few nanoseconds. */
int fm_engine_check(const struct fastmap_map *map, const struct fastmap_report *report);

/* ARGUMENT: element_timeout is set, but elements run in threads. */
int fm_engine_refuse_timeout(void);

#endif
