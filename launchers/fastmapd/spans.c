/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A table with open addressing, at most half full, and a ring of the numbers whose outcomes are kept, the
 * oldest
 * first. A number that was used stays in the table for the life of its map.
 */
#include "spans.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_PLACES = 64 };

enum state { FREE, FORGOTTEN, RUNNING, DONE };

struct entry {
    struct fmd_span_name name;
    struct fmd_outcome *outcome;
    enum state state;
};

struct fmd_spans {
    struct entry *places;
    size_t count, mask;
    uint64_t kept_most, kept_bytes;
    struct kept {
        uint64_t number;
        struct kept *next;
    } * oldest, **newest;
};

struct fmd_spans *fmd_spans_new(uint64_t kept_bytes)
{
    struct fmd_spans *spans = calloc(1, sizeof *spans);
    struct entry *places = calloc(FIRST_PLACES, sizeof *places);
    if (spans == NULL || places == NULL) {
        free(spans);
        free(places);
        return NULL;
    }
    *spans =
        (struct fmd_spans){.places = places, .mask = FIRST_PLACES - 1, .kept_most = kept_bytes};
    spans->newest = &spans->oldest;
    return spans;
}

static struct entry *find(const struct fmd_spans *spans, uint64_t number)
{
    size_t at = (number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & spans->mask;
    while (spans->places[at].state != FREE && spans->places[at].name.number != number)
        at = (at + 1) & spans->mask;
    return &spans->places[at];
}

static bool grow(struct fmd_spans *spans)
{
    const size_t places = spans->mask + 1;
    struct entry *old = spans->places;
    struct entry *fresh = calloc(2 * places, sizeof *fresh);
    if (fresh == NULL)
        return false;
    spans->places = fresh;
    spans->mask = 2 * places - 1;
    for (size_t i = 0; i < places; i++)
        if (old[i].state != FREE)
            *find(spans, old[i].name.number) = old[i];
    free(old);
    return true;
}

static bool is_same(const struct fmd_span_name *a, const struct fmd_span_name *b)
{
    return a->number == b->number && a->first == b->first && a->count == b->count &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

enum fmd_spans_answer fmd_spans_begin(struct fmd_spans *spans, const struct fmd_span_name *name,
                                      struct fmd_outcome **outcome)
{
    struct entry *entry = find(spans, name->number);
    if (entry->state == RUNNING || entry->state == DONE) {
        if (!is_same(&entry->name, name))
            return FMD_SPANS_CONFLICT;
        if (entry->state == RUNNING)
            return FMD_SPANS_RUNNING;
        if (entry->outcome == NULL)
            return FMD_SPANS_GONE;
        atomic_fetch_add(&entry->outcome->users, 1);
        *outcome = entry->outcome;
        return FMD_SPANS_KEPT;
    }
    if (entry->state == FREE) {
        if (2 * (spans->count + 1) > spans->mask + 1 && !grow(spans))
            return FMD_SPANS_NO_MEMORY;
        entry = find(spans, name->number);
        spans->count++;
    }
    *entry = (struct entry){.name = *name, .state = RUNNING};
    return FMD_SPANS_NEW;
}

void fmd_spans_forget(struct fmd_spans *spans, uint64_t number)
{
    find(spans, number)->state = FORGOTTEN;
}

static void drop_oldest(struct fmd_spans *spans)
{
    struct kept *kept = spans->oldest;
    struct entry *entry = find(spans, kept->number);
    spans->kept_bytes -= entry->outcome->bytes;
    fmd_outcome_drop(entry->outcome);
    entry->outcome = NULL;
    spans->oldest = kept->next;
    if (spans->oldest == NULL)
        spans->newest = &spans->oldest;
    free(kept);
}

void fmd_spans_end(struct fmd_spans *spans, uint64_t number, struct fmd_outcome *outcome)
{
    struct entry *entry = find(spans, number);
    struct kept *kept = outcome == NULL ? NULL : malloc(sizeof *kept);
    entry->state = DONE;
    if (kept == NULL || outcome->bytes > spans->kept_most) {
        free(kept);
        return;
    }
    *kept = (struct kept){number, NULL};
    *spans->newest = kept;
    spans->newest = &kept->next;
    atomic_fetch_add(&outcome->users, 1);
    entry->outcome = outcome;
    spans->kept_bytes += outcome->bytes;
    while (spans->kept_bytes > spans->kept_most)
        drop_oldest(spans);
}

size_t fmd_spans_count(const struct fmd_spans *spans)
{
    return spans->count;
}

void fmd_spans_free(struct fmd_spans *spans)
{
    while (spans->oldest != NULL)
        drop_oldest(spans);
    free(spans->places);
    free(spans);
}
