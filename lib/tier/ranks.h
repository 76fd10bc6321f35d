/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of a tier of ranks: it moves messages between the processes of a job and knows nothing of
 * maps. It is a plugin, opened by engine/world.c when the program runs as one of several ranks, so that
 * other programs never load what it is made of. A plugin exports one object, fm_mpi_tier, and needs
 * nothing of the library.
 *
 * Threads: one call at a time, which the caller sees to; from the application's thread, and where
 * any_thread is set from any other.
 */
#ifndef FM_TIER_RANKS_H
#define FM_TIER_RANKS_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_TIER_RANKS_VERSION 3
#define FM_TIER_RANKS_TAGS 16384

/* What there is. Arrays belong to the tier, and last until stop(). */
struct fm_tier_world {
    int rank;
    int size;
    const int *node; /* by rank: which node it is on, a number below size */
    bool any_thread; /* calls may come from any thread, not only from the one that starts */
    bool main_only;  /* calls may come from the program's first thread only */
    /* Ranks of this node whose affinity masks have a processor in common with this one's, itself
       included, and its place among them. */
    int sharers;
    int place;
    bool rings; /* messages between ranks of this node wake a rank that rests */
};

typedef void fm_tier_deliver(void *context, int from, char *bytes, size_t size);

struct fm_tier_ranks {
    int version;
    /* Joins the ranks of a communicator, which is duplicated: that with the Fortran handle *comm, or all
       (NULL). Collective over it. 0, or -1 with a sentence in why: what is wrong and what to do. A process
       that is in no communicator is a world of one. */
    int (*start)(struct fm_tier_world *world, const int *comm, char *why, size_t why_bytes);
    /* Calls this once, when the program ends its MPI (before it is gone), from the thread that does. */
    void (*on_end)(void (*ending)(void));
    /* Whether the job still stands: a program may end its MPI before its last map. */
    bool (*is_up)(void);
    /* Sends size bytes that were malloc'ed, and frees them. Messages with one tag to one rank arrive in
       order. Tags are the numbers of maps, from 1 to FM_TIER_RANKS_TAGS - 1 and again; a rank is at most one
       map ahead of those that it sends to. False: no memory for the note; nothing was sent, and the bytes are
       freed. */
    bool (*send)(int to, int tag, char *bytes, size_t size);
    /* Goes on with what is under way; hands messages with that tag over, each in malloc'ed memory that is
       then the receiver's, keeps those of the next map, and drops those of earlier ones. True: there was
       something. */
    bool (*poll)(int tag, fm_tier_deliver *deliver, void *context);
    /* Whether poll() with that tag may find something, which costs next to nothing to know. Of messages from
       other nodes, and where nothing rings from anywhere, it knows nothing. May be called at any time by
       any thread. */
    bool (*stirs)(int tag);
    /* Sleeps until a message from a rank of this node comes (where these ring), at most for so long. May be
       called at any time by any thread. */
    void (*rest)(uint64_t ns);
    /* Whether all messages of at most so many bytes that were sent have left. What has not by the end of the
       job, because nobody waited for it any more, is lost. */
    bool (*is_flushed)(size_t most_bytes);
    /* Begins to bring together what all ranks have of an array of elements of element_bytes each: rank r has
       count[r] of them from first[r] on. Collective; the arrays stay untouched until gather_is_done(). False:
       no memory, on this rank at least. */
    bool (*gather)(void *elements, size_t element_bytes, const int *count, const int *first);
    bool (*gather_is_done)(void);
    void (*stop)(void);
};

#endif
