/* SPDX-License-Identifier: BSD-3-Clause */
/* A running map as the engine's files share it. */
#ifndef FM_ENGINE_MAP_H
#define FM_ENGINE_MAP_H

#include <fastmap.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sched/spread.h"

struct fm_local_frame;
struct fm_tier_course;
struct fm_process_map;

/* How far the own elements of a map over ranks are, whoever computes them: for progress lines, which the
   thread that called, or the keeper, shows. */
struct fm_engine_gauge {
    size_t n;
    uint64_t begun_ticks;
    uint64_t read_ticks; /* when it was brought up to date; under the world's mutex */
    _Atomic size_t done;
    _Atomic double due_s; /* after how many seconds the next line is due */
};

/* On the stack of the thread that called, while the call lasts. */
struct fm_engine_map {
    struct fastmap_session *session;
    const struct fastmap_map *map;
    struct fm_local_frame *frame;
    double predicted_ns; /* an element's cost before anything ran; 0 unknown */
    double cost_ns;      /* an element's: predicted, then measured; 0 unknown */
    _Atomic double
        mean_ns; /* the mean over the elements so far; 0 unknown. Relaxed: the porter looks */
    uint64_t begun_ticks;   /* 0: this map is not timed */
    _Atomic bool displayed; /* the keeper may show its progress */
    _Atomic bool stopped;   /* an element failed, and the policy is to stop */
    int rank;               /* of this process */
    uintptr_t identity;     /* the function's name in the history */
    /* Of a map in worker processes: the map there, NULL where elements run in threads; elements that its
       blocks did not compute; and why it could not go on. */
    struct fm_process_map *process;
    _Atomic size_t skipped; /* without meaning in threads, as is the next */
    _Atomic int code;
    /* Of a map over ranks: what the caller does between batches; elements that went elsewhere. */
    void (*between)(void *context);
    void *context;
    _Atomic size_t taken;                /* changed under the world's mutex, as is ... */
    _Atomic double taken_work;           /* ... how much work they are */
    const struct fm_tier_course *course; /* of its frame; NULL: elements are in their own order */
    struct fm_sched_spread *spread;      /* what the caller's batches took; NULL: nobody asks */
    struct fm_engine_gauge *gauge;       /* how far the whole map is; NULL: as far as the frame */
    size_t left_out;                     /* not computed, as the policy was to stop */
    /* Under the failures' lock: */
    size_t failed;
    size_t listed;
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES]; /* ascending by index */
};

/* Threads of the caller's session that may compute this map. */
int fm_engine_usable_width(const struct fm_engine_map *run);

/* Computes the map, whose frame is open and pristine, with up to `width` threads, closes it and fills the
   report. run->between is called now and then. */
void fm_engine_compute(struct fm_engine_map *run, int width, struct fastmap_report *report);

/* The same with the last word: the closing line, and what the call returns. report: NULL is allowed. */
int fm_engine_run_timed(struct fm_engine_map *run, int width, struct fastmap_report *report);

/* What the call returns: 0, or ELEMENT with its sentence; in processes also PROGRAM, MEMORY. */
int fm_engine_outcome(const struct fm_engine_map *run);

/* Where the function's code is. */
const void *fm_engine_function(const struct fastmap_map *map);

/* The function's name in the history, which is another one where elements are handed to processes. */
uintptr_t fm_engine_identity(const struct fastmap_map *map, bool in_processes);

/* Adds failures that another rank found. */
void fm_engine_failures_merge(struct fm_engine_map *run, size_t failed,
                              const struct fastmap_failure *failures, size_t listed);

/* What failed so far; others may find more at the same time. */
void fm_engine_failures_tell(const struct fm_engine_map *run, struct fastmap_report *report);

/* Notes that `count` elements failed in this way; true where the map's policy is to stop. */
bool fm_engine_failure_note(struct fm_engine_map *run, const struct fastmap_failure *failure,
                            size_t count);

/* For the tier: notes failures; true where the map's policy is to stop. */
bool fm_engine_failed(void *engine_map, size_t first, size_t count, int code);

/* After fork(), in the child. */
void fm_engine_failed_after_fork(void);

#endif
