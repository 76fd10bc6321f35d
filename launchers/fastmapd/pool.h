/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers: who computes which span when. A pool has one thread of its own, which talks to the workers,
 * watches their clocks and ends them. Each worker belongs to one map of one account, lives in its own
 * sandbox (sandbox.h), computes one span at a time, and is believed nothing: whatever happens to it is the
 * error of the span that it had, and of no other.
 *
 * A span's life:
 *     reserve   memory for its inputs and outputs, shared with whichever worker will compute it: the body of
 *               the request is read straight into it
 *     commit    it may be computed; a worker that is idle gets it before the call returns
 *     done()    once, from the pool's thread (or from fmd_pool_map_close(): see there): the outputs are in
 *               the same memory
 *     release   the memory goes to the next span. Also instead of commit, when the body broke off
 *
 * Fairness: at most `vcpus` spans are computed at a time, and of a token's maps at most as many as it may
 * have. The next one is taken from the account that has the fewest running, among equals from the one that
 * has used the least CPU time lately, there from the map that has the fewest, among equals in turn. So
 * vCPUs go from map to map as spans end, each map has its max-min fair part of what all keep busy, and what
 * one leaves idle is the others' at once. An account that has none running gets one even where all vcpus
 * are taken (the kernel then shares the processors), so that nobody waits for the end of somebody else's
 * long span.
 *
 * Memory: a worker is started when all that it may take, by its limits, fits into what is set aside for
 * workers beside what those that are there may take. So they can all take it at the same time. Where it does
 * not fit, a worker that is idle makes room, and where none is, the next that becomes idle gets no span
 * before those maps that go before its own: waiting is in turn, too.
 *
 * CPU time is the worker process's own clock, read from outside by the kernel's books: user and system time
 * of all its threads, living and ended, and a worker cannot have children. A span is charged for what its
 * worker has used since the span before: starting the program and what goes on between spans included.
 *
 * Threads: each function from any thread, except where it says otherwise. done() must not block (no disk,
 * no lock that is held for long), and may call reserve, commit and release, but not open or close.
 */
#ifndef FMD_POOL_H
#define FMD_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"
#include "wire/worker.h"

struct fmd_pool;
struct fmd_map;
struct fmd_span;

struct fmd_pool_config {
    unsigned vcpus;         /* spans computed at the same time; 0: one for each processor */
    uint64_t worker_bytes;  /* memory of a worker beside its program, spans and shared block */
    uint64_t scratch_bytes; /* of a worker's /tmp, part of its memory */
    uint64_t
        workers_bytes; /* memory of all workers together; 0: half of what the machine has for us */
    uint64_t spans_bytes; /* shared memory of all spans together; 0: a quarter of that */
    uint64_t span_ns;     /* wall time of a span */
    uint64_t idle_ns;     /* after which a worker with nothing to do ends */
    uint64_t start_ns;    /* in which a worker must have started */
    uint32_t
        first_uid; /* user numbers that nobody else has, used where fastmapd is root; 0: 1879048192 on */
    bool unconfined; /* run programs where the kernel has no sandbox to offer */
    void (*log)(
        const char
            *sentence); /* what an operator should know; NULL: nothing. From the pool's thread */
};

/* Fills in what is 0 and may be: workers_bytes, spans_bytes, and worker_bytes with its scratch_bytes: 1 GiB,
   or less, down to 64 MiB, so that a worker for each vcpu and one more fit in. */
void fmd_pool_settle(struct fmd_pool_config *config);

/* 0, or a code with a sentence: FASTMAP_ERR_STATE where there is no sandbox to be had. */
int fmd_pool_open(const struct fmd_pool_config *config, struct fmd_pool **pool);

/* Ends all workers; maps must have been closed. */
void fmd_pool_close(struct fmd_pool *pool);

/* What confines the workers, for the log: "namespaces, seccomp, a user of its own for each". */
const char *fmd_pool_confinement(const struct fmd_pool *pool);

/* For the metrics; each is a moment's value or a sum since the start. */
struct fmd_pool_numbers {
    uint64_t workers, idle, running, queued; /* now */
    uint64_t spans_bytes, workers_bytes;     /* now; what workers may take at most */
    uint64_t started, spans, cpu_ns;         /* since the start */
    uint64_t queued_ns;                      /* all spans' waiting time, since the start */
    uint64_t killed_late, killed_cut, killed_nonsense, died, start_failed, ended_idle;
};
void fmd_pool_count(struct fmd_pool *pool, struct fmd_pool_numbers *numbers);

/* ---- Maps ---- */

struct fmd_pool_terms {
    const char *account;
    const char *token;    /* NULL: none; names are different in all accounts */
    unsigned token_vcpus; /* that all its maps here may have in use, 0: no limit; more only by
                             fmd_pool_allot(), where it has maps already */
    const char *module;   /* as in LOAD: "" is the executable */
    uint64_t offset;
    bool block; /* a function of a block */
    bool stop;  /* the first failure ends its span */
    bool trail; /* elements have trails, as in LOAD, which their sizes count */
    uint64_t in_size, out_size;
    int shared_fd;         /* of the shared block, opened for reading; the pool duplicates it */
    uint64_t shared_bytes; /* 0: none */
    unsigned vcpus;        /* that it could use: workers at most */
    const uint8_t *fenv;   /* as in LOAD; NULL: default */
    uint32_t fenv_bytes;
    uint64_t stack_bytes;         /* RLIMIT_STACK; 0: 8 MiB. At most worker_bytes */
    const char *const *variables; /* "NAME=value", NULL at the end; NULL: none */
};

/* Opens a map over a staged program, which the map owns from now on, also where this fails. A first
   worker is started at once. 0, or a code with a sentence. */
int fmd_pool_map_open(struct fmd_pool *pool, struct fmd_tree *tree,
                      const struct fmd_pool_terms *terms, struct fmd_map **map);

/* Ends its workers. Spans that were committed and are not done get done(FMD_SPAN_CLOSED), from this
   call; spans that are done but not released stay valid until they are. After it returns no done() of
   this map is called, and the map is gone. */
void fmd_pool_map_close(struct fmd_map *map);

/* How many vCPUs the map has now, 1 at least: what it can count on while others want some, too. */
unsigned fmd_pool_map_vcpus(struct fmd_map *map);

/* A token that has a limit and maps here. */
struct fmd_pool_token {
    uint64_t number; /* of all tokens that were ever here */
    char token[FMD_STORE_ACCOUNT];
    unsigned wants; /* vCPUs that its maps could use */
    unsigned uses;  /* that they have in use, or will have without being told anything else */
};

/* The one with the least number above that; false: there is none. */
bool fmd_pool_next_token(struct fmd_pool *pool, uint64_t number, struct fmd_pool_token *token);

/* It may have so many in use from now on (0 is none); below 0: there is no limit. What runs goes on to its
   end. Nothing happens where it is not there any more. */
void fmd_pool_allot(struct fmd_pool *pool, uint64_t number, int64_t vcpus);

/* ---- Spans ---- */

enum fmd_span_status {
    FMD_SPAN_DONE, /* a RESULT */
    FMD_SPAN_DIED, /* a signal or exit() ended the worker: `crash` */
    FMD_SPAN_LATE, /* span_ns is over */
    FMD_SPAN_CUT,  /* its CPU time is used up */
    FMD_SPAN_NONSENSE, /* the worker said what cannot be, or nothing any more: by its own program's fault */
    FMD_SPAN_LOST, /* somebody else ended the worker, as a machine without memory does: nothing of it is to
                         be charged */
    FMD_SPAN_REFUSED, /* the worker runs but cannot do it (no such function): `sentence` */
    FMD_SPAN_FAILED,  /* no worker could be started: `sentence`, with what the program printed */
    FMD_SPAN_CLOSED   /* the map was closed: nothing is to be charged */
};

struct fmd_span_result {
    enum fmd_span_status status;
    uint64_t computed; /* elements from the first on whose outputs are there */
    uint64_t failed;
    uint32_t listed;
    struct fm_wire_worker_failure failures[FM_WIRE_WORKER_FAILURES]; /* indices of the map */
    uint32_t raised;                                                 /* floating-point exceptions */
    uint64_t crash_index; /* DIED: the element, or FM_WIRE_WORKER_NONE where that is not known */
    int crash_signal;     /* DIED: the signal; 0: exit() */
    int crash_status;     /* DIED by exit(): its status */
    uint64_t cpu_ns;      /* measured from outside; may be a little above what was granted */
    uint64_t granted_ns;  /* in the end */
    uint64_t wall_ns;     /* from being given to the worker */
    uint64_t queued_ns;   /* from commit to that */
    char sentence
        [FM_WIRE_WORKER_SENTENCE]; /* not for DONE. May hold text of the program's: not for logs */
};

typedef void fmd_span_done(struct fmd_span *span, const struct fmd_span_result *result, void *user);

/* It has used up what it was granted: how much more it is granted; 0: there is no more. From the pool's
   thread, which holds its lock: must not call the pool, nor block. */
typedef uint64_t fmd_span_more(void *user);

/* Memory for elements [first, first + count). NULL: none is to be had now (503 full). */
struct fmd_span *fmd_span_reserve(struct fmd_map *map, uint64_t first, uint64_t count);

/* Where the inputs go, and where the outputs are: count * in_size and count * out_size bytes (NULL for
   none). A worker may still write to them: what is read twice may differ. */
void *fmd_span_in(const struct fmd_span *span);
const void *fmd_span_out(const struct fmd_span *span);

/* Inputs are complete. cpu_ns: CPU time that it may use; more() is asked when that is used up, then what
   was granted to other spans of the map and is not used by them is granted to it instead: a span is cut when
   all of its map's together have used all that they were granted together, not before and not later.
   done() may be called before this returns. */
void fmd_span_commit(struct fmd_span *span, uint64_t cpu_ns, fmd_span_more *more,
                     fmd_span_done *done, void *user);

/* How many vCPUs its map has now; its map may have been closed. */
unsigned fmd_span_vcpus(const struct fmd_span *span);

/* Not between commit and done(). */
void fmd_span_release(struct fmd_span *span);

#endif
