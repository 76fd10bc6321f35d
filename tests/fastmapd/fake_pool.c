/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool without processes, for tests of everything around it: what a "function" does, and the CPU time that
 * it is said to have used, are decided by its offset and its inputs. So money can be predicted exactly, and
 * every way in which a span can end can be had at will.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../launchers/fastmapd/pool.h"
#include "base/error.h"

/* Offsets. BILL: each input is a u64, nanoseconds that its element is said to have used. NAP: nanoseconds
   that it really sleeps. The others end as their names say, at the second element, and have used 1 ms. */
enum { ECHO, BILL, NAP, DIE, LOSE, REFUSE, LATE, FAIL, BABBLE };

struct fmd_span {
    struct fmd_map *map;
    uint64_t first, count, granted_ns;
    unsigned vcpus; /* of the map, which may be gone */
    char *in, *out;
    fmd_span_more *more;
    fmd_span_done *done;
    void *user;
    struct fmd_span *next;
};

struct fmd_map {
    struct fmd_pool *pool;
    uint64_t offset, in_size, out_size;
    unsigned vcpus, running;
};

struct fmd_pool {
    pthread_mutex_t mutex; /* protects the rest */
    pthread_cond_t changed;
    struct fmd_span *first, **last;
    bool ends;
    unsigned vcpus;
    pthread_t threads[64];
};

static uint64_t number_at(const struct fmd_span *span, uint64_t i)
{
    uint64_t number = 0;
    if (span->map->in_size >= sizeof number)
        memcpy(&number, span->in + i * span->map->in_size, sizeof number);
    return number;
}

static void bill(struct fmd_span *span, struct fmd_span_result *r)
{
    for (uint64_t i = 0; i < span->count; i++) {
        r->cpu_ns += number_at(span, i);
        for (uint64_t more = 1; more > 0 && r->cpu_ns > span->granted_ns;)
            span->granted_ns += more = span->more(span->user);
        if (r->cpu_ns > span->granted_ns) {
            r->status = FMD_SPAN_CUT;
            return;
        }
        r->computed++;
    }
}

static void nap(const struct fmd_span *span, struct fmd_span_result *r)
{
    for (uint64_t i = 0; i < span->count; i++) {
        const uint64_t ns = number_at(span, i);
        const struct timespec time = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        nanosleep(&time, NULL);
    }
    r->computed = span->count;
    r->cpu_ns = 1000;
}

static void end_badly(const struct fmd_span *span, struct fmd_span_result *r)
{
    static const enum fmd_span_status ends[] = {
        [DIE] = FMD_SPAN_DIED,  [LOSE] = FMD_SPAN_LOST,   [REFUSE] = FMD_SPAN_REFUSED,
        [LATE] = FMD_SPAN_LATE, [FAIL] = FMD_SPAN_FAILED, [BABBLE] = FMD_SPAN_NONSENSE};
    r->status = ends[span->map->offset];
    r->cpu_ns = 1000000;
    r->computed = span->map->offset == DIE || span->map->offset == LATE ? 1 : 0;
    r->crash_index = span->map->offset == BABBLE ? FM_WIRE_WORKER_NONE : span->first + 1;
    r->crash_signal = SIGSEGV;
    strcpy(r->sentence, "there is no such function");
}

static void compute(struct fmd_span *span, struct fmd_span_result *r)
{
    const uint64_t in_size = span->map->in_size, out_size = span->map->out_size;
    *r = (struct fmd_span_result){.status = FMD_SPAN_DONE};
    for (uint64_t i = 0; i < span->count && in_size > 0 && out_size > 0; i++)
        memcpy(span->out + i * out_size, span->in + i * in_size,
               in_size < out_size ? in_size : out_size);
    if (span->map->offset == BILL)
        bill(span, r);
    else if (span->map->offset == NAP)
        nap(span, r);
    else if (span->map->offset == ECHO)
        r->computed = span->count, r->cpu_ns = 72000;
    else
        end_badly(span, r);
}

static void *work(void *argument)
{
    struct fmd_pool *pool = argument;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->first == NULL && !pool->ends)
            pthread_cond_wait(&pool->changed, &pool->mutex);
        struct fmd_span *span = pool->first;
        if (span == NULL)
            break;
        pool->first = span->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
        struct fmd_map *map = span->map;
        map->running++;
        pthread_mutex_unlock(&pool->mutex);
        struct fmd_span_result result;
        compute(span, &result);
        result.granted_ns = span->granted_ns;
        span->done(span, &result, span->user);
        pthread_mutex_lock(&pool->mutex);
        map->running--;
        pthread_cond_broadcast(&pool->changed);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

void fmd_pool_settle(struct fmd_pool_config *config)
{
    config->vcpus = config->vcpus == 0 ? 2 : config->vcpus;
    config->worker_bytes = (uint64_t)1 << 30;
}

int fmd_pool_open(const struct fmd_pool_config *config, struct fmd_pool **out)
{
    struct fmd_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory");
    pool->last = &pool->first;
    pool->vcpus = config->vcpus < 64 ? config->vcpus : 64;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->changed, NULL);
    for (unsigned i = 0; i < pool->vcpus; i++)
        pthread_create(&pool->threads[i], NULL, work, pool);
    *out = pool;
    return 0;
}

void fmd_pool_close(struct fmd_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->ends = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->vcpus; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->changed);
    free(pool);
}

const char *fmd_pool_confinement(const struct fmd_pool *pool)
{
    (void)pool;
    return "nothing: this is a test";
}

void fmd_pool_count(struct fmd_pool *pool, struct fmd_pool_numbers *numbers)
{
    *numbers = (struct fmd_pool_numbers){.workers = pool->vcpus};
}

int fmd_pool_map_open(struct fmd_pool *pool, struct fmd_tree *tree,
                      const struct fmd_pool_terms *terms, struct fmd_map **out)
{
    struct fmd_map *map = calloc(1, sizeof *map);
    fmd_store_drop(tree);
    if (map == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory");
    *map = (struct fmd_map){pool,
                            terms->offset,
                            terms->in_size,
                            terms->out_size,
                            terms->token_vcpus > 0 && terms->token_vcpus < terms->vcpus
                                ? terms->token_vcpus
                                : terms->vcpus,
                            0};
    *out = map;
    return 0;
}

/* The next committed span of the map, taken off the queue; the mutex is held. */
static struct fmd_span *take_of(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    struct fmd_span **at = &pool->first;
    while (*at != NULL && (*at)->map != map)
        at = &(*at)->next;
    struct fmd_span *span = *at;
    if (span == NULL)
        return NULL;
    *at = span->next;
    if (pool->last == &span->next)
        pool->last = at;
    return span;
}

void fmd_pool_map_close(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    pthread_mutex_lock(&pool->mutex);
    for (struct fmd_span *span; (span = take_of(map)) != NULL;) {
        const struct fmd_span_result closed = {.status = FMD_SPAN_CLOSED,
                                               .granted_ns = span->granted_ns};
        span->done(span, &closed, span->user);
    }
    while (map->running > 0)
        pthread_cond_wait(&pool->changed, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    free(map);
}

struct fmd_span *fmd_span_reserve(struct fmd_map *map, uint64_t first, uint64_t count)
{
    struct fmd_span *span = calloc(1, sizeof *span);
    if (span == NULL)
        return NULL;
    *span = (struct fmd_span){.map = map, .first = first, .count = count, .vcpus = map->vcpus};
    span->in = malloc(count * map->in_size + 1);
    span->out = calloc(count * map->out_size + 1, 1);
    return span;
}

unsigned fmd_pool_map_vcpus(struct fmd_map *map)
{
    return map->vcpus;
}

unsigned fmd_span_vcpus(const struct fmd_span *span)
{
    return span->vcpus;
}

bool fmd_pool_next_token(struct fmd_pool *pool, uint64_t number, struct fmd_pool_token *token)
{
    (void)pool, (void)number, (void)token;
    return false;
}

void fmd_pool_allot(struct fmd_pool *pool, uint64_t number, int64_t vcpus)
{
    (void)pool, (void)number, (void)vcpus;
}

void *fmd_span_in(const struct fmd_span *span)
{
    return span->in;
}

const void *fmd_span_out(const struct fmd_span *span)
{
    return span->out;
}

void fmd_span_commit(struct fmd_span *span, uint64_t cpu_ns, fmd_span_more *more,
                     fmd_span_done *done, void *user)
{
    struct fmd_pool *pool = span->map->pool;
    span->granted_ns = cpu_ns;
    span->more = more;
    span->done = done;
    span->user = user;
    pthread_mutex_lock(&pool->mutex);
    *pool->last = span;
    pool->last = &span->next;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
}

void fmd_span_release(struct fmd_span *span)
{
    free(span->in);
    free(span->out);
    free(span);
}
