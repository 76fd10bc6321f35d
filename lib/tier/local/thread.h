/* SPDX-License-Identifier: BSD-3-Clause */
/* The registry of threads and their frames. See frame.h for what they mean. */
#ifndef FM_LOCAL_THREAD_H
#define FM_LOCAL_THREAD_H

#include "tier/local/frame.h"

/* The calling thread's record, NULL if it has none yet. */
extern _Thread_local struct fm_local_thread *fm_local_self
    __attribute__((tls_model("initial-exec")));

/* Makes the calling thread's record, or takes over that of a thread that ended. NULL: no memory. The
   record is given back when the thread ends. */
struct fm_local_thread *fm_local_thread_enter(void);

static inline struct fm_local_thread *fm_local_thread_self(void)
{
    return fm_local_self != NULL ? fm_local_self : fm_local_thread_enter();
}

/* The newest record of the registry; follow ->next. */
struct fm_local_thread *fm_local_thread_first(void);

/* Gives the calling thread's record back. */
void fm_local_thread_release(void);

/* Makes the frame above `outer`. NULL: no memory. */
struct fm_local_frame *fm_local_frame_add(struct fm_local_frame *outer);

/* Puts a frame on top of the thread's stack. NULL: no memory. */
static inline struct fm_local_frame *fm_local_frame_push(struct fm_local_thread *self)
{
    struct fm_local_frame *frame = self->base;
    if (self->top != NULL) {
        frame = atomic_load_explicit(&self->top->inner, memory_order_relaxed);
        if (frame == NULL)
            frame = fm_local_frame_add(self->top);
        if (frame == NULL)
            return NULL;
    }
    self->top = frame;
    return frame;
}

static inline void fm_local_frame_pop(struct fm_local_frame *frame)
{
    frame->thread->top = frame->outer;
}

/* After fork(), in the child: forgets every other thread. */
void fm_local_thread_after_fork(void);

#endif
