/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps in worker processes, as the engine sees them. Each thread that computes such a map is the proxy of one
 * worker: it hands a span to it and waits for the answer. What a span's elements do to their process is seen
 * by nobody else: a crash, exit() or an element that takes too long costs that element alone.
 */
#ifndef FM_PROCESS_PROCESS_H
#define FM_PROCESS_PROCESS_H

#include <fastmap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_process_map;

/* One element that failed, or a block of them. */
struct fm_process_failure {
    size_t first;
    size_t count;
    int code;   /* what the function returned; the status of exit() */
    int signal; /* that ended the worker, or of enum fastmap_ending; 0: the function returned */
};

/* How a map's spans are told of. Called by the thread that has the span. */
struct fm_process_ports {
    /* Elements failed. True: begin no more of this span. */
    bool (*failed)(void *context, const struct fm_process_failure *failure);
    void *context;
};

/* What became of a span. */
struct fm_process_tally {
    size_t skipped; /* elements not computed, after a failure that ends the map */
    int code; /* 0; PROGRAM or MEMORY: it could not be computed at all, the sentence is in the map */
};

/* Prepares a checked map: its function's name, its shared block, the calling thread's floating-point
   environment. A worker of the calling thread's has taken it when this returns. `rank` is shown with what
   elements print; -1: there are no ranks. 0, or PROGRAM, MEMORY with a sentence: nothing has run. */
int fm_process_open(const struct fastmap_map *map, int rank, struct fm_process_map **opened);

/* Computes elements [first, first + count), whose inputs and outputs begin at in and out, in the calling
   thread's worker. */
struct fm_process_tally fm_process_span(struct fm_process_map *map,
                                        const struct fm_process_ports *ports, const void *in,
                                        void *out, size_t first, size_t count);

/* The sentence of a map whose spans could not be computed. */
const char *fm_process_sentence(const struct fm_process_map *map);

/* No thread is inside the map. */
void fm_process_close(struct fm_process_map *map);

/* Ends all workers that are not at work, patiently, and those that are. */
void fm_process_stop(void);

/* Workers that exist. */
int fm_process_count(void);

/* After fork(), in the child: it has no workers. */
void fm_process_after_fork(void);

#endif
