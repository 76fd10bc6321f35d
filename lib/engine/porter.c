/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The porter: a thread that talks while the calling thread is inside a long element, where MPI allows it. It
 * sleeps when there is no map to look after. `mutex` protects which one that is.
 *
 * While the calling thread talks itself, the porter looks less and less often whether it still does. When it
 * does not, and messages ring, the porter waits for them instead.
 */
#include "base/clock.h"
#include "base/thread.h"
#include "engine/group.h"

#define PAUSE_MOST_NS FM_ENGINE_SILENT_NS
#define PATIENT_NS 500000.0

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    bool made;
    struct fm_engine_group *group; /* that it looks after; cannot end while `mutex` is held */
} porter = {.mutex = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};

/* Without the mutex, and with no map for sure: of the group only what lasts is used. */
static void pause_for(const struct fm_engine_world *world, double pause_ns, bool caller_is_away)
{
    if (caller_is_away && world->rings)
        world->tier->rest((uint64_t)pause_ns);
    else
        fm_engine_wait_ns((uint64_t)pause_ns);
}

/* How long the caller may be silent: it looks after each element, if that is short, and two at it at once
   would keep each other waiting. */
static double patience_ns(const struct fm_engine_group *group)
{
    const double element_ns = atomic_load_explicit(&group->pace_ns, memory_order_relaxed);
    return fm_engine_talk_pause_ns(group) + (element_ns < PATIENT_NS ? 2 * element_ns : 0);
}

/* Talks for a caller that has not for so long. False: the caller does, or waits and would. */
static bool stand_in(struct fm_engine_group *group)
{
    const double pause_ns = patience_ns(group);
    if (atomic_load_explicit(&group->waiting, memory_order_relaxed) ||
        !fm_engine_talk_is_due(group, pause_ns))
        return false;
    if (pthread_mutex_trylock(&group->world->mutex) != 0)
        return false;
    fm_engine_talk_look(group);
    pthread_mutex_unlock(&group->world->mutex);
    return true;
}

/* The next pause: as short as a caller inside an element needs whose messages do not ring, and longer and
   longer while the caller does without. */
static double next_pause_ns(const struct fm_engine_group *group, double pause_ns, bool away)
{
    const double least_ns = 2 * fm_engine_talk_pause_ns(group);
    const double element_ns = atomic_load_explicit(&group->pace_ns, memory_order_relaxed);
    const bool cheap = element_ns > 0 && element_ns < least_ns;
    if (away)
        return group->world->rings ? PAUSE_MOST_NS : least_ns;
    if (group->world->rings && group->world->tier->stirs(group->tag))
        return least_ns;
    const double next_ns = pause_ns > 0 ? 2 * pause_ns : cheap ? PAUSE_MOST_NS : least_ns;
    return next_ns < PAUSE_MOST_NS ? next_ns : PAUSE_MOST_NS;
}

static void *porter_main(void *argument)
{
    double pause_ns = 0;
    bool away = false;
    pthread_mutex_lock(&porter.mutex);
    for (;;) {
        if (porter.group == NULL)
            pause_ns = 0;
        while (porter.group == NULL)
            pthread_cond_wait(&porter.called, &porter.mutex);
        pause_ns = next_pause_ns(porter.group, pause_ns, away);
        const struct fm_engine_world *world = porter.group->world;
        pthread_mutex_unlock(&porter.mutex);
        pause_for(world, pause_ns, away);
        pthread_mutex_lock(&porter.mutex);
        away = porter.group != NULL && stand_in(porter.group);
    }
    return argument;
}

void fm_engine_porter_call(struct fm_engine_group *group)
{
    pthread_mutex_lock(&porter.mutex);
    if (!porter.made && group != NULL) {
        pthread_t thread;
        porter.made = fm_base_thread_start(&thread, porter_main, NULL, "fastmap-porter");
        if (porter.made)
            (void)pthread_detach(thread);
    }
    porter.group = group;
    if (group != NULL)
        pthread_cond_signal(&porter.called);
    pthread_mutex_unlock(&porter.mutex);
}
