/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sets with open addressing, at most half full. Signatures are random already, so a part of one is its
 * own
 * hash; the all-zero one stands for an empty place, and is refused as if it had been used.
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_PLACES = 1024 };

struct entry {
    uint64_t parts[2];
};

struct generation {
    struct entry *places;
    size_t count, mask;
    int64_t since_s;
};

struct fmd_replay {
    int64_t window_s;
    struct generation now, before;
};

static bool make(struct generation *generation, size_t places, int64_t since_s)
{
    *generation = (struct generation){calloc(places, sizeof(struct entry)), 0, places - 1, since_s};
    return generation->places != NULL;
}

struct fmd_replay *fmd_replay_new(int64_t window_s)
{
    struct fmd_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return NULL;
    replay->window_s = window_s;
    if (!make(&replay->now, FIRST_PLACES, 0) || !make(&replay->before, FIRST_PLACES, 0)) {
        fmd_replay_free(replay);
        return NULL;
    }
    return replay;
}

void fmd_replay_free(struct fmd_replay *replay)
{
    free(replay->now.places);
    free(replay->before.places);
    free(replay);
}

/* The place where the entry is, or would be. */
static struct entry *find(const struct generation *generation, struct entry entry)
{
    size_t at = entry.parts[0] & generation->mask;
    for (;;) {
        struct entry *place = &generation->places[at];
        if (memcmp(place, &entry, sizeof entry) == 0 || (place->parts[0] | place->parts[1]) == 0)
            return place;
        at = (at + 1) & generation->mask;
    }
}

static bool has(const struct generation *generation, struct entry entry)
{
    return memcmp(find(generation, entry), &entry, sizeof entry) == 0;
}

static bool grow(struct generation *generation)
{
    struct generation larger;
    if (!make(&larger, 2 * (generation->mask + 1), generation->since_s))
        return false;
    for (size_t i = 0; i <= generation->mask; i++)
        if ((generation->places[i].parts[0] | generation->places[i].parts[1]) != 0)
            *find(&larger, generation->places[i]) = generation->places[i];
    larger.count = generation->count;
    free(generation->places);
    *generation = larger;
    return true;
}

/* When `before` is dropped, all of it was used before `now` began, which is more than a window ago. */
static bool turn(struct fmd_replay *replay, int64_t now_s)
{
    struct generation fresh;
    if (now_s - replay->now.since_s <= replay->window_s)
        return true;
    if (!make(&fresh, FIRST_PLACES, now_s))
        return false;
    free(replay->before.places);
    replay->before = replay->now;
    replay->now = fresh;
    return true;
}

enum fmd_replay_answer fmd_replay_use(struct fmd_replay *replay,
                                      const uint8_t signature[FMD_REPLAY_BYTES], int64_t now_s)
{
    struct entry entry;
    memcpy(&entry, signature, sizeof entry);
    if ((entry.parts[0] | entry.parts[1]) == 0)
        return FMD_REPLAY_USED;
    if (!turn(replay, now_s))
        return FMD_REPLAY_NO_MEMORY;
    if (has(&replay->now, entry) || has(&replay->before, entry))
        return FMD_REPLAY_USED;
    if (2 * (replay->now.count + 1) > replay->now.mask + 1 && !grow(&replay->now))
        return FMD_REPLAY_NO_MEMORY;
    *find(&replay->now, entry) = entry;
    replay->now.count++;
    return FMD_REPLAY_FRESH;
}
