/* SPDX-License-Identifier: BSD-3-Clause */
/* A running map as the engine's files share it. */
#ifndef FM_ENGINE_MAP_H
#define FM_ENGINE_MAP_H

#include <fastmap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fm_local_frame;

/* On the stack of the thread that called, while the call lasts. */
struct fm_engine_map {
    struct fastmap_session *session;
    const struct fastmap_map *map;
    struct fm_local_frame *frame;
    double predicted_ns;    /* an element's cost before anything ran; 0 unknown */
    double cost_ns;         /* an element's: predicted, then measured; 0 unknown */
    uint64_t begun_ticks;   /* 0: this map is not timed */
    _Atomic bool displayed; /* the keeper may show its progress */
    /* Under the failures' lock: */
    size_t failed;
    size_t listed;
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES]; /* ascending by index */
};

/* For the tier: notes failures; true where the map's policy is to stop. */
bool fm_engine_failed(void *engine_map, size_t first, size_t count, int code);

/* After fork(), in the child. */
void fm_engine_failed_after_fork(void);

#endif
