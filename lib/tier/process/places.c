/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which thread has which worker. A place belongs to a thread until that ends; then the next thread that needs
 * one takes it over, process and all. Places are linked into a list that only grows, as the local tier's
 * threads are: whoever ends all workers may look at any of them.
 */
#include <pthread.h>
#include <stdlib.h>

#include "tier/process/start.h"
#include "tier/process/worker.h"

static _Atomic(struct fm_process_worker *) registry;
static _Atomic int numbers;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_error;
static _Thread_local struct fm_process_worker *mine __attribute__((tls_model("initial-exec")));

static void thread_ended(void *place)
{
    struct fm_process_worker *worker = place;
    atomic_store_explicit(&worker->taken, false, memory_order_release);
}

static void make_key(void)
{
    key_error = pthread_key_create(&key, thread_ended);
}

static struct fm_process_worker *first(void)
{
    return atomic_load_explicit(&registry, memory_order_acquire);
}

static struct fm_process_worker *take_over(void)
{
    for (struct fm_process_worker *w = first(); w != NULL; w = w->next) {
        bool taken = false;
        if (atomic_compare_exchange_strong_explicit(&w->taken, &taken, true, memory_order_acquire,
                                                    memory_order_relaxed))
            return w;
    }
    return NULL;
}

static struct fm_process_worker *make(void)
{
    struct fm_process_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->number = atomic_fetch_add(&numbers, 1);
    worker->channel.fd = worker->output.fd = worker->error.fd = worker->pidfd = -1;
    worker->arena.fd = -1;
    atomic_store(&worker->taken, true);
    worker->next = first();
    while (!atomic_compare_exchange_weak_explicit(&registry, &worker->next, worker,
                                                  memory_order_release, memory_order_acquire))
        ;
    return worker;
}

struct fm_process_worker *fm_process_worker_mine(void)
{
    if (mine != NULL)
        return mine;
    pthread_once(&key_once, make_key);
    if (key_error != 0)
        return NULL;
    struct fm_process_worker *worker = take_over();
    if (worker == NULL)
        worker = make();
    if (worker == NULL)
        return NULL;
    worker->serial = 0; /* it follows another thread now */
    (void)pthread_setspecific(key, worker);
    mine = worker;
    return worker;
}

int fm_process_count(void)
{
    int count = 0;
    for (const struct fm_process_worker *w = first(); w != NULL; w = w->next)
        count += atomic_load(&w->pid) != 0;
    return count;
}

/* Those that are at work belong to threads that are inside them. */
static void end_idle(void)
{
    for (struct fm_process_worker *w = first(); w != NULL; w = w->next)
        if (!atomic_load(&w->busy))
            fm_process_worker_bid(w);
    for (struct fm_process_worker *w = first(); w != NULL; w = w->next)
        if (!atomic_load(&w->busy)) {
            (void)fm_process_worker_end(w, true);
            fm_process_memory_drop(&w->arena);
        }
}

void fm_process_stop(void)
{
    end_idle();
    fm_process_starter_stop();
}

void fm_process_after_fork(void)
{
    fm_process_starter_after_fork();
    for (struct fm_process_worker *w = first(); w != NULL; w = w->next) {
        fm_process_worker_forget(w, w == mine || !atomic_load(&w->busy));
        atomic_store(&w->busy, false);
        atomic_store(&w->taken, w == mine);
    }
}
