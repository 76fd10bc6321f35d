/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between ranks by two-sided MPI: the one file that includes mpi.h, compiled once for each MPI
 * that is installed. Memory that fits one message is sent as it is (an int counts its bytes, so messages
 * end at 2 GiB; the engine's runs stay far below).
 *
 * Receiving: MPI_Improbe takes a message off the queue, so that no other thread of the application can take
 * it, and MPI_Imrecv fetches it while the caller computes on. Messages are handed over in the order in
 * which they were taken, also where a short one is complete before a long one.
 *
 * Where the program has not called MPI_Init, this file does, with MPI_THREAD_MULTIPLE, and finalizes when
 * the process exits.
 */
#include <mpi.h>

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tier/ranks.h"

extern const struct fm_tier_ranks fm_mpi_tier;

struct transfer {
    MPI_Request request;
    char *bytes;
    size_t size;
    int from;
    int tag;
    struct transfer *next;
};

static struct {
    MPI_Comm comm;
    bool up;
    bool ours; /* we called MPI_Init */
    int size;
    int *node;
    MPI_Request gathering;
    MPI_Datatype gathered;
    struct transfer *sending;
    struct transfer *receiving; /* the oldest first */
    struct transfer **receiving_end;
} mpi = {.receiving_end = &mpi.receiving};

static bool is_finalized(void)
{
    int finalized = 0;
    return MPI_Finalized(&finalized) != MPI_SUCCESS || finalized;
}

static void finalize_ours(void)
{
    if (!is_finalized())
        MPI_Finalize();
}

/* ---- The job ---- */

static int initialize(struct fm_tier_world *world, char *why, size_t why_bytes)
{
    int done = 0;
    int level = MPI_THREAD_SINGLE;
    MPI_Initialized(&done);
    if (is_finalized()) {
        (void)snprintf(why, why_bytes, "the program has called MPI_Finalize already");
        return -1;
    }
    if (!done) {
        if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level) != MPI_SUCCESS) {
            (void)snprintf(why, why_bytes, "MPI_Init_thread failed");
            return -1;
        }
        mpi.ours = true;
        (void)atexit(finalize_ours);
    }
    MPI_Query_thread(&level);
    world->any_thread = level == MPI_THREAD_MULTIPLE;
    world->main_only = level < MPI_THREAD_SERIALIZED;
    return 0;
}

/* Each rank's node, named by the lowest rank on it. */
static bool find_nodes(MPI_Comm local, int rank)
{
    int first = rank;
    mpi.node = malloc((size_t)mpi.size * sizeof *mpi.node);
    if (mpi.node == NULL)
        return false;
    MPI_Bcast(&first, 1, MPI_INT, 0, local);
    MPI_Allgather(&first, 1, MPI_INT, mpi.node, 1, MPI_INT, mpi.comm);
    return true;
}

static bool find_sharers(MPI_Comm local, struct fm_tier_world *world)
{
    int size;
    int rank;
    cpu_set_t own;
    MPI_Comm_size(local, &size);
    MPI_Comm_rank(local, &rank);
    if (sched_getaffinity(0, sizeof own, &own) != 0)
        CPU_ZERO(&own);
    cpu_set_t *masks = malloc((size_t)size * sizeof *masks);
    if (masks == NULL)
        return false;
    MPI_Allgather(&own, sizeof own, MPI_BYTE, masks, sizeof own, MPI_BYTE, local);
    for (int i = 0; i < size; i++) {
        cpu_set_t both;
        CPU_AND(&both, &own, &masks[i]);
        if (i != rank && CPU_COUNT(&both) == 0)
            continue;
        world->sharers++;
        world->place += i < rank ? 1 : 0;
    }
    free(masks);
    return true;
}

static int start(struct fm_tier_world *world, const int *comm, char *why, size_t why_bytes)
{
    MPI_Comm local;
    *world = (struct fm_tier_world){0};
    if (initialize(world, why, why_bytes) != 0)
        return -1;
    MPI_Comm all = comm != NULL ? MPI_Comm_f2c((MPI_Fint)*comm) : MPI_COMM_WORLD;
    if (all == MPI_COMM_NULL) {
        world->size = 1;
        return 0;
    }
    if (MPI_Comm_dup(all, &mpi.comm) != MPI_SUCCESS) {
        (void)snprintf(why, why_bytes, "MPI_Comm_dup failed");
        return -1;
    }
    MPI_Comm_rank(mpi.comm, &world->rank);
    MPI_Comm_size(mpi.comm, &world->size);
    mpi.size = world->size;
    MPI_Comm_split_type(mpi.comm, MPI_COMM_TYPE_SHARED, world->rank, MPI_INFO_NULL, &local);
    const bool known = find_nodes(local, world->rank) && find_sharers(local, world);
    MPI_Comm_free(&local);
    if (!known) {
        (void)snprintf(why, why_bytes, "no memory for the list of ranks");
        return -1;
    }
    world->node = mpi.node;
    mpi.up = true;
    return 0;
}

static int call_ending(MPI_Comm comm, int key, void *value, void *extra)
{
    void (*ending)(void) = NULL;
    (void)comm;
    (void)key;
    (void)extra;
    memcpy(&ending, &value, sizeof ending);
    ending();
    return MPI_SUCCESS;
}

/* MPI_Finalize begins with the attributes of MPI_COMM_SELF: the standard's place for such a call. */
static void on_end(void (*ending)(void))
{
    int key;
    void *value;
    memcpy(&value, &ending, sizeof value);
    if (MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, call_ending, &key, NULL) == MPI_SUCCESS)
        MPI_Comm_set_attr(MPI_COMM_SELF, key, value);
}

static bool is_up(void)
{
    return mpi.up && !is_finalized();
}

static void stop(void)
{
    if (mpi.up && !is_finalized())
        MPI_Comm_free(&mpi.comm);
    mpi.up = false;
    free(mpi.node);
    mpi.node = NULL;
}

/* ---- Gathering ---- */

static bool gather(void *elements, size_t element_bytes, const int *count, const int *first)
{
    if (element_bytes > INT_MAX)
        return false;
    MPI_Type_contiguous((int)element_bytes, MPI_BYTE, &mpi.gathered);
    MPI_Type_commit(&mpi.gathered);
    MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, elements, count, first, mpi.gathered,
                    mpi.comm, &mpi.gathering);
    return true;
}

static bool gather_is_done(void)
{
    int done = 0;
    MPI_Test(&mpi.gathering, &done, MPI_STATUS_IGNORE);
    if (done)
        MPI_Type_free(&mpi.gathered);
    return done != 0;
}

/* ---- Messages ---- */

static bool send(int to, int tag, char *bytes, size_t size)
{
    struct transfer *t = malloc(sizeof *t);
    if (t == NULL || size > INT_MAX) {
        free(t);
        free(bytes);
        return false;
    }
    *t = (struct transfer){.bytes = bytes, .size = size, .next = mpi.sending};
    MPI_Isend(bytes, (int)size, MPI_BYTE, to, tag, mpi.comm, &t->request);
    mpi.sending = t;
    return true;
}

static void sweep_sent(void)
{
    for (struct transfer **at = &mpi.sending; *at != NULL;) {
        struct transfer *t = *at;
        int sent = 0;
        MPI_Test(&t->request, &sent, MPI_STATUS_IGNORE);
        if (!sent) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        free(t->bytes);
        free(t);
    }
}

static bool is_flushed(void)
{
    sweep_sent();
    return mpi.sending == NULL;
}

/* Begins to fetch a message, if there is one (and memory for it: else it waits). */
static bool begin_receive(int tag)
{
    int found = 0;
    int size = 0;
    MPI_Message message;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, tag, mpi.comm, &found, &status);
    if (!found)
        return false;
    MPI_Get_count(&status, MPI_BYTE, &size);
    struct transfer *t = malloc(sizeof *t);
    char *bytes = malloc(size > 0 ? (size_t)size : 1);
    if (t == NULL || bytes == NULL) {
        free(t);
        free(bytes);
        return false;
    }
    *t = (struct transfer){
        .bytes = bytes, .size = (size_t)size, .from = status.MPI_SOURCE, .tag = tag};
    MPI_Improbe(status.MPI_SOURCE, tag, mpi.comm, &found, &message, &status);
    MPI_Imrecv(bytes, size, MPI_BYTE, &message, &t->request);
    *mpi.receiving_end = t;
    mpi.receiving_end = &t->next;
    return true;
}

/* Hands over the oldest message, if it is there. */
static bool end_receive(fm_tier_deliver *deliver, void *context)
{
    struct transfer *t = mpi.receiving;
    int there = 0;
    if (t == NULL)
        return false;
    MPI_Test(&t->request, &there, MPI_STATUS_IGNORE);
    if (!there)
        return false;
    mpi.receiving = t->next;
    if (mpi.receiving == NULL)
        mpi.receiving_end = &mpi.receiving;
    deliver(context, t->from, t->bytes, t->size);
    free(t);
    return true;
}

static bool poll(int tag, fm_tier_deliver *deliver, void *context)
{
    bool any = false;
    if (mpi.sending != NULL)
        sweep_sent();
    while (begin_receive(tag) || end_receive(deliver, context))
        any = true;
    return any;
}

const struct fm_tier_ranks fm_mpi_tier = {
    .version = FM_TIER_RANKS_VERSION,
    .start = start,
    .on_end = on_end,
    .is_up = is_up,
    .send = send,
    .poll = poll,
    .is_flushed = is_flushed,
    .gather = gather,
    .gather_is_done = gather_is_done,
    .stop = stop,
};
