/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Absolute deadlines of connections. However little by little a client sends, what it began must be complete
 * in time: a thread looks at all connections and shuts down the sockets of those that are late. The HTTP
 * library then sees the end and tidies up.
 *
 *     HEADERS   from being accepted, or from the first line of a further request, until the headers are
 * complete
 *     BODY      until the body is there
 *     WORK      no deadline: the service itself is at work
 *     ANSWER    until the answer is taken
 *     KEEP      until the first line of the next request
 *
 * From the first line to the end of the answer, WORK left out, there is a deadline for the whole, too.
 */
#ifndef FMD_WATCH_H
#define FMD_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

enum fmd_phase {
    FMD_PHASE_HEADERS,
    FMD_PHASE_BODY,
    FMD_PHASE_WORK,
    FMD_PHASE_ANSWER,
    FMD_PHASE_KEEP,
    FMD_PHASES
};

struct fmd_watch;

struct fmd_link {
    int fd;
    /* Its own thread's: */
    bool trusted;           /* a request over it was well signed, */
    struct fmd_token token; /* by whom, */
    uint64_t changes;       /* how often tokens had changed when that was looked up, */
    int64_t known_ns;       /* and when: tokens.h */
    /* Protects the three lines that follow; its own, since each request comes here five times, and all
       connections would meet at one of the watch's. */
    pthread_mutex_t mutex;
    enum fmd_phase phase;
    int64_t phase_end_ns, whole_end_ns, since_ns;
    struct fmd_link *next, **before; /* the watch's mutex protects the list; before a link's own */
};

/* Seconds for each phase (WORK is ignored) and for the whole. NULL: no memory or thread. */
struct fmd_watch *fmd_watch_start(const int64_t seconds[FMD_PHASES], int64_t whole_s);

/* All links must have been removed. */
void fmd_watch_stop(struct fmd_watch *watch);

/* NULL: no memory. */
struct fmd_link *fmd_watch_add(struct fmd_watch *watch, int fd);

/* Before the descriptor is closed: afterwards its number may be another connection's. Frees it. */
void fmd_watch_remove(struct fmd_watch *watch, struct fmd_link *link);

void fmd_watch_enter(struct fmd_watch *watch, struct fmd_link *link, enum fmd_phase phase);

#endif
