/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One worker from its host's side: a place that a thread has, in which a process is started when there is
 * something to compute, and started again when it was lost.
 */
#ifndef FM_PROCESS_WORKER_H
#define FM_PROCESS_WORKER_H

#include <sched.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "program/channel.h"
#include "tier/process/map.h"
#include "tier/process/memory.h"
#include "tier/process/output.h"
#include "wire/worker.h"

struct fm_process_worker {
    struct fm_process_worker *next; /* in the registry; constant once linked */
    _Atomic bool taken;             /* some living thread has the place */
    _Atomic bool busy;              /* a span is out */
    _Atomic pid_t pid;              /* 0: there is no process */
    int pidfd;
    int number;
    char name[48];  /* "worker 3" */
    cpu_set_t cpus; /* where its thread may run */
    int core;       /* where its thread waits for it: see meet.c; -1: it is bound, or not known */
    struct fm_program_channel channel;
    struct fm_process_output output;
    struct fm_process_output error;
    struct fm_process_memory arena;
    bool has_arena;  /* the process knows of it */
    uint64_t serial; /* of the map that the place was last made ready for; 0: none */
    uint64_t has;    /* of the map that the process has, or one just like it */
    struct fm_wire_worker_load load; /* what the process has; its path: */
    char path[FM_WIRE_WORKER_PATH];
    uint64_t loads; /* maps loaded so far, by which they are named */
    uint64_t spans; /* likewise */
    bool fresh;     /* the process has computed nothing yet */
};

/* What became of a span. */
enum fm_process_outcome {
    FM_PROCESS_DONE,    /* answer.result */
    FM_PROCESS_REFUSED, /* answer.sentence: the worker cannot compute the map at all */
    FM_PROCESS_LOST     /* the process has ended: answer.ending, answer.index */
};

struct fm_process_answer {
    enum fm_process_outcome outcome;
    struct fm_wire_worker_result
        result;     /* LOST: as far as the control page tells of [first, index) */
    uint64_t index; /* the element that did it; NONE: not known */
    int ending;     /* a signal, or of enum fastmap_ending */
    int status;     /* EXIT: with which */
    char sentence[FM_WIRE_WORKER_SENTENCE];
};

/* The calling thread's place. NULL: no memory. */
struct fm_process_worker *fm_process_worker_mine(void);

/* Sees to it that there is a process that has the map and an arena with room for so many bytes behind the
   control page. 0, or PROGRAM, MEMORY with a sentence. */
int fm_process_worker_ready(struct fm_process_worker *worker, const struct fm_process_map *map,
                            size_t bytes);

/* Has the span computed, whose inputs are in the arena; the span gets its name here. */
void fm_process_worker_compute(struct fm_process_worker *worker, const struct fm_process_map *map,
                               struct fm_wire_worker_span *span, struct fm_process_answer *answer);

/* Sends a frame on which the worker wakes on the calling thread's core. False: it has gone. */
bool fm_process_worker_tell(struct fm_process_worker *worker, struct fm_wire_worker_frame *frame,
                            int descriptor);

/* The same, and the thread stays on that core, for the answer to wake it there, until it leaves. */
bool fm_process_worker_meet(struct fm_process_worker *worker, struct fm_wire_worker_frame *frame);
void fm_process_worker_leave(const struct fm_process_worker *worker);

/* Shows what is printed, and waits for it, at most so many milliseconds (-1: no limit). True: the worker has
   said something, or has gone. */
bool fm_process_worker_listen(struct fm_process_worker *worker, int milliseconds);

/* Says goodbye. Ends the process, if there is one, patiently (it may come to its end by itself) or at once,
   and shows what it has printed last; returns its exit status as waitpid() gives it, -1 unknown. */
void fm_process_worker_bid(struct fm_process_worker *worker);
int fm_process_worker_end(struct fm_process_worker *worker, bool patient);

/* After fork(), in the child: it is not the child's. is_still: nobody was changing it just then, so that its
   descriptors are what they seem. */
void fm_process_worker_forget(struct fm_process_worker *worker, bool is_still);

#endif
