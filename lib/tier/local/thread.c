/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which threads there are and the memory of their frames. Records are linked into a list that only
 * grows, and are used again when a thread has ended: others may look at them at any time.
 */
#include "tier/local/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

_Thread_local struct fm_local_thread *fm_local_self __attribute__((tls_model("initial-exec")));

static _Atomic(struct fm_local_thread *) registry;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;

static void thread_ended(void *record)
{
    struct fm_local_thread *thread = record;
    atomic_store_explicit(&thread->taken, false, memory_order_release);
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, thread_ended);
}

static struct fm_local_frame *new_frame(struct fm_local_thread *thread,
                                        struct fm_local_frame *outer)
{
    struct fm_local_frame *frame = aligned_alloc(FM_LOCAL_LINE, sizeof *frame);
    if (frame == NULL)
        return NULL;
    memset(frame, 0, sizeof *frame);
    frame->thread = thread;
    frame->outer = outer;
    return frame;
}

struct fm_local_thread *fm_local_thread_first(void)
{
    return atomic_load_explicit(&registry, memory_order_acquire);
}

static struct fm_local_thread *take_over(void)
{
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next) {
        bool taken = false;
        if (atomic_compare_exchange_strong_explicit(&t->taken, &taken, true, memory_order_acquire,
                                                    memory_order_relaxed))
            return t;
    }
    return NULL;
}

static struct fm_local_thread *new_thread(void)
{
    struct fm_local_thread *thread = aligned_alloc(FM_LOCAL_LINE, sizeof *thread);
    if (thread == NULL)
        return NULL;
    memset(thread, 0, sizeof *thread);
    thread->base = new_frame(thread, NULL);
    if (thread->base == NULL) {
        free(thread);
        return NULL;
    }
    atomic_store_explicit(&thread->taken, true, memory_order_relaxed);
    thread->next = fm_local_thread_first();
    while (!atomic_compare_exchange_weak_explicit(&registry, &thread->next, thread,
                                                  memory_order_release, memory_order_acquire))
        ;
    return thread;
}

struct fm_local_thread *fm_local_thread_enter(void)
{
    pthread_once(&key_once, make_key);
    if (key_error != 0)
        return NULL;
    struct fm_local_thread *thread = take_over();
    if (thread == NULL)
        thread = new_thread();
    if (thread == NULL)
        return NULL;
    thread->worker = -1;
    atomic_store_explicit(&thread->counted, 0, memory_order_relaxed);
    thread->top = NULL;
    atomic_store_explicit(&thread->core, -1, memory_order_relaxed);
    (void)pthread_setspecific(key, thread);
    fm_local_self = thread;
    return thread;
}

void fm_local_thread_release(void)
{
    if (fm_local_self == NULL)
        return;
    (void)pthread_setspecific(key, NULL);
    thread_ended(fm_local_self);
    fm_local_self = NULL;
}

struct fm_local_frame *fm_local_frame_add(struct fm_local_frame *outer)
{
    struct fm_local_frame *frame = new_frame(outer->thread, outer);
    if (frame != NULL)
        atomic_store_explicit(&outer->inner, frame, memory_order_release);
    return frame;
}

static void forget_frames(struct fm_local_thread *thread, bool mine)
{
    for (struct fm_local_frame *f = thread->base; f != NULL;
         f = atomic_load_explicit(&f->inner, memory_order_relaxed)) {
        atomic_store_explicit(&f->lock, 0, memory_order_relaxed);
        atomic_store_explicit(&f->own.helpers, 0, memory_order_relaxed);
        if (mine)
            continue;
        atomic_store_explicit(&f->active, false, memory_order_relaxed);
        atomic_store_explicit(&f->own.shared, false, memory_order_relaxed);
    }
}

void fm_local_thread_after_fork(void)
{
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next) {
        const bool mine = t == fm_local_self;
        forget_frames(t, mine);
        if (!mine)
            atomic_store_explicit(&t->taken, false, memory_order_relaxed);
        atomic_store_explicit(&t->counted, 0, memory_order_relaxed);
        atomic_store_explicit(&t->core, -1, memory_order_relaxed);
    }
}
