/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of connections and the thread that looks at it. It is late by TICK_NS at most, and locks for as
 * long as a walk over the list takes: some microseconds for a thousand connections.
 */
#include "watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/thread.h"
#include "log.h"
#include "metrics.h"

#define SECOND_NS INT64_C(1000000000)
#define TICK_NS (SECOND_NS / 10)
#define NEVER INT64_MAX

struct fmd_watch {
    int64_t seconds[FMD_PHASES], whole_s;
    pthread_t thread;
    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t ended;
    bool ends;
    struct fmd_link *first;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* ---- The thread ---------------------------------------------------------------------------------------- */

static void look_at(struct fmd_link *link, int64_t now)
{
    static const char *const names[FMD_PHASES] = {"headers", "body", "work", "answer", "keep"};
    pthread_mutex_lock(&link->mutex);
    const enum fmd_phase phase = link->phase;
    const bool late =
        phase != FMD_PHASE_WORK && (link->phase_end_ns <= now || link->whole_end_ns <= now);
    if (late) {
        shutdown(link->fd, SHUT_RDWR);
        link->phase_end_ns = link->whole_end_ns = NEVER;
    }
    pthread_mutex_unlock(&link->mutex);
    if (late) {
        fmd_metrics_add(FMD_METRIC_deadlines, phase != FMD_PHASE_KEEP);
        fmd_log(FMD_LOG_DEBUG, "deadline", "phase=%s", names[phase]);
    }
}

static void look(struct fmd_watch *watch)
{
    const int64_t now = now_ns();
    for (struct fmd_link *link = watch->first; link != NULL; link = link->next)
        look_at(link, now);
}

static void *run(void *argument)
{
    struct fmd_watch *watch = argument;
    pthread_mutex_lock(&watch->mutex);
    while (!watch->ends) {
        struct timespec next;
        const int64_t at = now_ns() + TICK_NS;
        next = (struct timespec){at / SECOND_NS, at % SECOND_NS};
        pthread_cond_timedwait(&watch->ended, &watch->mutex, &next);
        look(watch);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

struct fmd_watch *fmd_watch_start(const int64_t seconds[FMD_PHASES], int64_t whole_s)
{
    struct fmd_watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t attributes;
    if (watch == NULL)
        return NULL;
    memcpy(watch->seconds, seconds, sizeof watch->seconds);
    watch->whole_s = whole_s;
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!fm_base_thread_start(&watch->thread, run, watch, "fastmapd-watch")) {
        free(watch);
        return NULL;
    }
    return watch;
}

void fmd_watch_stop(struct fmd_watch *watch)
{
    pthread_mutex_lock(&watch->mutex);
    watch->ends = true;
    pthread_cond_signal(&watch->ended);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->ended);
    pthread_mutex_destroy(&watch->mutex);
    free(watch);
}

/* ---- Links -----------------------------------------------------------------------------------------------
   */

/* What a phase means for the deadlines; the link's mutex is held. */
static void enter(struct fmd_watch *watch, struct fmd_link *link, enum fmd_phase phase)
{
    const int64_t now = now_ns();
    const int64_t seconds = watch->seconds[phase];
    if (phase == FMD_PHASE_HEADERS && link->phase == FMD_PHASE_HEADERS && link->since_ns != 0)
        return; /* a first request's line: its time runs since the connection began */
    if (phase == FMD_PHASE_HEADERS)
        link->whole_end_ns = now + watch->whole_s * SECOND_NS;
    if (phase == FMD_PHASE_KEEP)
        link->whole_end_ns = NEVER;
    if (link->phase == FMD_PHASE_WORK && link->whole_end_ns != NEVER)
        link->whole_end_ns += now - link->since_ns; /* as if work had taken no time */
    link->phase = phase;
    link->since_ns = now;
    link->phase_end_ns = phase == FMD_PHASE_WORK ? NEVER : now + seconds * SECOND_NS;
}

struct fmd_link *fmd_watch_add(struct fmd_watch *watch, int fd)
{
    struct fmd_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->fd = fd;
    pthread_mutex_init(&link->mutex, NULL);
    enter(watch, link, FMD_PHASE_HEADERS);
    pthread_mutex_lock(&watch->mutex);
    link->next = watch->first;
    link->before = &watch->first;
    if (link->next != NULL)
        link->next->before = &link->next;
    watch->first = link;
    pthread_mutex_unlock(&watch->mutex);
    return link;
}

void fmd_watch_remove(struct fmd_watch *watch, struct fmd_link *link)
{
    pthread_mutex_lock(&watch->mutex);
    *link->before = link->next;
    if (link->next != NULL)
        link->next->before = link->before;
    pthread_mutex_unlock(&watch->mutex);
    pthread_mutex_destroy(&link->mutex);
    explicit_bzero(&link->token, sizeof link->token);
    free(link);
}

void fmd_watch_enter(struct fmd_watch *watch, struct fmd_link *link, enum fmd_phase phase)
{
    pthread_mutex_lock(&link->mutex);
    enter(watch, link, phase);
    pthread_mutex_unlock(&link->mutex);
}
