/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map over ranks as the files that run it share it: jobs.c keeps what is to be computed, talk.c exchanges
 * messages, porter.c does so meanwhile, shares.c gives all results to all, ranks.c is the call.
 *
 * A *job* is a run of elements with its inputs, its outputs and its failures: the caller's own map, or what
 * another rank gave. Jobs wait in a queue until the calling thread computes them, one after the other, each
 * with the help of this rank's other threads. Whatever nobody has begun can be given away meanwhile: first
 * from the end of the queue, then out of the job that is being computed.
 *
 * The world's mutex protects everything in the group but the job that is being computed; functions are
 * called under it unless they say otherwise.
 */
#ifndef FM_ENGINE_GROUP_H
#define FM_ENGINE_GROUP_H

#include "base/error.h"
#include "engine/course.h"
#include "engine/map.h"
#include "engine/opening.h"
#include "engine/terms.h"
#include "engine/world.h"

/* What became of a run of elements, as ranks tell each other. */
struct fm_engine_tally {
    uint64_t failed;
    uint64_t skipped; /* not computed */
    uint64_t listed;
    uint64_t cloud; /* computed in the cloud */
    uint64_t home;  /* came back from the cloud not computed, and were computed by who gave them */
    double busy_ns; /* in elements */
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES];
};

/* What rank 0's settings say of charges, as ranks tell each other. */
enum { FM_ENGINE_CHARGES_UNKNOWN, FM_ENGINE_CHARGES_ASK, FM_ENGINE_CHARGES_GO };

struct fm_engine_charges {
    int64_t say;  /* one of these */
    int64_t most; /* its max_charge, in nano-dollars; below 0: not set */
};

/* Before each message. All ranks run the same program, so it is sent as it lies in memory. */
struct fm_engine_header {
    struct fm_sched_message message;
    struct fm_engine_terms terms;
    uint64_t in_place;            /* GIVE: the owner's outputs lie where its inputs are */
    uint64_t serves;              /* the sender owns nothing, and makes no maps by itself */
    struct fm_engine_tally tally; /* RESULT */
    int64_t spent;                /* in the cloud for this map, as far as known; nano-dollars */
    struct fm_engine_charges charges;
};

struct fm_engine_job {
    struct fm_engine_map run;
    struct fastmap_map work;    /* what the local tier computes: the elements that are still here */
    struct fm_engine_job *next; /* in the queue */
    char *memory;               /* inputs and outputs, where they are not the caller's */
    int slot;                   /* in the scheduler's ledger */
    size_t first;               /* index of its first element in the owner's map */
    struct fm_tier_course course; /* of its own elements, where the map has one */
    bool over;      /* delivered, or no more wanted: the thread that is inside, if any, drops it */
    bool in_place;  /* an element's output replaces its input */
    size_t skipped; /* not computed, by whomever */
    double busy_ns; /* in elements, whoever computed them */
    size_t away;    /* elements that others computed */
    size_t cloud;   /* elements that were computed in the cloud */
};

struct fm_engine_group {
    struct fm_engine_world *world;
    struct fm_engine_cloud *cloud;   /* NULL: it takes no part in this map */
    struct fm_engine_course *course; /* NULL: elements are computed in their own order */
    const struct fastmap_map *map;
    struct fastmap_session *session;
    struct fm_process_map *process; /* where elements run in worker processes, else NULL */
    struct fm_sched_ranks sched;
    struct fm_engine_terms terms;
    struct fm_engine_opening opening;
    size_t opening_bytes;
    int block_fd; /* shared memory with the shared block, made for ranks that serve; or -1 */
    int tag;
    struct fm_engine_job own;
    struct fm_engine_job **jobs; /* by slot */
    int *counts;                 /* for the exchange of shares, else NULL */
    struct fm_engine_tally *tallies;
    int job_slots;
    struct fm_engine_job *queue;
    struct fm_engine_job *current;    /* its frame is open */
    char differs[160];                /* where the ranks disagree */
    char why[FM_BASE_SENTENCE_BYTES]; /* this rank's own sentence, where it has ended the map */
    uint64_t begun_ticks;
    struct fm_engine_gauge gauge;
    struct fm_sched_spread
        heard; /* of the calling thread's batches; only that looks, and gives it on to: */
    struct fm_sched_spread spread; /* the same, for who has the mutex */
    _Atomic uint64_t looked_ticks; /* when anybody looked whether there was something to say, ... */
    _Atomic uint64_t polled_ticks; /* ... and asked the tier for messages */
    _Atomic double due_ns;         /* from then on, until a lease is */
    _Atomic double pace_ns; /* an element's cost, for the porter, which looks without the mutex */
    _Atomic bool waiting;   /* the calling thread has nothing to compute */
    bool ported;            /* the porter looks after it */
    int workers;            /* most threads that computed */
    size_t stolen;
    int64_t spent; /* in the cloud, by what other ranks say */
    struct fm_engine_charges charges;
};

/* Where messages ring, they are looked for without a ring so often. */
#define FM_ENGINE_SILENT_NS 2000000.0

/* ---- jobs.c ---- */

/* A job for what another rank gave, with its inputs. NULL: no memory. */
struct fm_engine_job *fm_engine_job_make(struct fm_engine_group *group, int slot,
                                         const struct fm_engine_header *header, const char *inputs);

/* Fills what the engine wants to know of a map. */
void fm_engine_job_start(struct fm_engine_group *group, struct fm_engine_job *job, double cost_ns);

/* Puts it into its slot, and into the queue if it has elements. False: no memory. */
bool fm_engine_job_keep(struct fm_engine_group *group, struct fm_engine_job *job);

/* Tells the ledger that elements of the job are in place; a job that is complete is over. */
void fm_engine_job_deliver(struct fm_engine_group *group, struct fm_engine_job *job, size_t count);

/* Drops a job that is over, unless its thread is inside. */
void fm_engine_job_release(const struct fm_engine_group *group, struct fm_engine_job *job);
void fm_engine_job_drop(struct fm_engine_job *job);

/* Inputs of a run of elements of the job, in a row: where they lie, or a copy that the caller frees (*copy);
   NULL: they have none, or there is no memory for the copy. */
const char *fm_engine_job_inputs(const struct fm_engine_group *group,
                                 const struct fm_engine_job *job, const struct fm_sched_run *run,
                                 char **copy);

struct fm_engine_tally fm_engine_job_tally(const struct fm_engine_job *job);
void fm_engine_job_add(struct fm_engine_job *job, const struct fm_engine_tally *tally);

/* The scheduler's ports; context: the group. */
size_t fm_engine_jobs_unbegun(void *context);
size_t fm_engine_jobs_take(void *context, size_t want, struct fm_sched_run *run);

/* What is left of the elements that this rank's threads are in, for each thread, in elements of mean cost. */
double fm_engine_jobs_begun(const struct fm_engine_group *group);
bool fm_engine_jobs_again(void *context, int slot, const struct fm_sched_run *run);
void fm_engine_jobs_accept(void *context, int slot, const struct fm_sched_run *run);
void fm_engine_jobs_cancel(void *context, int slot);

/* Puts outputs and failures of a run into its job. */
void fm_engine_job_accept(struct fm_engine_group *group, const struct fm_sched_run *run,
                          const struct fm_engine_tally *tally, const char *outputs);

/* ---- talk.c ---- */

extern const struct fm_sched_ports fm_engine_talk_ports;

/* A message with its payload, in memory of its own. Without memory for it the process ends: others would wait
   for ever. */
char *fm_engine_talk_pack(const struct fm_engine_header *header, const void *payload, size_t bytes);

/* Sends a message with its payload. */
void fm_engine_talk_post(struct fm_engine_world *world, int tag, int to,
                         const struct fm_engine_header *header, const void *payload, size_t bytes);

/* A first word to everybody near: I am here, and these are my terms. is_soon: there will be another word in
   no time. */
void fm_engine_talk_hello(struct fm_engine_group *group, bool is_soon);

/* Takes in a message, and frees its bytes. */
void fm_engine_talk_receive(void *context, int from, char *bytes, size_t size);

/* Gives, asks and reports, after something has changed. */
void fm_engine_talk_decide(struct fm_engine_group *group);

/* Brings the gauge up to date. */
void fm_engine_talk_gauge(struct fm_engine_group *group);

/* Receives, decides, sends. True: there was something. Without the mutex. */
bool fm_engine_talk_poll(struct fm_engine_group *group);

/* The same as far as there is a reason: messages, or somebody to whom time could bring something. */
void fm_engine_talk_look(struct fm_engine_group *group);

/* The same without the mutex if it is time to, between batches of elements (context: the group). */
void fm_engine_talk_between(void *context);

/* The pause between looks at messages while there is something to compute, and whether nobody has looked
   for so long. Without the mutex. */
double fm_engine_talk_pause_ns(const struct fm_engine_group *group);
bool fm_engine_talk_is_due(const struct fm_engine_group *group, double pause_ns);

/* Waiting, without the mutex: for a message with that tag, by a rank that has waited idle_ns, at most for
   most_ns; for what does not ring, by the same; for so long. */
void fm_engine_wait_message(const struct fm_engine_world *world, int tag, double idle_ns,
                            double most_ns);
void fm_engine_wait_idle(const struct fm_engine_world *world, double idle_ns);
void fm_engine_wait_ns(uint64_t ns);

/* ---- porter.c ---- */

/* Gives the porter a map to look after, or none (NULL). Without the mutex. Where it cannot be made, the
   caller talks alone. */
void fm_engine_porter_call(struct fm_engine_group *group);

/* ---- shares.c ---- */

/* What this rank is the owner of. */
void fm_engine_share_take(struct fm_engine_group *group);

/* Gets the memory that replication needs, if the map is replicated. False: no memory. */
bool fm_engine_share_prepare(struct fm_engine_group *group);

/* All outputs and failures to all ranks. Collective; without the mutex. */
void fm_engine_share_replicate(struct fm_engine_group *group);

#endif
