/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Simulated time: a binary heap of events; and what waits at a rank: spans of elements. Decides nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "simulate.h"

static struct sim_event **heap;
static size_t heap_count;
static size_t heap_room;
static uint64_t pushed;

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns <= b->at_ns && a->order < b->order);
}

static void *have(void *memory)
{
    if (memory != NULL)
        return memory;
    fprintf(stderr, "simulate: no memory\n");
    exit(1);
}

void sim_push(const struct sim_event *event)
{
    if (heap_count == heap_room) {
        heap_room = heap_room > 0 ? 2 * heap_room : 1024;
        heap = have(realloc(heap, heap_room * sizeof(struct sim_event *)));
    }
    struct sim_event *kept = have(malloc(sizeof *kept));
    *kept = *event;
    kept->order = pushed++;
    size_t at = heap_count++;
    for (; at > 0 && is_before(kept, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = kept;
}

bool sim_pop(struct sim_event *event)
{
    if (heap_count == 0)
        return false;
    struct sim_event *first = heap[0];
    struct sim_event *last = heap[--heap_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap_count; at = child) {
        if (child + 1 < heap_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
    *event = *first;
    free(first);
    return true;
}

void sim_drop_events(void)
{
    while (heap_count > 0)
        free(heap[--heap_count]);
}

void sim_add(struct sim_queue *queue, int job, size_t base, size_t first, size_t count)
{
    if (count == 0)
        return;
    struct sim_span *span = have(malloc(sizeof *span));
    *span = (struct sim_span){
        .next = queue->spans, .job = job, .base = base, .first = first, .count = count};
    queue->spans = span;
    queue->count += count;
}

static void drop_empty(struct sim_span **at)
{
    struct sim_span *span = *at;
    if (span->count > 0)
        return;
    *at = span->next;
    free(span);
}

struct sim_span sim_take(struct sim_queue *queue, size_t want)
{
    struct sim_span taken = {0};
    struct sim_span **longest = &queue->spans;
    for (struct sim_span **at = longest; *at != NULL; at = &(*at)->next)
        if ((*at)->count > (*longest)->count)
            longest = at;
    if (*longest == NULL)
        return taken;
    taken = **longest;
    taken.count = want < taken.count ? want : taken.count;
    (*longest)->count -= taken.count;
    taken.first += (*longest)->count;
    queue->count -= taken.count;
    drop_empty(longest);
    return taken;
}

struct sim_span sim_next(struct sim_queue *queue)
{
    struct sim_span next = *queue->spans;
    next.count = 1;
    queue->spans->first++;
    queue->spans->count--;
    queue->count--;
    drop_empty(&queue->spans);
    return next;
}

void sim_remove(struct sim_queue *queue, int job)
{
    for (struct sim_span **at = &queue->spans; *at != NULL;) {
        struct sim_span *span = *at;
        if (span->job != job) {
            at = &span->next;
            continue;
        }
        queue->count -= span->count;
        *at = span->next;
        free(span);
    }
}
