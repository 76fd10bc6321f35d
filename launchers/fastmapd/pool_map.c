/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps: what their workers are told, and their end. A map lives as long as somebody refers to it: its
 * opener until he closes it, spans until they are released, workers until they are reaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "pool_inside.h"

/* ---- Accounts and tokens ---- */

static struct fmd_sharer *join(struct fmd_pool *pool, struct fmd_sharer **list, const char *name)
{
    struct fmd_sharer *sharer = *list;
    while (sharer != NULL && strcmp(sharer->name, name) != 0)
        sharer = sharer->next;
    if (sharer == NULL && (sharer = calloc(1, sizeof *sharer)) != NULL) {
        snprintf(sharer->name, sizeof sharer->name, "%s", name);
        sharer->number = ++pool->turns;
        sharer->next = *list;
        *list = sharer;
    }
    if (sharer != NULL)
        sharer->maps++;
    return sharer;
}

static void part(struct fmd_sharer **list, struct fmd_sharer *sharer)
{
    if (sharer == NULL || --sharer->maps > 0)
        return;
    struct fmd_sharer **at = list;
    while (*at != sharer)
        at = &(*at)->next;
    *at = sharer->next;
    free(sharer);
}

/* ---- Opening ---- */

static char **copy_list(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count && copy != NULL; i++)
        if ((copy[i] = strdup(list[i])) == NULL) {
            while (i > 0)
                free(copy[--i]);
            free(copy);
            return NULL;
        }
    return copy;
}

static void free_map(struct fmd_map *map)
{
    fmd_store_drop(map->tree);
    for (size_t i = 0; map->variables != NULL && map->variables[i] != NULL; i++)
        free(map->variables[i]);
    free(map->variables);
    if (map->shared_fd >= 0)
        close(map->shared_fd);
    free(map);
}

static int take_terms(struct fmd_map *map, const struct fmd_pool_terms *terms)
{
    struct fm_wire_worker_load *load = &map->load;
    if (!fmd_sandbox_path(&map->pool->sandbox, map->tree, terms->module, map->path,
                          sizeof map->path) ||
        terms->fenv_bytes > sizeof load->fenv)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the path of the function's module is too long, or its "
                            "floating-point environment has too many bytes");
    *load = (struct fm_wire_worker_load){.offset = terms->offset,
                                         .in_size = terms->in_size,
                                         .out_size = terms->out_size,
                                         .shared_size = terms->shared_bytes,
                                         .kind = terms->block ? FM_WIRE_WORKER_BLOCK
                                                              : FM_WIRE_WORKER_FUNC,
                                         .flags = (terms->stop ? FM_WIRE_WORKER_STOP : 0) |
                                                  (terms->trail ? FM_WIRE_WORKER_TRAIL : 0),
                                         .fenv_bytes = terms->fenv != NULL ? terms->fenv_bytes : 0,
                                         .path = map->path};
    if (terms->fenv != NULL)
        memcpy(load->fenv, terms->fenv, terms->fenv_bytes);
    map->vcpus = terms->vcpus > 0 ? terms->vcpus : 1;
    map->stack_bytes = terms->stack_bytes != 0 ? terms->stack_bytes : FMD_POOL_STACK;
    if (map->stack_bytes > map->pool->config.worker_bytes)
        map->stack_bytes = map->pool->config.worker_bytes;
    map->worker_bytes = fmd_sandbox_most_bytes(
        map->pool->config.worker_bytes + map->pool->config.scratch_bytes, map->stack_bytes);
    if (map->worker_bytes > map->pool->config.workers_bytes)
        return fm_base_fail(
            FASTMAP_ERR_STATE,
            "a worker of this map may take %llu MiB, all workers together %llu; ask for a "
            "smaller stack",
            (unsigned long long)(map->worker_bytes >> 20),
            (unsigned long long)(map->pool->config.workers_bytes >> 20));
    map->variables = copy_list(terms->variables);
    if (terms->shared_bytes > 0)
        map->shared_fd = fcntl(terms->shared_fd, F_DUPFD_CLOEXEC, 3);
    if (map->variables == NULL || (terms->shared_bytes > 0 && map->shared_fd < 0))
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory or descriptor for a map: %s",
                            strerror(errno));
    return 0;
}

static void leave_sharers(struct fmd_map *map)
{
    part(&map->pool->accounts, map->sharer);
    part(&map->pool->tokens, map->token);
}

static int enter_map(struct fmd_pool *pool, struct fmd_map *map, const struct fmd_pool_terms *terms)
{
    pthread_mutex_lock(&pool->mutex);
    map->sharer = join(pool, &pool->accounts, terms->account);
    map->token = join(pool, &pool->tokens, terms->token != NULL ? terms->token : "");
    const bool entered = map->sharer != NULL && map->token != NULL;
    if (entered) {
        const unsigned most = terms->token_vcpus > 0 ? terms->token_vcpus : UINT_MAX;
        if (map->token->maps == 1 || most < map->token->most)
            map->token->most = most;
        map->load.map = ++pool->turns;
        map->turn = map->load.map;
        map->references = 1;
        map->starts_ahead = true;
        map->next = pool->maps;
        pool->maps = map;
        fmd_share_begin(map);
        fmd_pool_wake(pool);
    } else {
        leave_sharers(map);
    }
    pthread_mutex_unlock(&pool->mutex);
    return entered ? 0 : fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a map");
}

int fmd_pool_map_open(struct fmd_pool *pool, struct fmd_tree *tree,
                      const struct fmd_pool_terms *terms, struct fmd_map **out)
{
    struct fmd_map *map = calloc(1, sizeof *map);
    if (map == NULL) {
        fmd_store_drop(tree);
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a map");
    }
    map->pool = pool;
    map->tree = tree;
    map->shared_fd = -1;
    int rc = take_terms(map, terms);
    if (rc == 0)
        rc = enter_map(pool, map, terms);
    if (rc == 0)
        *out = map;
    else
        free_map(map);
    return rc;
}

/* ---- Closing ---- */

void fmd_map_drop(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    if (--map->references > 0)
        return;
    struct fmd_map **at = &pool->maps;
    while (*at != map)
        at = &(*at)->next;
    *at = map->next;
    for (struct fmd_buffer *buffer; (buffer = map->buffers) != NULL;) {
        map->buffers = buffer->next;
        fmd_buffer_free(pool, buffer);
    }
    leave_sharers(map);
    pool->dealt_ns = 0;
    free_map(map);
}

/* With the mutex: the spans that nobody will compute. */
static struct fmd_span *take_spans(struct fmd_map *map)
{
    struct fmd_span *spans = NULL;
    for (struct fmd_span *span; (span = map->first) != NULL;) {
        fmd_span_unqueue(span);
        span->next_finished = spans;
        spans = span;
    }
    for (struct fmd_worker *worker = map->pool->workers; worker != NULL; worker = worker->next) {
        if (worker->map != map)
            continue;
        fmd_worker_end(worker, FMD_SPAN_CLOSED, "the map was closed");
        struct fmd_span *span = fmd_worker_take_span(worker);
        if (span == NULL)
            continue;
        span->next_finished = spans;
        spans = span;
    }
    return spans;
}

void fmd_pool_map_close(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    pthread_mutex_lock(&pool->mutex);
    map->closed = true;
    pool->dealt_ns = 0;
    struct fmd_span *spans = take_spans(map);
    while (map->calls > 0)
        pthread_cond_wait(&pool->called, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    for (struct fmd_span *span = spans, *next; span != NULL; span = next) {
        next = span->next_finished;
        span->is_out = false;
        memset(&span->result, 0, sizeof span->result);
        span->result.status = FMD_SPAN_CLOSED;
        span->result.granted_ns = span->grant_ns;
        snprintf(span->result.sentence, sizeof span->result.sentence, "the map was closed");
        span->done(span, &span->result, span->user);
    }
    pthread_mutex_lock(&pool->mutex);
    fmd_map_drop(map);
    pthread_mutex_unlock(&pool->mutex);
}
