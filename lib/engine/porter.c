/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The porter: a thread that talks while the calling thread is inside a long element, where MPI allows it. It
 * sleeps when there is no map to look after. `mutex` protects which one that is.
 */
#include "base/thread.h"
#include "engine/group.h"

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    bool made;
    struct fm_engine_group *group; /* that it looks after; cannot end while `mutex` is held */
} porter = {.mutex = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};

static void *porter_main(void *argument)
{
    pthread_mutex_lock(&porter.mutex);
    for (;;) {
        while (porter.group == NULL)
            pthread_cond_wait(&porter.called, &porter.mutex);
        const double pause_ns = 2 * fm_engine_talk_pause_ns(porter.group);
        pthread_mutex_unlock(&porter.mutex);
        fm_engine_wait_ns((uint64_t)pause_ns);
        pthread_mutex_lock(&porter.mutex);
        struct fm_engine_group *group = porter.group;
        if (group != NULL && pthread_mutex_trylock(&group->world->mutex) == 0) {
            if (fm_engine_talk_is_due(group, pause_ns))
                (void)fm_engine_talk(group);
            pthread_mutex_unlock(&group->world->mutex);
        }
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
