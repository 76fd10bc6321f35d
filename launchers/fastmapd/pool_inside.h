/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the pool's own files share. pool.c: the thread, its clock, opening and closing. pool_map.c: maps.
 * pool_span.c: memory of spans. pool_worker.c: a worker's life; pool_talk.c: what it says;
 * pool_end.c: what becomes of it. pool_turn.c: whose turn it is. pool_share.c: what that comes to.
 *
 * One mutex protects it all. Under it no call waits: sockets are written without blocking, and done() is
 * called when it is not held. Workers are started by the pool's thread alone, since they end when that
 * does.
 */
#ifndef FMD_POOL_INSIDE_H
#define FMD_POOL_INSIDE_H

#include <pthread.h>

#include "deal.h"
#include "pool.h"
#include "program/channel.h"
#include "sandbox.h"

#define FMD_POOL_TEXT 384          /* bytes of a worker's output that are kept for a sentence */
#define FMD_POOL_SMALL (16u << 10) /* bytes of inputs and outputs of a span that is copied */

#define FMD_POOL_STACK ((uint64_t)8 << 20) /* of a worker, where its map does not say */

enum fmd_worker_state {
    FMD_WORKER_STARTING, /* until HELLO */
    FMD_WORKER_IDLE,
    FMD_WORKER_BUSY,  /* with `span` */
    FMD_WORKER_ENDING /* killed; gone when its process has been reaped */
};

/* Memory of a span, as workers map it: the control page, inputs, outputs. It belongs to a map for good. */
struct fmd_buffer {
    struct fmd_buffer *next;
    uint64_t number; /* no other buffer has had it */
    int fd;
    uint64_t bytes;
    char *memory;
};

struct fmd_span {
    struct fmd_span *next, *previous; /* in its map's queue */
    struct fmd_map *map;
    struct fmd_buffer *buffer; /* of a small span: the worker's, while it has one */
    char *small;               /* inputs and outputs of a small span; NULL: they are in `buffer` */
    uint64_t bytes;            /* that it takes of the budget, beside a buffer */
    struct fm_wire_worker_span wire;
    uint64_t grant_ns;
    bool is_out;           /* committed, and done() not called yet */
    bool tried;            /* a worker ended before it began with it */
    uint64_t committed_ns; /* when */
    fmd_span_more *more;
    fmd_span_done *done;
    void *user;
    struct fmd_span *next_finished;
    struct fmd_span_result result;
};

struct fmd_worker {
    struct fmd_worker *next; /* of the pool */
    struct fmd_map *map;
    enum fmd_worker_state state;
    unsigned slot;
    struct fmd_sandbox_process process;
    struct fm_program_channel channel;
    int output_fd; /* -1: closed */
    uint64_t output_bytes;
    char text[FMD_POOL_TEXT];
    size_t text_bytes;
    struct fmd_span *span;
    struct fmd_buffer *desk; /* its own memory for small spans; NULL: it has had none */
    uint64_t buffer;         /* number of what it has mapped; 0: nothing */
    uint64_t since_ns;       /* in this state */
    uint64_t billed_ns;      /* of its CPU time */
    uint64_t check_ns;       /* when to look at it next */
    bool said_hello;
    bool hung_up; /* its end of the channel is closed */
    uint64_t
        doom_ns; /* it has hung up or said that it dies: it must have ended by then. 0: neither */
    bool has_verdict; /* what its span's result is, once it has ended */
    struct fmd_span_result verdict;
};

/* Those who share the machine: one for each account that has maps, and one for each token. */
struct fmd_sharer {
    struct fmd_sharer *next;
    char name[FMD_STORE_ACCOUNT];
    uint64_t number; /* no other has had it */
    unsigned maps;
    unsigned running;
    unsigned most;        /* that may run; of a token */
    unsigned queued;      /* this and the rest: of an account */
    uint64_t used_ns;     /* CPU time, with what it missed while it wanted none */
    unsigned dealt, left; /* vCPUs, as they were dealt last: to an account, and left for a token */
};

/* The spans that a map had lately, waiting or running. */
struct fmd_use {
    uint64_t since_ns;
    unsigned most;   /* since then */
    unsigned before; /* and in as long a time before */
};

struct fmd_map {
    struct fmd_map *next; /* of the pool */
    struct fmd_pool *pool;
    struct fmd_sharer *sharer; /* its account */
    struct fmd_sharer *token;
    struct fmd_tree *tree;
    struct fm_wire_worker_load load;
    char path[FM_WIRE_WORKER_PATH];
    int shared_fd;
    unsigned vcpus; /* that it could use at most */
    struct fmd_use use;
    struct fmd_claim claim; /* to vCPUs */
    uint64_t stack_bytes;
    uint64_t worker_bytes; /* what one of its workers may take at most */
    char **variables;
    struct fmd_span *first, *last; /* committed, not given to a worker */
    unsigned queued, idle, busy, starting;
    bool starts_ahead; /* a worker is wanted before the first span */
    bool closed;
    unsigned calls;       /* done() that are due or running */
    unsigned references;  /* its opener, spans that are not released, workers that are not reaped */
    uint64_t turn;        /* when it had its last one */
    uint64_t unbilled_ns; /* CPU time that no span has been charged for yet */
    struct fmd_buffer *buffers; /* free ones */
    unsigned buffer_count;
};

struct fmd_pool {
    struct fmd_pool_config config;
    struct fmd_sandbox sandbox;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t called; /* a map's `calls` has become 0 */
    int epoll_fd, wake_fd;
    bool stops;
    uint64_t sleeps_until_ns; /* the thread; 0: it is awake */
    unsigned processors;
    struct fmd_sharer *accounts, *tokens;
    struct fmd_map *maps;
    uint64_t dealt_ns; /* when vCPUs were last dealt to maps; 0: they must be anew */
    struct fmd_worker *workers;
    unsigned worker_count, running;
    uint64_t workers_bytes; /* what they may take together */
    unsigned slots;         /* workers at most */
    bool *slot_taken;
    uint64_t turns, spans; /* counters that give numbers */
    uint64_t spans_bytes;
    struct fmd_span *finished, **finished_end;
    struct fmd_pool_numbers numbers;
};

/* ---- pool.c ---- */

void fmd_pool_wake(struct fmd_pool *pool);
void fmd_pool_log(struct fmd_pool *pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- pool_turn.c, with the mutex ---- */

/* Gives idle workers what is queued. */
void fmd_turn_give(struct fmd_pool *pool);

/* Whether there is a place, and memory, for one more worker of the map. */
bool fmd_turn_has_room(const struct fmd_map *map);

/* A map that should have one more worker now; NULL: none. */
struct fmd_map *fmd_turn_needs_worker(struct fmd_pool *pool);

/* An account begins to want something: it does not get what it did not ask for before. */
void fmd_turn_join(struct fmd_pool *pool, struct fmd_sharer *sharer);

/* ---- pool_share.c, with the mutex ---- */

/* A map is new. It has one more span. */
void fmd_share_begin(struct fmd_map *map);
void fmd_share_note(struct fmd_map *map);

/* ---- pool_grant.c, with the mutex ---- */

/* The span has used so much and no more was granted: grants it more. False: there is none. */
bool fmd_span_grant(struct fmd_span *span, uint64_t used_ns);

/* ---- pool_worker.c, with the mutex ---- */

enum fmd_worker_event { FMD_WORKER_FRAME, FMD_WORKER_END, FMD_WORKER_OUTPUT, FMD_WORKER_EVENTS };

/* False: it could not be started, and one span of the map has been told. The pool's thread only. */
bool fmd_worker_start(struct fmd_map *map);

/* Something has happened to it. True: it is gone, to be freed. */
bool fmd_worker_happen(struct fmd_worker *worker, enum fmd_worker_event event);

/* Gives an idle worker a span, which leaves the queue. False: it has gone, and the span stays. */
bool fmd_worker_give(struct fmd_worker *worker, struct fmd_span *span);

/* Looks at its clocks. */
void fmd_worker_check(struct fmd_worker *worker, uint64_t now_ns);

/* Ends it: its span, if any, gets this status. */
void fmd_worker_end(struct fmd_worker *worker, enum fmd_span_status status, const char *sentence);

/* Takes its span away, which then no longer runs; NULL: it has none. */
struct fmd_span *fmd_worker_take_span(struct fmd_worker *worker);

/* For the worker's own files. */
#define FMD_WORKER_LIFE_CPU_S \
    (12 * 3600u) /* CPU time after which a worker is replaced between spans */
void fmd_worker_set_state(struct fmd_worker *worker, enum fmd_worker_state state);
void fmd_worker_forget_fd(struct fmd_pool *pool, int fd);

/* ---- pool_talk.c, with the mutex ---- */

/* Takes what it has said. False: it is of no more use. */
bool fmd_worker_listen(struct fmd_worker *worker);

/* Takes what it has printed. */
void fmd_worker_read_output(struct fmd_worker *worker);

/* ---- pool_end.c, with the mutex ---- */

uint64_t fmd_worker_unbilled_ns(const struct fmd_worker *worker);
uint64_t fmd_worker_bill(struct fmd_worker *worker);

void fmd_worker_set_sentence(struct fmd_span_result *result, const char *sentence);
void fmd_worker_set_verdict(struct fmd_worker *worker, enum fmd_span_status status,
                            const char *sentence);

/* The span of a worker that lives on, or has been judged. */
void fmd_worker_finish(struct fmd_worker *worker, const struct fmd_span_result *result,
                       uint64_t cpu_ns);

/* No worker could be started: one span of the map is told why, with what the program printed. */
void fmd_worker_fail_span(struct fmd_map *map, const char *why, const char *text);

/* Its process has ended. */
void fmd_worker_bury(struct fmd_worker *worker);

/* ---- pool_span.c, with the mutex ---- */

void fmd_span_queue(struct fmd_span *span);
void fmd_span_unqueue(struct fmd_span *span);

/* Its result stands: done() is due. */
void fmd_span_finish(struct fmd_span *span);

/* A small span's inputs go to the worker's desk, and its outputs come from there. False: no memory. */
bool fmd_span_lay(struct fmd_worker *worker, struct fmd_span *span);
void fmd_span_take(struct fmd_span *span);

void fmd_buffer_free(struct fmd_pool *pool, struct fmd_buffer *buffer);
void fmd_desk_free(struct fmd_buffer *desk);

/* ---- pool_map.c, with the mutex ---- */

void fmd_map_drop(struct fmd_map *map); /* a reference */

#endif
