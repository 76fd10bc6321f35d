/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans and their memory. A span's inputs and outputs lie in a memfd that fastmapd has mapped, sealed so
 * that a worker can neither shrink it under us nor let it grow. A worker gets it with the span, and maps it
 * in place of the one before: so any worker can take any span, and nothing is copied. A map's memory is
 * used for its later spans and never for another map: what a worker still has mapped is its own map's.
 *
 * To map other memory costs a worker as much as to copy some ten KiB. So a small span lies in memory of
 * fastmapd alone, and is copied to and from a desk, which its worker maps once.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "pool_inside.h"

#define ALIGNMENT 64u
#define KEPT_BUFFERS 64u /* free ones of a map */

/* ---- Memory ---- */

static void free_memory(struct fmd_buffer *buffer)
{
    if (buffer->memory != NULL)
        munmap(buffer->memory, buffer->bytes);
    if (buffer->fd >= 0)
        close(buffer->fd);
    free(buffer);
}

void fmd_buffer_free(struct fmd_pool *pool, struct fmd_buffer *buffer)
{
    pool->spans_bytes -= buffer->bytes;
    free_memory(buffer);
}

static bool map_memory(struct fmd_buffer *buffer)
{
    buffer->fd = memfd_create("span", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)buffer->bytes) != 0 ||
        fcntl(buffer->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return false;
    void *memory = mmap(NULL, buffer->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
    if (memory == MAP_FAILED)
        return false;
    /* A new worker must not begin with a copy of all our mappings. */
    (void)madvise(memory, buffer->bytes, MADV_DONTFORK);
    buffer->memory = memory;
    return true;
}

static struct fmd_buffer *make_memory(struct fmd_pool *pool, uint64_t bytes)
{
    struct fmd_buffer *buffer = calloc(1, sizeof *buffer);
    if (buffer == NULL)
        return NULL;
    buffer->bytes = bytes;
    buffer->number = ++pool->turns;
    if (map_memory(buffer))
        return buffer;
    free_memory(buffer);
    return NULL;
}

static bool fits(const struct fmd_pool *pool, uint64_t bytes)
{
    return bytes <= pool->config.spans_bytes &&
           pool->spans_bytes <= pool->config.spans_bytes - bytes;
}

static struct fmd_buffer *new_buffer(struct fmd_pool *pool, uint64_t bytes)
{
    struct fmd_buffer *buffer = fits(pool, bytes) ? make_memory(pool, bytes) : NULL;
    if (buffer != NULL)
        pool->spans_bytes += bytes;
    return buffer;
}

/* A free one that is large enough and not far too large. */
static struct fmd_buffer *reuse_buffer(struct fmd_map *map, uint64_t bytes)
{
    for (struct fmd_buffer **at = &map->buffers; *at != NULL; at = &(*at)->next)
        if ((*at)->bytes >= bytes && (*at)->bytes / 4 <= bytes) {
            struct fmd_buffer *buffer = *at;
            *at = buffer->next;
            map->buffer_count--;
            return buffer;
        }
    return NULL;
}

static void free_buffers(struct fmd_map *map)
{
    for (struct fmd_buffer *buffer; (buffer = map->buffers) != NULL;) {
        map->buffers = buffer->next;
        fmd_buffer_free(map->pool, buffer);
    }
    map->buffer_count = 0;
}

/* With what is free in all maps given up, if need be. */
static struct fmd_buffer *find_buffer(struct fmd_map *map, uint64_t bytes)
{
    struct fmd_buffer *buffer = reuse_buffer(map, bytes);
    if (buffer == NULL)
        buffer = new_buffer(map->pool, bytes);
    if (buffer != NULL)
        return buffer;
    for (struct fmd_map *other = map->pool->maps; other != NULL; other = other->next)
        free_buffers(other);
    return new_buffer(map->pool, bytes);
}

static void give_back(struct fmd_map *map, struct fmd_buffer *buffer)
{
    if (map->closed || map->buffer_count >= KEPT_BUFFERS) {
        fmd_buffer_free(map->pool, buffer);
        return;
    }
    buffer->next = map->buffers;
    map->buffers = buffer;
    map->buffer_count++;
}

/* Where inputs and outputs lie, and how many bytes that takes. False: more than there can be. */
static bool lay_out(const struct fm_wire_worker_load *load, struct fm_wire_worker_span *span,
                    uint64_t *bytes)
{
    uint64_t in, out, all;
    if (span->count == 0 || __builtin_mul_overflow(span->count, load->in_size, &in) ||
        __builtin_mul_overflow(span->count, load->out_size, &out) ||
        __builtin_add_overflow(in, out, &all) || all > INT64_MAX / 2 ||
        span->first > UINT64_MAX - span->count)
        return false;
    span->in_offset = FM_WIRE_WORKER_CONTROL;
    span->out_offset = FM_WIRE_WORKER_CONTROL + (in + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    *bytes = (span->out_offset + out + FM_WIRE_WORKER_CONTROL - 1) / FM_WIRE_WORKER_CONTROL *
             FM_WIRE_WORKER_CONTROL;
    return true;
}

/* ---- Small spans ---- */

/* With what is free in all maps given up, if need be. */
static bool find_small(struct fmd_map *map, struct fmd_span *span, uint64_t bytes)
{
    struct fmd_pool *pool = map->pool;
    if (!fits(pool, bytes))
        for (struct fmd_map *other = pool->maps; other != NULL; other = other->next)
            free_buffers(other);
    span->small = fits(pool, bytes) ? malloc(bytes) : NULL;
    span->bytes = span->small != NULL ? bytes : 0;
    pool->spans_bytes += span->bytes;
    return span->small != NULL;
}

bool fmd_span_lay(struct fmd_worker *worker, struct fmd_span *span)
{
    const struct fmd_map *map = span->map;
    if (span->small == NULL)
        return true;
    if (worker->desk == NULL)
        worker->desk = make_memory(map->pool, FM_WIRE_WORKER_CONTROL + FMD_POOL_SMALL);
    if (worker->desk == NULL)
        return false;
    span->buffer = worker->desk;
    if (map->load.in_size > 0)
        memcpy(span->buffer->memory + span->wire.in_offset, fmd_span_in(span),
               span->wire.count * map->load.in_size);
    return true;
}

void fmd_span_take(struct fmd_span *span)
{
    const struct fmd_map *map = span->map;
    if (span->small == NULL || span->buffer == NULL)
        return;
    memcpy(span->small + (span->wire.out_offset - FM_WIRE_WORKER_CONTROL),
           span->buffer->memory + span->wire.out_offset, span->wire.count * map->load.out_size);
    span->buffer = NULL;
}

void fmd_desk_free(struct fmd_buffer *desk)
{
    if (desk != NULL)
        free_memory(desk);
}

/* ---- A span's life ---- */

static bool find_memory(struct fmd_map *map, struct fmd_span *span, uint64_t bytes)
{
    if (map->closed)
        return false;
    if (bytes <= FM_WIRE_WORKER_CONTROL + FMD_POOL_SMALL)
        return find_small(map, span, bytes - FM_WIRE_WORKER_CONTROL);
    span->buffer = find_buffer(map, bytes);
    return span->buffer != NULL;
}

struct fmd_span *fmd_span_reserve(struct fmd_map *map, uint64_t first, uint64_t count)
{
    struct fmd_pool *pool = map->pool;
    uint64_t bytes;
    bool found = false;
    struct fmd_span *span = calloc(1, sizeof *span);
    if (span == NULL)
        return NULL;
    span->map = map;
    span->wire.first = first;
    span->wire.count = count;
    if (lay_out(&map->load, &span->wire, &bytes)) {
        pthread_mutex_lock(&pool->mutex);
        found = find_memory(map, span, bytes);
        map->references += found;
        pthread_mutex_unlock(&pool->mutex);
    }
    if (!found) {
        free(span);
        return NULL;
    }
    return span;
}

static char *place(const struct fmd_span *span, uint64_t offset)
{
    return span->small != NULL ? span->small + (offset - FM_WIRE_WORKER_CONTROL)
                               : span->buffer->memory + offset;
}

void *fmd_span_in(const struct fmd_span *span)
{
    return span->map->load.in_size > 0 ? place(span, span->wire.in_offset) : NULL;
}

const void *fmd_span_out(const struct fmd_span *span)
{
    return span->map->load.out_size > 0 ? place(span, span->wire.out_offset) : NULL;
}

void fmd_span_queue(struct fmd_span *span)
{
    struct fmd_map *map = span->map;
    if (map->sharer->queued + map->sharer->running == 0)
        fmd_turn_join(map->pool, map->sharer);
    if (span->small != NULL)
        span->buffer = NULL; /* the desk of a worker that is no more */
    span->next = NULL;
    span->previous = map->last;
    *(map->last != NULL ? &map->last->next : &map->first) = span;
    map->last = span;
    map->queued++;
    map->sharer->queued++;
    map->pool->numbers.queued++;
    fmd_share_note(map);
}

void fmd_span_unqueue(struct fmd_span *span)
{
    struct fmd_map *map = span->map;
    *(span->previous != NULL ? &span->previous->next : &map->first) = span->next;
    *(span->next != NULL ? &span->next->previous : &map->last) = span->previous;
    map->queued--;
    map->sharer->queued--;
    map->pool->numbers.queued--;
}

void fmd_span_finish(struct fmd_span *span)
{
    struct fmd_pool *pool = span->map->pool;
    span->map->calls++;
    span->result.granted_ns = span->grant_ns;
    pool->numbers.spans++;
    pool->numbers.cpu_ns += span->result.cpu_ns;
    pool->numbers.queued_ns += span->result.queued_ns;
    span->next_finished = NULL;
    *pool->finished_end = span;
    pool->finished_end = &span->next_finished;
}

void fmd_span_commit(struct fmd_span *span, uint64_t cpu_ns, fmd_span_more *more,
                     fmd_span_done *done, void *user)
{
    struct fmd_map *map = span->map;
    struct fmd_pool *pool = map->pool;
    span->grant_ns = cpu_ns;
    span->more = more;
    span->done = done;
    span->user = user;
    span->committed_ns = fm_base_now_ns();
    pthread_mutex_lock(&pool->mutex);
    const bool closed = map->closed;
    span->is_out = !closed;
    if (!closed) {
        span->wire.span = ++pool->spans;
        span->wire.map = map->load.map;
        fmd_span_queue(span);
        fmd_turn_give(pool);
        if (fmd_turn_needs_worker(pool) != NULL)
            fmd_pool_wake(pool);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (closed) { /* only where a map is closed beside this call */
        span->result.status = FMD_SPAN_CLOSED;
        span->result.granted_ns = cpu_ns;
        done(span, &span->result, user);
    }
}

void fmd_span_release(struct fmd_span *span)
{
    struct fmd_map *map = span->map;
    struct fmd_pool *pool = map->pool;
    if (span->is_out)
        abort(); /* a worker writes to it: better no service than one that mixes up memory */
    pthread_mutex_lock(&pool->mutex);
    if (span->small == NULL)
        give_back(map, span->buffer);
    pool->spans_bytes -= span->bytes;
    free(span->small);
    free(span);
    fmd_map_drop(map);
    pthread_mutex_unlock(&pool->mutex);
}
