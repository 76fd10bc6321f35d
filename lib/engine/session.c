/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: settings under which maps run. The first one in a process sets the machinery up, the last
 * one takes keeper and pool down with it.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "engine/cloud.h"
#include "engine/engine.h"
#include "engine/keeper.h"
#include "engine/map.h"
#include "engine/policy.h"
#include "engine/world.h"
#include "tier/local/local.h"
#include "tier/process/process.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* sessions' births and deaths */
static pthread_once_t machinery = PTHREAD_ONCE_INIT;
static int sessions;
static _Atomic(struct fastmap_session *) global;

/* A fork while a session is made or the pool grows would leave the child something half made. Locks that
   are held for a moment only are new in the child instead. */
static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
    fm_local_before_fork();
}

static void after_fork_parent(void)
{
    fm_local_after_fork_parent();
    pthread_mutex_unlock(&mutex);
}

static void after_fork_child(void)
{
    pthread_mutex_init(&mutex, NULL);
    fm_engine_failed_after_fork();
    fm_engine_policy_after_fork();
    fm_engine_keeper_after_fork();
    fm_engine_world_after_fork();
    fm_engine_cloud_after_fork();
    fm_local_after_fork();
    fm_process_after_fork();
}

static void start_machinery(void)
{
    fm_base_clock_calibrate();
    fm_local_init(&fm_engine_host);
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    (void)atexit(fm_process_stop);
    (void)atexit(fm_engine_keeper_retire); /* before any library's destructors */
}

/* Under the mutex. */
static int make(const struct fastmap_config *config, struct fastmap_session **session)
{
    struct fastmap_session *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a session: free some and try again");
    const int error = fm_base_settings_load(config, &made->settings);
    if (error != 0) {
        free(made);
        return error;
    }
    made->confirm = config != NULL ? config->confirm : NULL;
    made->confirm_context = config != NULL ? config->confirm_context : NULL;
    made->terminal = fm_base_status_is_terminal();
    if (made->settings.secret != NULL && made->settings.cloud_url == NULL)
        fm_base_log(made->settings.verbosity, FASTMAP_VERBOSITY_NORMAL,
                    "a secret is set, but no cloud_url: maps run on this machine");
    pthread_once(&machinery, start_machinery);
    sessions++;
    *session = made;
    return 0;
}

struct query {
    const struct fastmap_session *session;
    int seen; /* maps that could be looked at */
    bool found;
};

static bool uses(void *context, const struct fm_local_sight *sight)
{
    struct query *query = context;
    const struct fm_engine_map *run = sight->host_map;
    query->seen++;
    if (run->session == query->session)
        query->found = true;
    return false;
}

/* Whether a map of the session runs. A map that somebody is just taking from is looked at again. */
static bool in_use(const struct fastmap_session *session)
{
    for (;;) {
        struct query query = {.session = session};
        const int maps = fm_local_watch(uses, &query);
        if (query.found || query.seen == maps)
            return query.found;
        sched_yield();
    }
}

/* Under the mutex. */
static int end(struct fastmap_session *session)
{
    if (in_use(session))
        return fm_base_fail(FASTMAP_ERR_STATE,
                            "a map of this session is running: wait until it has "
                            "returned, then end the session");
    if (--sessions == 0) {
        fm_engine_keeper_retire();
        fm_local_pool_stop();
        fm_process_stop();
    }
    fm_engine_cloud_end(session->cloud);
    fm_base_settings_free(&session->settings);
    free(session);
    return 0;
}

int fm_engine_session_make(const struct fastmap_config *config, struct fastmap_session **session)
{
    pthread_mutex_lock(&mutex);
    const int error = make(config, session);
    pthread_mutex_unlock(&mutex);
    return error;
}

int fm_engine_session_end(struct fastmap_session *session)
{
    pthread_mutex_lock(&mutex);
    const int error = end(session);
    pthread_mutex_unlock(&mutex);
    return error;
}

static int make_global(const struct fastmap_config *config)
{
    struct fastmap_session *made;
    const int error = make(config, &made);
    if (error == 0)
        atomic_store_explicit(&global, made, memory_order_release);
    return error;
}

int fm_engine_global_make(const struct fastmap_config *config)
{
    pthread_mutex_lock(&mutex);
    int error;
    if (atomic_load_explicit(&global, memory_order_relaxed) != NULL)
        error = fm_base_fail(FASTMAP_ERR_STATE,
                             "the process-wide session exists already: call fastmap_global_init() "
                             "before the first map, or fastmap_global_finalize() first");
    else
        error = make_global(config);
    pthread_mutex_unlock(&mutex);
    return error;
}

struct fastmap_session *fm_engine_global(int *error)
{
    struct fastmap_session *session = atomic_load_explicit(&global, memory_order_acquire);
    if (session != NULL)
        return session;
    pthread_mutex_lock(&mutex);
    *error = 0;
    if (atomic_load_explicit(&global, memory_order_relaxed) == NULL)
        *error = make_global(NULL);
    session = atomic_load_explicit(&global, memory_order_relaxed);
    pthread_mutex_unlock(&mutex);
    return session;
}

int fm_engine_global_end(void)
{
    pthread_mutex_lock(&mutex);
    struct fastmap_session *session = atomic_load_explicit(&global, memory_order_relaxed);
    int error = 0;
    if (session != NULL)
        error = end(session);
    if (error == 0)
        atomic_store_explicit(&global, NULL, memory_order_release);
    pthread_mutex_unlock(&mutex);
    if (error == 0)
        fm_engine_world_part();
    return error;
}

int fm_engine_width(const struct fastmap_session *session)
{
    const int set = session->settings.max_local_workers;
    const int own = set > 0 ? set : fm_local_default_width();
    const int fair = set > 0 ? 0 : fm_engine_world_width();
    return fair > 0 && fair < own ? fair : own;
}
