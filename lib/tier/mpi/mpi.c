/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages between ranks by two-sided MPI: the one file that includes mpi.h, compiled once for each MPI
 * that is installed. Memory that fits one message is sent as it is (an int counts its bytes, so messages
 * end at 2 GiB; the engine's runs stay far below).
 *
 * Receiving: MPI_Improbe takes a message off the queue, so that no other thread of the application can take
 * it, and MPI_Imrecv fetches it while the caller computes on. Messages are handed over in the order in
 * which they were taken, also where a short one is complete before a long one. Whatever the tag, so that
 * nothing stays behind: what belongs to a map that is over is dropped, and what belongs to the next one,
 * which a faster rank has begun, is kept for it.
 *
 * Ranks of one node ring each other's bells (bell.h).
 *
 * Where the program has not called MPI_Init, this file does, with MPI_THREAD_MULTIPLE, and finalizes when
 * the process exits.
 */
#include <mpi.h>

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tier/mpi/bell.h"
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

#define SMALL_BYTES ((size_t)4096) /* such messages leave at once, as a rule */

static struct {
    MPI_Comm comm;
    bool up;
    bool ours; /* we called MPI_Init */
    int size;
    int *node;
    MPI_Request gathering;
    MPI_Datatype gathered;
    struct fm_mpi_bell *bells; /* of this node's ranks; NULL: there are none */
    int bell_count;
    int *place; /* a rank's number among those of this node; -1: it is on another one */
    int own_place;
    _Atomic uint32_t heard; /* messages received from ranks that ring */
    _Atomic bool moving;    /* something is being sent or received */
    _Atomic int early_tag;  /* of `early`; 0: there is none */
    struct transfer *sending;
    struct transfer *receiving; /* the oldest first */
    struct transfer **receiving_end;
    struct transfer *early; /* of the next map, the oldest first */
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

/* Places on this node, in the order of the ranks, as in `local`. */
static bool find_places(int rank)
{
    int count = 0;
    mpi.place = malloc((size_t)mpi.size * sizeof *mpi.place);
    if (mpi.place == NULL)
        return false;
    for (int other = 0; other < mpi.size; other++)
        mpi.place[other] = mpi.node[other] == mpi.node[rank] ? count++ : -1;
    mpi.own_place = mpi.place[rank];
    mpi.bell_count = count;
    return true;
}

/* All ranks of the node, or none, have bells. */
static void hang_bells(MPI_Comm local)
{
    char name[FM_MPI_BELL_NAME] = "";
    mpi.bells = mpi.own_place == 0 ? fm_mpi_bells_make(mpi.bell_count, name) : NULL;
    MPI_Bcast(name, sizeof name, MPI_CHAR, 0, local);
    if (mpi.own_place != 0)
        mpi.bells = fm_mpi_bells_open(mpi.bell_count, name);
    int all = mpi.bells != NULL;
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, local);
    if (mpi.own_place == 0)
        fm_mpi_bells_forget(name);
    if (all)
        return;
    fm_mpi_bells_close(mpi.bells, mpi.bell_count);
    mpi.bells = NULL;
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
    const bool known =
        find_nodes(local, world->rank) && find_sharers(local, world) && find_places(world->rank);
    if (known)
        hang_bells(local);
    MPI_Comm_free(&local);
    if (!known) {
        (void)snprintf(why, why_bytes, "no memory for the list of ranks");
        return -1;
    }
    world->node = mpi.node;
    world->rings = mpi.bells != NULL;
    atomic_store(&mpi.heard, 0);
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

static struct transfer *take_off(struct transfer **list)
{
    struct transfer *first = *list;
    *list = first->next;
    return first;
}

static void drop(struct transfer *t)
{
    free(t->bytes);
    free(t);
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
    while (mpi.early != NULL)
        drop(take_off(&mpi.early));
    fm_mpi_bells_close(mpi.bells, mpi.bell_count);
    mpi.bells = NULL;
    free(mpi.place);
    free(mpi.node);
    mpi.place = NULL;
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

static void note_moving(void)
{
    atomic_store_explicit(&mpi.moving, mpi.sending != NULL || mpi.receiving != NULL,
                          memory_order_relaxed);
}

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
    if (size <= SMALL_BYTES)
        sweep_sent();
    note_moving();
    if (mpi.bells != NULL && mpi.place[to] >= 0)
        fm_mpi_bell_ring(&mpi.bells[mpi.place[to]]);
    return true;
}

static bool is_flushed(size_t most_bytes)
{
    sweep_sent();
    for (const struct transfer *t = mpi.sending; t != NULL; t = t->next)
        if (t->size <= most_bytes)
            return false;
    return true;
}

/* Whether all that has been announced has come. */
static bool heard_all(void)
{
    return mpi.bells != NULL &&
           atomic_load_explicit(&mpi.bells[mpi.own_place].rings, memory_order_acquire) ==
               atomic_load_explicit(&mpi.heard, memory_order_relaxed);
}

/* Begins to fetch a message, if there is one (and memory for it: else it waits). */
static bool begin_receive(void)
{
    int found = 0;
    int size = 0;
    MPI_Message message;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, mpi.comm, &found, &status);
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
        .bytes = bytes, .size = (size_t)size, .from = status.MPI_SOURCE, .tag = status.MPI_TAG};
    MPI_Improbe(t->from, t->tag, mpi.comm, &found, &message, &status);
    MPI_Imrecv(bytes, size, MPI_BYTE, &message, &t->request);
    if (mpi.place[t->from] >= 0)
        atomic_fetch_add_explicit(&mpi.heard, 1, memory_order_relaxed);
    *mpi.receiving_end = t;
    mpi.receiving_end = &t->next;
    return true;
}

/* Tags count maps, and start again; no rank is more than one map ahead of another that it hears from. */
static bool is_later(int tag, int than)
{
    return tag == than % (FM_TIER_RANKS_TAGS - 1) + 1;
}

static void keep(struct transfer *t)
{
    struct transfer **end = &mpi.early;
    while (*end != NULL)
        end = &(*end)->next;
    t->next = NULL;
    *end = t;
}

/* Hands a message over that is there, or keeps or drops it. */
static void hand_over(struct transfer *t, int tag, fm_tier_deliver *deliver, void *context)
{
    if (is_later(t->tag, tag)) {
        keep(t);
        return;
    }
    if (t->tag == tag) {
        deliver(context, t->from, t->bytes, t->size);
        t->bytes = NULL;
    }
    drop(t);
}

/* The oldest message, if it is there. */
static bool end_receive(int tag, fm_tier_deliver *deliver, void *context)
{
    int there = 0;
    if (mpi.receiving == NULL)
        return false;
    MPI_Test(&mpi.receiving->request, &there, MPI_STATUS_IGNORE);
    if (!there)
        return false;
    struct transfer *t = take_off(&mpi.receiving);
    if (mpi.receiving == NULL)
        mpi.receiving_end = &mpi.receiving;
    hand_over(t, tag, deliver, context);
    return true;
}

static bool stirs(int tag)
{
    return atomic_load_explicit(&mpi.moving, memory_order_relaxed) ||
           atomic_load_explicit(&mpi.early_tag, memory_order_relaxed) == tag || !heard_all();
}

/* MPI gives the processor away when it is asked for a message and there is none, which costs milliseconds
   where others want it. So it is asked only while bells tell of more: twice, as a message that it takes in
   only now is found by the second look. */
static bool fetch(bool by_bells)
{
    if (by_bells && heard_all())
        return false;
    return begin_receive() || (by_bells && begin_receive());
}

/* Without a ring, and with nothing on its way that would be a reason to call, messages are looked for. */
static bool poll(int tag, fm_tier_deliver *deliver, void *context)
{
    bool any = mpi.early != NULL;
    struct transfer *early = mpi.early;
    const bool by_bells = mpi.bell_count == mpi.size && stirs(tag);
    mpi.early = NULL;
    while (early != NULL)
        hand_over(take_off(&early), tag, deliver, context);
    if (mpi.sending != NULL)
        sweep_sent();
    while (fetch(by_bells) || end_receive(tag, deliver, context))
        any = true;
    note_moving();
    atomic_store_explicit(&mpi.early_tag, mpi.early != NULL ? mpi.early->tag : 0,
                          memory_order_relaxed);
    return any;
}

static void rest(uint64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000u),
                                  .tv_nsec = (long)(ns % 1000000000u)};
    if (mpi.bells != NULL)
        fm_mpi_bell_wait(&mpi.bells[mpi.own_place],
                         atomic_load_explicit(&mpi.heard, memory_order_relaxed), ns);
    else
        (void)nanosleep(&time, NULL);
}

const struct fm_tier_ranks fm_mpi_tier = {
    .version = FM_TIER_RANKS_VERSION,
    .start = start,
    .on_end = on_end,
    .is_up = is_up,
    .send = send,
    .poll = poll,
    .stirs = stirs,
    .rest = rest,
    .is_flushed = is_flushed,
    .gather = gather,
    .gather_is_done = gather_is_done,
    .stop = stop,
};
