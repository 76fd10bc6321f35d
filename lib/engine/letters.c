/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages outside a map. See letters.h. */
#include "engine/letters.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

int fm_engine_letters_tag(const struct fm_engine_world *world)
{
    return 1 + (int)(world->maps % (FM_TIER_RANKS_TAGS - 1));
}

void fm_engine_letter_free(struct fm_engine_letter *letter)
{
    free(letter->bytes);
    free(letter);
}

static void append(struct fm_engine_letter **list, int from, char *bytes, size_t size)
{
    struct fm_engine_letter **end = list;
    struct fm_engine_letter *letter = calloc(1, sizeof *letter);
    if (letter == NULL) {
        fm_base_log(FASTMAP_VERBOSITY_QUIET, FASTMAP_VERBOSITY_QUIET,
                    "no memory for a message from rank %d: the job cannot go on", from);
        abort(); /* the other ranks would wait for ever */
    }
    *letter = (struct fm_engine_letter){.from = from, .size = size, .bytes = bytes};
    while (*end != NULL)
        end = &(*end)->next;
    *end = letter;
}

static void keep(void *context, int from, char *bytes, size_t size)
{
    struct fm_engine_world *world = context;
    append(&world->early, from, bytes, size);
}

void fm_engine_letter_put(struct fm_engine_letter **list, int from,
                          const struct fm_engine_header *header, const void *payload, size_t bytes)
{
    append(list, from, fm_engine_talk_pack(header, payload, bytes), sizeof *header + bytes);
}

static int kind_of(const struct fm_engine_letter *letter)
{
    struct fm_engine_header header;
    if (letter->size < sizeof header)
        return 0;
    memcpy(&header, letter->bytes, sizeof header);
    return header.message.kind;
}

/* Where the first letter of that kind hangs; NULL: there is none. */
static struct fm_engine_letter **find(struct fm_engine_world *world, int kind)
{
    for (struct fm_engine_letter **at = &world->early; *at != NULL; at = &(*at)->next)
        if (kind_of(*at) == kind)
            return at;
    return NULL;
}

static struct fm_engine_letter *take(struct fm_engine_letter **at)
{
    struct fm_engine_letter *letter = *at;
    *at = letter->next;
    return letter;
}

/* Receives what there is, or sleeps a little. False: MPI has ended. */
static bool look(struct fm_engine_world *world, uint64_t *idle_since)
{
    if (!world->tier->is_up())
        return false;
    pthread_mutex_lock(&world->mutex);
    const bool any = world->tier->poll(fm_engine_letters_tag(world), keep, world);
    pthread_mutex_unlock(&world->mutex);
    if (any)
        *idle_since = fm_base_ticks();
    else
        fm_engine_wait_message(world, fm_engine_letters_tag(world),
                               fm_base_ticks_to_ns(fm_base_ticks() - *idle_since),
                               FM_ENGINE_SILENT_NS);
    return true;
}

struct fm_engine_letter *fm_engine_letters_await(struct fm_engine_world *world, int kind)
{
    uint64_t idle_since = fm_base_ticks();
    struct fm_engine_letter **at;
    while ((at = find(world, kind)) == NULL)
        if (!look(world, &idle_since))
            return NULL;
    return take(at);
}

bool fm_engine_letters_next_map(struct fm_engine_world *world, int *from,
                                struct fm_engine_header *header, struct fm_engine_opening *opening)
{
    uint64_t idle_since = fm_base_ticks();
    for (;;) {
        for (const struct fm_engine_letter *l = world->early; l != NULL; l = l->next) {
            if (kind_of(l) != FM_SCHED_ASK ||
                !fm_engine_opening_take(l->bytes + sizeof *header, l->size - sizeof *header,
                                        opening))
                continue;
            memcpy(header, l->bytes, sizeof *header);
            *from = l->from;
            return true;
        }
        struct fm_engine_letter **goodbye = find(world, FM_ENGINE_GOODBYE);
        if (goodbye != NULL) {
            fm_engine_letter_free(take(goodbye));
            return false;
        }
        if (!look(world, &idle_since))
            return false;
    }
}

void fm_engine_letters_deliver(struct fm_engine_group *group)
{
    while (group->world->early != NULL) {
        struct fm_engine_letter *letter = take(&group->world->early);
        fm_engine_talk_receive(group, letter->from, letter->bytes, letter->size);
        free(letter);
    }
}
