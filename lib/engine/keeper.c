/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper's loop: look, then sleep for a while: 0.1 ms after it was called, twice as long each time
 * up to 10 ms while maps run or come. When nothing has happened for a while it dozes and looks four times
 * a second; a map that may need it sooner calls it. A look costs a few microseconds: a busy process
 * spends less than a thousandth of a core on it, an idle one less than a ten-thousandth.
 *
 * `mutex` protects the thread's life and its wishes; `display` the slot of the map that is shown, and
 * the drawing. The keeper never holds `mutex` while it looks. The map in the slot cannot end before it
 * is taken out, which needs `display`.
 */
#include "engine/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "engine/policy.h"
#include "engine/progress.h"
#include "tier/local/local.h"

#define FIRST_LOOK_NS 100000u
#define LAST_LOOK_NS 10000000u
#define DOZE_NS 250000000u
#define QUIET_LOOKS 10 /* with nothing going on, then it dozes */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    pthread_t thread;
    _Atomic bool made;
    bool stop;
    bool roused; /* somebody called since the last look */
    bool want_pool;
    int want_width;
    enum fastmap_bind want_bind;
    _Atomic bool awake;
} keeper = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static struct {
    pthread_mutex_t mutex;
    struct fm_engine_map *run; /* the map in the slot, NULL: none */
    struct fm_engine_progress progress;
    double due_seconds; /* of the map's age */
} display = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- Progress ---- */

/* In a look: puts an outermost map into the empty slot, or notes how far the one in the slot is. A
   drawing that is under way is not waited for: its owner holds a lock that computing threads need. */
static void note_progress(struct fm_engine_map *run, const struct fm_local_sight *sight)
{
    if (sight->nested || !fm_engine_progress_wanted(run->session) ||
        pthread_mutex_trylock(&display.mutex) != 0)
        return;
    if (display.run == NULL) {
        display.run = run;
        display.progress = (struct fm_engine_progress){.label = run->map->label, .n = sight->n};
        display.due_seconds = fm_engine_progress_due(run->session, 0);
        if (run->gauge != NULL)
            display.due_seconds = atomic_load_explicit(&run->gauge->due_s, memory_order_relaxed);
        atomic_store_explicit(&run->displayed, true, memory_order_relaxed);
    }
    if (display.run == run) {
        if (sight->done > display.progress.done)
            display.progress.done = sight->done;
        display.progress.seconds = sight->age_ns * 1e-9;
        if (run->gauge != NULL)
            fm_engine_progress_gauge(run->gauge, &display.progress);
    }
    pthread_mutex_unlock(&display.mutex);
}

static void draw_progress(void)
{
    pthread_mutex_lock(&display.mutex);
    const struct fm_engine_map *run = display.run;
    if (run != NULL && display.progress.seconds >= display.due_seconds) {
        display.due_seconds = fm_engine_progress_show(run->session, &display.progress);
        if (run->gauge != NULL)
            atomic_store_explicit(&run->gauge->due_s, display.due_seconds, memory_order_relaxed);
    }
    pthread_mutex_unlock(&display.mutex);
}

void fm_engine_keeper_map_over(void)
{
    pthread_mutex_lock(&display.mutex);
    display.run = NULL;
    fm_base_status_clear();
    pthread_mutex_unlock(&display.mutex);
}

/* ---- Looking ---- */

/* Whether others should be let into a map that still computes alone. */
static bool see(void *context, const struct fm_local_sight *sight)
{
    (void)context;
    struct fm_engine_map *run = (struct fm_engine_map *)sight->host_map;
    note_progress(run, sight);
    return !sight->shared && sight->cost_ns > 0 &&
           fm_engine_policy_pays(run->session, sight->unclaimed, FM_ENGINE_BEGUN, sight->cost_ns);
}

/* True if there was anything. */
static bool look(uint64_t *activity)
{
    const int maps = fm_local_watch(see, NULL);
    draw_progress();
    if (maps > 0)
        fm_local_pool_nudge();
    const uint64_t now = fm_local_activity();
    const bool busy = maps > 0 || now != *activity;
    *activity = now;
    return busy;
}

static void make_pool(void)
{
    const int width = keeper.want_width;
    const enum fastmap_bind bind = keeper.want_bind;
    keeper.want_pool = false;
    pthread_mutex_unlock(&keeper.mutex);
    (void)fm_local_pool_grow(width, bind);
    pthread_mutex_lock(&keeper.mutex);
}

static void sleep_for(uint64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t sum = (uint64_t)until.tv_nsec + ns;
    until.tv_sec += (time_t)(sum / 1000000000u);
    until.tv_nsec = (long)(sum % 1000000000u);
    (void)pthread_cond_timedwait(&keeper.called, &keeper.mutex, &until);
}

static void *keeper_main(void *argument)
{
    uint64_t activity = 0;
    uint64_t interval = FIRST_LOOK_NS;
    int quiet = 0;
    pthread_mutex_lock(&keeper.mutex);
    while (!keeper.stop) {
        if (keeper.want_pool)
            make_pool();
        pthread_mutex_unlock(&keeper.mutex);
        fm_base_clock_calibrate();
        const bool busy = look(&activity);
        pthread_mutex_lock(&keeper.mutex);
        quiet = busy || keeper.roused ? 0 : quiet + 1;
        interval = keeper.roused ? FIRST_LOOK_NS : interval;
        keeper.roused = false;
        if (keeper.stop || keeper.want_pool)
            continue;
        const bool dozes = quiet > QUIET_LOOKS;
        atomic_store(&keeper.awake, !dozes);
        sleep_for(dozes ? DOZE_NS : interval);
        interval = 2 * interval < LAST_LOOK_NS ? 2 * interval : LAST_LOOK_NS;
    }
    pthread_mutex_unlock(&keeper.mutex);
    return argument;
}

/* ---- Its life ---- */

static void make_keeper(void)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&keeper.called, &attributes);
    pthread_condattr_destroy(&attributes);
    keeper.stop = false;
    keeper.made = fm_base_thread_start(&keeper.thread, keeper_main, NULL, "fastmap-keeper");
}

/* Under the mutex. A process that may not have another thread computes in line. */
static void rouse(void)
{
    if (!keeper.made)
        make_keeper();
    if (!keeper.made)
        return;
    keeper.roused = true;
    atomic_store(&keeper.awake, true);
    pthread_cond_signal(&keeper.called);
}

bool fm_engine_keeper_made(void)
{
    return atomic_load_explicit(&keeper.made, memory_order_relaxed);
}

void fm_engine_keeper_call(void)
{
    if (atomic_load_explicit(&keeper.awake, memory_order_relaxed))
        return;
    pthread_mutex_lock(&keeper.mutex);
    rouse();
    pthread_mutex_unlock(&keeper.mutex);
}

void fm_engine_keeper_want_pool(int width, enum fastmap_bind bind)
{
    pthread_mutex_lock(&keeper.mutex);
    if (!keeper.want_pool || width > keeper.want_width)
        keeper.want_width = width;
    keeper.want_pool = true;
    keeper.want_bind = bind;
    rouse();
    pthread_mutex_unlock(&keeper.mutex);
}

void fm_engine_keeper_retire(void)
{
    pthread_mutex_lock(&keeper.mutex);
    const bool made = keeper.made;
    const pthread_t thread = keeper.thread;
    keeper.made = false;
    keeper.stop = true;
    keeper.want_pool = false;
    atomic_store(&keeper.awake, false);
    if (made)
        pthread_cond_signal(&keeper.called);
    pthread_mutex_unlock(&keeper.mutex);
    if (made)
        pthread_join(thread, NULL);
}

void fm_engine_keeper_after_fork(void)
{
    pthread_mutex_init(&keeper.mutex, NULL);
    pthread_mutex_init(&display.mutex, NULL);
    keeper.made = false;
    keeper.want_pool = false;
    display.run = NULL;
    atomic_store(&keeper.awake, false);
}
