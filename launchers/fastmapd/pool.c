/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool's thread: it sleeps until a worker says something, ends or prints, until the next clock is to be
 * looked at, or until it is woken; then it does what is due, and calls done() for what is finished.
 */
#include "pool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "memory.h"
#include "pool_inside.h"

#define EVENTS 64
#define MS ((uint64_t)1000000)
#define WORKER_MOST ((uint64_t)1 << 30)
#define WORKER_LEAST ((uint64_t)64 << 20)
#define SLEEP_MOST_NS (3600 * 1000 * MS)

void fmd_pool_wake(struct fmd_pool *pool)
{
    const uint64_t one = 1;
    if (pool->sleeps_until_ns != 0 && write(pool->wake_fd, &one, sizeof one) > 0)
        pool->sleeps_until_ns = 0; /* once is enough */
}

void fmd_pool_log(struct fmd_pool *pool, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    if (pool->config.log == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    pool->config.log(sentence);
}

/* ---- What is due ---- */

/* The one that has been idle for longest makes room for another. */
static void make_room(struct fmd_pool *pool)
{
    struct fmd_worker *oldest = NULL;
    for (struct fmd_worker *worker = pool->workers; worker != NULL; worker = worker->next)
        if (worker->state == FMD_WORKER_IDLE &&
            (oldest == NULL || worker->since_ns < oldest->since_ns))
            oldest = worker;
    if (oldest == NULL)
        return;
    pool->numbers.ended_idle++;
    fmd_worker_end(oldest, FMD_SPAN_CLOSED, "others need its place");
}

static void start_workers(struct fmd_pool *pool)
{
    struct fmd_map *map;
    while ((map = fmd_turn_needs_worker(pool)) != NULL) {
        if (!fmd_turn_has_room(map)) {
            make_room(pool);
            return; /* until it is gone */
        }
        (void)fmd_worker_start(map);
    }
}

static uint64_t check_workers(struct fmd_pool *pool)
{
    const uint64_t now_ns = fm_base_now_ns();
    uint64_t next_ns = now_ns + SLEEP_MOST_NS;
    for (struct fmd_worker *worker = pool->workers; worker != NULL; worker = worker->next) {
        fmd_worker_check(worker, now_ns);
        if (worker->check_ns < next_ns)
            next_ns = worker->check_ns;
    }
    return next_ns;
}

static void call_done(struct fmd_pool *pool)
{
    struct fmd_span *span;
    while ((span = pool->finished) != NULL) {
        struct fmd_map *map = span->map;
        pool->finished = span->next_finished;
        if (pool->finished == NULL)
            pool->finished_end = &pool->finished;
        span->is_out = false;
        pthread_mutex_unlock(&pool->mutex);
        span->done(span, &span->result, span->user); /* may release it, not the map */
        pthread_mutex_lock(&pool->mutex);
        if (--map->calls == 0)
            pthread_cond_broadcast(&pool->called);
    }
}

/* ---- Sleeping ---- */

static int sleep_ms(uint64_t until_ns)
{
    const uint64_t now_ns = fm_base_now_ns();
    return until_ns <= now_ns ? 0 : (int)((until_ns - now_ns + MS - 1) / MS);
}

static void take_wake(struct fmd_pool *pool)
{
    uint64_t count;
    (void)!read(pool->wake_fd, &count, sizeof count);
}

/* A worker that is gone is freed when no event of this batch can refer to it any more. */
static void take_events(struct fmd_pool *pool, const struct epoll_event *events, int count)
{
    struct fmd_worker *gone[EVENTS];
    int gone_count = 0;
    for (int i = 0; i < count; i++) {
        const uint64_t data = events[i].data.u64;
        struct fmd_worker *worker = (void *)(uintptr_t)(data & ~(uint64_t)3);
        bool is_gone = false;
        for (int j = 0; j < gone_count; j++)
            is_gone = is_gone || gone[j] == worker;
        if (worker == NULL)
            take_wake(pool);
        else if (!is_gone && fmd_worker_happen(worker, (enum fmd_worker_event)(data & 3)))
            gone[gone_count++] = worker;
    }
    for (int i = 0; i < gone_count; i++)
        free(gone[i]);
}

static void *run(void *argument)
{
    struct fmd_pool *pool = argument;
    struct epoll_event events[EVENTS];
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stops) {
        fmd_turn_give(pool);
        start_workers(pool);
        const uint64_t until_ns = check_workers(pool);
        if (pool->finished != NULL) {
            call_done(pool);
            continue;
        }
        pool->sleeps_until_ns = until_ns;
        pthread_mutex_unlock(&pool->mutex);
        const int count = epoll_wait(pool->epoll_fd, events, EVENTS, sleep_ms(until_ns));
        pthread_mutex_lock(&pool->mutex);
        pool->sleeps_until_ns = 0;
        take_events(pool, events, count);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* ---- Open and close ---- */

static bool open_descriptors(struct fmd_pool *pool)
{
    struct epoll_event wake = {.events = EPOLLIN};
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pool->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return pool->epoll_fd >= 0 && pool->wake_fd >= 0 &&
           epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, pool->wake_fd, &wake) == 0;
}

static void free_pool(struct fmd_pool *pool)
{
    if (pool->epoll_fd >= 0)
        close(pool->epoll_fd);
    if (pool->wake_fd >= 0)
        close(pool->wake_fd);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->called);
    free(pool->slot_taken);
    free(pool);
}

static unsigned processors_of_machine(void)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 0 ? (unsigned)processors : 1;
}

/* scratch is a quarter of what a worker has beside it, so five parts of what is left make four. */
static uint64_t fitting_bytes(const struct fmd_pool_config *config)
{
    const uint64_t each = config->workers_bytes / (config->vcpus + 1);
    const uint64_t other =
        fmd_sandbox_most_bytes(WORKER_MOST / 4 * 5, FMD_POOL_STACK) - WORKER_MOST / 4 * 5;
    const uint64_t bytes = each > other ? (each - other) / 5 * 4 : 0;
    return bytes < WORKER_LEAST ? WORKER_LEAST : bytes > WORKER_MOST ? WORKER_MOST : bytes;
}

void fmd_pool_settle(struct fmd_pool_config *config)
{
    if (config->vcpus == 0)
        config->vcpus = processors_of_machine();
    if (config->workers_bytes == 0)
        config->workers_bytes = fmd_memory_bytes() / 2;
    if (config->spans_bytes == 0)
        config->spans_bytes = fmd_memory_bytes() / 4;
    if (config->worker_bytes == 0)
        config->worker_bytes = fitting_bytes(config);
    if (config->scratch_bytes == 0)
        config->scratch_bytes = config->worker_bytes / 4;
}

static void settle(struct fmd_pool *pool, const struct fmd_pool_config *config)
{
    pool->config = *config;
    fmd_pool_settle(&pool->config);
    pool->processors = processors_of_machine();
    pool->slots = 4 * pool->config.vcpus + 60;
    pool->finished_end = &pool->finished;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->called, NULL);
    pool->epoll_fd = pool->wake_fd = -1;
}

int fmd_pool_open(const struct fmd_pool_config *config, struct fmd_pool **out)
{
    struct fmd_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the pool of workers");
    settle(pool, config);
    const uint64_t least_bytes = fmd_sandbox_most_bytes(
        pool->config.worker_bytes + pool->config.scratch_bytes, FMD_POOL_STACK);
    if (least_bytes > pool->config.workers_bytes) {
        const uint64_t all_bytes = pool->config.workers_bytes;
        free_pool(pool);
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "a worker may take %llu MiB with all that belongs to it, and all workers together "
            "%llu; raise workers_bytes or lower worker_bytes",
            (unsigned long long)(least_bytes >> 20), (unsigned long long)(all_bytes >> 20));
    }
    pool->slot_taken = calloc(pool->slots, sizeof *pool->slot_taken);
    int rc =
        pool->slot_taken == NULL || !open_descriptors(pool)
            ? fm_base_fail(FASTMAP_ERR_MEMORY, "no memory or descriptors for the pool of workers")
            : fmd_sandbox_open(&pool->sandbox, config->first_uid, config->unconfined);
    if (rc == 0 && !fm_base_thread_start(&pool->thread, run, pool, "fastmapd-pool")) {
        fmd_sandbox_close(&pool->sandbox);
        rc = fm_base_fail(FASTMAP_ERR_MEMORY, "the pool's thread cannot be made");
    }
    if (rc == 0)
        *out = pool;
    else
        free_pool(pool);
    return rc;
}

/* Maps are closed: what is left are workers that have been killed. */
static void bury_all(struct fmd_pool *pool)
{
    while (pool->workers != NULL) {
        struct fmd_worker *worker = pool->workers;
        (void)fmd_worker_happen(worker, FMD_WORKER_END); /* waits for it */
        free(worker);
    }
}

void fmd_pool_close(struct fmd_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->stops = true;
    fmd_pool_wake(pool);
    pthread_mutex_unlock(&pool->mutex);
    pthread_join(pool->thread, NULL);
    bury_all(pool);
    fmd_sandbox_close(&pool->sandbox);
    free_pool(pool);
}

const char *fmd_pool_confinement(const struct fmd_pool *pool)
{
    return fmd_sandbox_describe(&pool->sandbox);
}

void fmd_pool_count(struct fmd_pool *pool, struct fmd_pool_numbers *numbers)
{
    pthread_mutex_lock(&pool->mutex);
    *numbers = pool->numbers;
    numbers->workers = pool->worker_count;
    numbers->running = pool->running;
    numbers->spans_bytes = pool->spans_bytes;
    numbers->workers_bytes = pool->workers_bytes;
    numbers->idle = 0;
    for (const struct fmd_map *map = pool->maps; map != NULL; map = map->next)
        numbers->idle += map->idle;
    pthread_mutex_unlock(&pool->mutex);
}
