/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that are received outside a map: what comes for the next map before this rank is in it, kept until
 * then; and what ranks tell each other that the scheduler knows nothing of.
 */
#ifndef FM_ENGINE_LETTERS_H
#define FM_ENGINE_LETTERS_H

#include "engine/group.h"

/* Kinds beyond the scheduler's, in the same field. */
enum fm_engine_kind {
    FM_ENGINE_NEED = 64, /* of the shared block; message.code: which part, see blocks.c */
    FM_ENGINE_BLOCK,     /* the answer */
    FM_ENGINE_GATEWAY,   /* message.code: whose turn it is to talk to the cloud, see gateway.c */
    FM_ENGINE_QUESTION,  /* about charges; message.code: its number, see question.c */
    FM_ENGINE_ANSWER,    /* to it */
    FM_ENGINE_GOODBYE    /* this rank makes no more maps */
};

struct fm_engine_letter {
    struct fm_engine_letter *next;
    int from;
    size_t size;
    char *bytes;
};

/* The number under which messages of the next map travel. */
int fm_engine_letters_tag(const struct fm_engine_world *world);

/* Waits for messages of the next map until one is of that kind; the others stay. The letter is the caller's,
   to be freed. NULL: MPI has ended. Without the mutex. */
struct fm_engine_letter *fm_engine_letters_await(struct fm_engine_world *world, int kind);

/* Waits for the first word about the next map, which stays among the messages, or a goodbye, which is taken
   away. Sets *from and fills the header and the opening. False: a goodbye, or MPI has ended. Without the
   mutex. */
bool fm_engine_letters_next_map(struct fm_engine_world *world, int *from,
                                struct fm_engine_header *header, struct fm_engine_opening *opening);

/* Hands all that are kept to the group, which has just entered its map. Under the mutex. */
void fm_engine_letters_deliver(struct fm_engine_group *group);

/* A letter made here, at the end of the list. */
void fm_engine_letter_put(struct fm_engine_letter **list, int from,
                          const struct fm_engine_header *header, const void *payload, size_t bytes);

void fm_engine_letter_free(struct fm_engine_letter *letter);

#endif
