/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A map over ranks, seen from one of them. The scheduler (sched/ranks.h) decides what is asked and given;
 * the local tier computes; the tier of ranks carries messages; here they meet.
 *
 * A *job* is a run of elements with its inputs, its outputs and its failures: the caller's own map, or what
 * another rank gave. Jobs wait in a queue until the calling thread computes them, one after the other, each
 * with the help of this rank's other threads. Whatever nobody has begun can be given away meanwhile: first
 * from the end of the queue, then out of the job that is being computed.
 *
 * Who talks. The calling thread polls between batches of elements and while it has nothing to do. Where MPI
 * allows it, a second thread (the porter) polls while the first is inside a long element; it sleeps
 * otherwise. Both do so under the world's mutex, which protects everything in struct group but `jobs` that
 * are being computed.
 *
 * Results of a job return as a whole to whoever gave it. The owner's output array is written only by its
 * own process.
 */
#include "engine/ranks.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/thread.h"
#include "engine/history.h"
#include "engine/map.h"
#include "engine/progress.h"
#include "engine/terms.h"
#include "tier/local/local.h"

#define RUN_BYTES ((size_t)32 << 20) /* of one message, about: large enough for full bandwidth */
#define RUN_BYTES_MOST ((size_t)1 << 30)
#define LATENCY_NS 30000.0 /* from an ask to the first element, between busy processes */
#define BYTE_NS 0.4        /* packed, moved and unpacked */
#define TALK_NS 100000.0   /* between looks at messages, at least */
#define CROWDED_TALK_NS 1000000.0
#define EAGER_NS 100000.0    /* a waiting rank looks all the time for so long ... */
#define NAP_NS 20000u        /* ... and then sleeps for at least, and ... */
#define NAP_MOST_NS 1000000u /* ... at most so long */
#define AWAY_SECONDS 10.0    /* then ranks that have not come are named */

/* Before each message. All ranks run the same program, so it is sent as it lies in memory. */
struct header {
    struct fm_sched_message message;
    struct fm_engine_terms terms;
    uint64_t in_place; /* GIVE: the owner's outputs lie where its inputs are */
    /* RESULT: */
    uint64_t failed;
    uint64_t skipped;
    uint64_t listed;
    double busy_ns;
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES];
};

struct job {
    struct fm_engine_map run;
    struct fastmap_map work; /* what the local tier computes: the elements that are still here */
    struct job *next;        /* in the queue */
    char *memory;            /* inputs and outputs, where they are not the caller's */
    int slot;                /* in the scheduler's ledger */
    size_t first;            /* index of its first element in the owner's map */
    bool over;               /* delivered: to be dropped by the thread that is inside, if any */
    bool in_place;           /* an element's output replaces its input */
    size_t skipped;          /* not computed, by whomever */
    double busy_ns;          /* in elements, whoever computed them */
    size_t away;             /* elements that others computed */
};

struct share;

struct group {
    struct fm_engine_world *world;
    const struct fastmap_map *map;
    struct fastmap_session *session;
    struct fm_sched_ranks sched;
    struct fm_engine_terms terms;
    int tag;
    struct job own;
    struct job **jobs; /* by slot */
    int *counts;       /* for the exchange of shares, else NULL */
    struct share *shares;
    int job_slots;
    struct job *queue;
    struct job *current; /* its frame is open */
    bool halted;         /* what was here to compute has been told to stop */
    char differs[160];   /* where the ranks disagree */
    _Atomic uint64_t polled_ticks;
    int workers; /* most threads that computed */
    size_t stolen;
};

/* ---- Jobs ---- */

static bool keep_job(struct group *group, struct job *job)
{
    if (job->slot >= group->job_slots) {
        const int slots = job->slot + 16;
        struct job **jobs = realloc(group->jobs, (size_t)slots * sizeof(struct job *));
        if (jobs == NULL)
            return false;
        while (group->job_slots < slots)
            jobs[group->job_slots++] = NULL;
        group->jobs = jobs;
    }
    group->jobs[job->slot] = job;
    struct job **end = &group->queue;
    while (*end != NULL)
        end = &(*end)->next;
    if (job->work.n > 0)
        *end = job;
    return true;
}

static void start_run(struct group *group, struct job *job, double cost_ns)
{
    job->run = (struct fm_engine_map){
        .session = group->session,
        .map = &job->work,
        .rank = group->world->is.rank,
        .cost_ns = cost_ns,
        .predicted_ns = cost_ns,
    };
}

/* A job for what another rank gave, with its inputs. NULL: no memory. */
static struct job *make_job(struct group *group, int slot, const struct header *header,
                            const char *inputs)
{
    const struct fastmap_map *map = group->map;
    const struct fm_sched_message *given = &header->message;
    const size_t in_bytes = (size_t)given->count * map->in_size;
    const size_t out_bytes = (size_t)given->count * map->out_size;
    const bool in_place = header->in_place != 0;
    struct job *job = calloc(1, sizeof *job);
    const size_t bytes = in_place ? in_bytes : in_bytes + out_bytes;
    if (job == NULL || (job->memory = malloc(bytes + 2 * sizeof(max_align_t))) == NULL) {
        free(job);
        return NULL;
    }
    const size_t gap =
        (in_bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    char *out = in_place ? job->memory : job->memory + gap;
    if (in_bytes > 0)
        memcpy(job->memory, inputs, in_bytes);
    if (!in_place && out_bytes > 0)
        memset(out, 0, out_bytes);
    job->work = *map;
    job->work.n = (size_t)given->count;
    job->work.in = map->in_size > 0 ? job->memory : NULL;
    job->work.out = map->out_size > 0 ? out : NULL;
    job->work.element_seconds = 0;
    job->slot = slot;
    job->first = (size_t)given->first;
    job->in_place = in_place;
    start_run(group, job, given->cost_ns);
    return job;
}

static void drop_job(struct job *job)
{
    free(job->memory);
    free(job);
}

/* Tells the ledger that elements of the job are in place. */
static void deliver(struct group *group, struct job *job, size_t count)
{
    const int slot = job->slot;
    if (count == 0 || !fm_sched_ranks_delivered(&group->sched, slot, count) || job == &group->own)
        return;
    group->jobs[slot] = NULL;
    job->over = true;
}

/* Drops a job that is over, unless its thread is inside. */
static void release(const struct group *group, struct job *job)
{
    if (job->over && job != group->current)
        drop_job(job);
}

/* ---- The scheduler's ports ---- */

static size_t unbegun(void *context)
{
    const struct group *group = context;
    size_t sum = 0;
    for (const struct job *job = group->queue; job != NULL; job = job->next)
        sum += job->work.n;
    if (group->current != NULL)
        sum += fm_local_unbegun(group->current->run.frame);
    return sum;
}

static size_t take_queued(struct group *group, size_t want, struct fm_sched_run *run)
{
    struct job **last = &group->queue;
    while ((*last)->next != NULL)
        last = &(*last)->next;
    struct job *job = *last;
    const size_t taken = want < job->work.n ? want : job->work.n;
    job->work.n -= taken;
    *run =
        (struct fm_sched_run){.job = job->slot, .first = job->first + job->work.n, .count = taken};
    if (job->work.n == 0)
        *last = NULL;
    return taken;
}

static size_t take(void *context, size_t want, struct fm_sched_run *run)
{
    struct group *group = context;
    if (group->queue != NULL)
        return take_queued(group, want, run);
    struct job *job = group->current;
    size_t first = 0;
    if (job == NULL)
        return 0;
    const size_t taken = fm_local_take(job->run.frame, want, &first);
    job->run.taken += taken;
    *run = (struct fm_sched_run){.job = job->slot, .first = job->first + first, .count = taken};
    return taken;
}

/* The bytes that go with a message; all elements of a run lie in a row. */
static const char *payload_of(const struct group *group, const struct fm_sched_message *message,
                              const struct fm_sched_run *run, size_t *bytes)
{
    *bytes = 0;
    if (run == NULL)
        return NULL;
    const struct job *job = group->jobs[run->job];
    const bool give = message->kind == FM_SCHED_GIVE;
    const size_t size = give ? group->map->in_size : group->map->out_size;
    const char *base = give ? job->work.in : job->work.out;
    *bytes = run->count * size;
    return *bytes > 0 ? base + (run->first - job->first) * size : NULL;
}

static void add_outcome(struct header *header, const struct job *job)
{
    header->failed = job->run.failed;
    header->skipped = job->skipped;
    header->listed = job->run.listed;
    header->busy_ns = job->busy_ns;
    memcpy(header->failures, job->run.failures, sizeof header->failures);
}

static void send(void *context, int rank, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    struct group *group = context;
    struct header header = {.message = *message, .terms = group->terms};
    size_t payload_bytes;
    const char *payload = payload_of(group, message, run, &payload_bytes);
    if (message->kind == FM_SCHED_GIVE)
        header.in_place = group->jobs[run->job]->in_place;
    if (message->kind == FM_SCHED_RESULT)
        add_outcome(&header, group->jobs[run->job]);
    char *bytes = malloc(sizeof header + payload_bytes);
    if (bytes == NULL) {
        fm_base_log(FASTMAP_VERBOSITY_QUIET, FASTMAP_VERBOSITY_QUIET,
                    "no memory for a message to rank %d: the job cannot go on", rank);
        abort(); /* the other ranks would wait for ever */
    }
    memcpy(bytes, &header, sizeof header);
    if (payload_bytes > 0)
        memcpy(bytes + sizeof header, payload, payload_bytes);
    (void)group->world->tier->send(rank, group->tag, bytes, sizeof header + payload_bytes);
}

static const struct fm_sched_ports ports = {.send = send, .unbegun = unbegun, .take = take};

/* ---- Messages ---- */

static void note_difference(struct group *group, int from, const struct header *header)
{
    const char *what = fm_engine_terms_differ(&group->terms, &header->terms);
    if (what == NULL || header->message.kind == FM_SCHED_END)
        return;
    (void)snprintf(group->differs, sizeof group->differs, "rank %d and rank %d differ in %s",
                   group->world->is.rank, from, what);
    fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_RANKS);
}

static void receive_inputs(struct group *group, int slot, const struct header *header,
                           const char *payload)
{
    struct job *job = make_job(group, slot, header, payload);
    if (job != NULL && keep_job(group, job))
        return;
    if (job != NULL)
        free(job->memory);
    free(job);
    fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_MEMORY);
}

static void receive_outputs(struct group *group, const struct fm_sched_run *run,
                            const struct header *header, const char *payload)
{
    struct job *job = group->jobs[run->job];
    const size_t size = group->map->out_size;
    if (size > 0)
        memcpy((char *)job->work.out + (run->first - job->first) * size, payload,
               run->count * size);
    job->skipped += (size_t)header->skipped;
    job->busy_ns += header->busy_ns;
    job->away += run->count;
    if (header->failed > 0)
        fm_engine_failures_merge(&job->run, (size_t)header->failed, header->failures,
                                 (size_t)header->listed);
    deliver(group, job, run->count);
    release(group, job);
}

static size_t payload_expected(const struct group *group, const struct fm_sched_message *message)
{
    switch (message->kind) {
    case FM_SCHED_GIVE: return (size_t)message->count * group->map->in_size;
    case FM_SCHED_RESULT: return (size_t)message->count * group->map->out_size;
    default: return 0;
    }
}

static void receive(void *context, int from, char *bytes, size_t size)
{
    struct group *group = context;
    struct header header;
    struct fm_sched_run run;
    int slot;
    if (size >= sizeof header) {
        memcpy(&header, bytes, sizeof header);
        note_difference(group, from, &header);
        if (group->sched.code == 0 &&
            size - sizeof header != payload_expected(group, &header.message))
            fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_RANKS);
        fm_sched_ranks_receive(&group->sched, from, &header.message, &slot, &run);
        if (slot >= 0 && group->sched.code == 0)
            receive_inputs(group, slot, &header, bytes + sizeof header);
        if (run.count > 0)
            receive_outputs(group, &run, &header, bytes + sizeof header);
    }
    free(bytes);
}

/* ---- Talking ---- */

/* Begins no more elements here: what waits is over, what is being computed stops at its next element. */
static void halt(struct group *group)
{
    group->halted = true;
    while (group->queue != NULL) {
        struct job *job = group->queue;
        group->queue = job->next;
        job->skipped += job->work.n;
        if (group->sched.code == 0)
            deliver(group, job, job->work.n);
        release(group, job);
    }
    if (group->current != NULL)
        fm_local_stop(group->current->run.frame);
}

/* Pauses between looks at messages while there is something to compute. A look costs a microsecond, but where
   ranks share processors MPI gives the processor to another in it. */
static double talk_ns(const struct group *group)
{
    return group->world->crowded ? CROWDED_TALK_NS : TALK_NS;
}

/* How long a rank that computes may take to look at its messages: its pause, and as long as an element of
   its lasts or until its porter looks. */
static double silence_ns(const struct group *group)
{
    const double cost_ns = group->sched.cost_ns;
    const double pause_ns = talk_ns(group);
    const double porter_ns = group->world->is.any_thread ? 2 * pause_ns : cost_ns;
    const double element_ns = cost_ns < porter_ns ? cost_ns : porter_ns;
    return element_ns > pause_ns ? element_ns : pause_ns;
}

/* Under the world's mutex. True: there was something. */
static bool talk(struct group *group)
{
    struct fm_sched_ranks *sched = &group->sched;
    const bool any = group->world->tier->poll(group->tag, receive, group);
    if (group->current != NULL) {
        if (group->current->run.cost_ns > 0)
            sched->cost_ns = group->current->run.cost_ns;
        if (atomic_load_explicit(&group->current->run.stopped, memory_order_relaxed))
            fm_sched_ranks_stop(sched);
    }
    sched->busy = group->current != NULL;
    sched->link.latency_ns = LATENCY_NS + silence_ns(group);
    fm_sched_ranks_turn(sched);
    if ((sched->stopped || sched->code != 0) && !group->halted)
        halt(group);
    atomic_store_explicit(&group->polled_ticks, fm_base_ticks(), memory_order_relaxed);
    return any;
}

static bool poll(struct group *group)
{
    pthread_mutex_lock(&group->world->mutex);
    const bool any = talk(group);
    pthread_mutex_unlock(&group->world->mutex);
    return any;
}

static void poll_between(void *context)
{
    struct group *group = context;
    if (fm_base_ticks() - atomic_load_explicit(&group->polled_ticks, memory_order_relaxed) >
        fm_base_ns_to_ticks(talk_ns(group)))
        (void)poll(group);
}

/* ---- The porter ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t called;
    bool made;
    struct group *group; /* that it looks after; cannot end while `mutex` is held */
} porter = {.mutex = PTHREAD_MUTEX_INITIALIZER, .called = PTHREAD_COND_INITIALIZER};

static void sleep_ns(uint64_t ns)
{
    const struct timespec time = {.tv_sec = 0, .tv_nsec = (long)ns};
    (void)nanosleep(&time, NULL);
}

static void *porter_main(void *argument)
{
    double pause_ns = TALK_NS;
    pthread_mutex_lock(&porter.mutex);
    for (;;) {
        while (porter.group == NULL)
            pthread_cond_wait(&porter.called, &porter.mutex);
        pause_ns = 2 * talk_ns(porter.group);
        pthread_mutex_unlock(&porter.mutex);
        sleep_ns((uint64_t)pause_ns);
        pthread_mutex_lock(&porter.mutex);
        struct group *group = porter.group;
        if (group != NULL && pthread_mutex_trylock(&group->world->mutex) == 0) {
            if (fm_base_ticks() - group->polled_ticks > fm_base_ns_to_ticks(pause_ns))
                (void)talk(group);
            pthread_mutex_unlock(&group->world->mutex);
        }
    }
    return argument;
}

/* Gives the porter a map to look after, or none. Where it cannot be made, the caller polls alone. */
static void call_porter(struct group *group)
{
    pthread_mutex_lock(&porter.mutex);
    if (!porter.made && group != NULL) {
        pthread_t thread;
        porter.made = fm_base_thread_start(&thread, porter_main, NULL, "fastmap-porter");
        if (porter.made)
            (void)pthread_detach(thread);
    }
    porter.group = group;
    if (group != NULL)
        pthread_cond_signal(&porter.called);
    pthread_mutex_unlock(&porter.mutex);
}

/* ---- Computing ---- */

static struct job *next_job(struct group *group)
{
    pthread_mutex_lock(&group->world->mutex);
    struct job *job = group->queue;
    if (job != NULL) {
        group->queue = job->next;
        job->next = NULL;
        if (job->run.cost_ns <= 0)
            job->run.cost_ns = group->sched.cost_ns;
        /* Opened under the mutex: nothing can be taken in between. */
        job->run.frame = fm_local_open(&job->work, job->first, fm_engine_width(group->session),
                                       &job->run, job->run.cost_ns);
        if (job->run.frame != NULL)
            group->current = job;
        else
            fm_sched_ranks_fail(&group->sched, FASTMAP_ERR_MEMORY);
        job = group->current;
    }
    pthread_mutex_unlock(&group->world->mutex);
    return job;
}

static void compute(struct group *group, struct job *job)
{
    struct fastmap_report report;
    struct fm_engine_map *run = &job->run;
    const size_t here = job->work.n;
    run->between = poll_between;
    run->context = group;
    fm_engine_compute(run, here < 2 ? 1 : fm_engine_width(group->session), &report);
    pthread_mutex_lock(&group->world->mutex);
    const size_t mine = here - run->taken;
    job->skipped += mine - report.elements;
    job->busy_ns += report.loop_seconds * 1e9;
    group->workers = report.workers > group->workers ? report.workers : group->workers;
    group->stolen += report.spans_stolen;
    if (atomic_load_explicit(&run->stopped, memory_order_relaxed))
        fm_sched_ranks_stop(&group->sched);
    if (group->sched.code == 0)
        deliver(group, job, mine);
    group->current = NULL;
    group->sched.busy = false;
    release(group, job);
    fm_sched_ranks_turn(&group->sched);
    pthread_mutex_unlock(&group->world->mutex);
}

/* ---- Waiting ---- */

/* Eager at first, since work or the end may be a message away; then in sleeps of a quarter of the time that
   has been waited already, so that an idle rank leaves its core to others and is late by little. */
static void wait_a_little(double idle_ns, bool crowded)
{
    const double nap_ns = idle_ns / 4;
    if (!crowded && idle_ns < EAGER_NS)
        sched_yield();
    else
        sleep_ns(nap_ns < NAP_NS ? NAP_NS : nap_ns < NAP_MOST_NS ? (uint64_t)nap_ns : NAP_MOST_NS);
}

/* Neighbours below that have not come, as far as they can be told apart from silent ones. */
static void name_missing(const struct group *group)
{
    char list[128];
    size_t used = 0;
    list[0] = '\0';
    for (int i = 0; i < group->sched.edge_count && used + 16 < sizeof list; i++)
        if (!group->sched.edges[i].heard)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%d", used > 0 ? ", " : "",
                                     group->sched.edges[i].rank);
    if (used > 0)
        fm_base_log(group->session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                    "rank %d has waited %.0f s for rank %s to come to the map: under MPI a map is "
                    "collective, every rank makes the call (with n = 0 where it owns nothing); "
                    "set ranks = OFF for maps of one rank",
                    group->world->is.rank, AWAY_SECONDS, list);
}

static void take_part(struct group *group)
{
    uint64_t idle_since = fm_base_ticks();
    bool named = false;
    for (;;) {
        struct job *job = next_job(group);
        if (job != NULL) {
            compute(group, job);
            idle_since = fm_base_ticks();
            continue;
        }
        const bool any = poll(group);
        if (fm_sched_ranks_is_through(&group->sched))
            return;
        if (any)
            idle_since = fm_base_ticks();
        const double idle_ns = fm_base_ticks_to_ns(fm_base_ticks() - idle_since);
        if (!any)
            wait_a_little(idle_ns, group->world->crowded);
        if (!named && idle_ns > AWAY_SECONDS * 1e9) {
            name_missing(group);
            named = true;
        }
    }
}

/* ---- Shares: where all ranks pass the same elements and get all results ---- */

/* First element of a rank's share where all ranks pass the same n. */
static size_t share_begin(const struct group *group, int rank)
{
    const size_t size = (size_t)group->world->is.size;
    const size_t r = (size_t)rank;
    return group->map->n / size * r + group->map->n % size * r / size;
}

/* What this rank is the owner of. */
static void take_share(struct group *group)
{
    const struct fastmap_map *map = group->map;
    struct job *own = &group->own;
    own->work = *map;
    if (map->spread != FASTMAP_SPREAD_REPLICATED || map->n == 0)
        return;
    own->first = share_begin(group, group->world->is.rank);
    own->work.n = share_begin(group, group->world->is.rank + 1) - own->first;
    if (map->in != NULL)
        own->work.in = (const char *)map->in + own->first * map->in_size;
    if (map->out != NULL)
        own->work.out = (char *)map->out + own->first * map->out_size;
}

/* What a rank tells of its share. */
struct share {
    uint64_t failed;
    uint64_t skipped;
    uint64_t listed;
    double busy_ns;
    struct fastmap_failure failures[FASTMAP_REPORT_FAILURES];
};

/* Waits without holding up the others. Only memory for one small note could fail it. */
static void gather(struct group *group, void *elements, size_t element_bytes, const int *count,
                   const int *first)
{
    struct fm_engine_world *world = group->world;
    const uint64_t begun = fm_base_ticks();
    pthread_mutex_lock(&world->mutex);
    bool over = !world->tier->gather(elements, element_bytes, count, first);
    while (!over && !(over = world->tier->gather_is_done())) {
        pthread_mutex_unlock(&world->mutex);
        wait_a_little(fm_base_ticks_to_ns(fm_base_ticks() - begun), world->crowded);
        pthread_mutex_lock(&world->mutex);
    }
    pthread_mutex_unlock(&world->mutex);
}

static struct share tell_share(const struct job *own)
{
    struct share share = {
        .failed = own->run.failed,
        .skipped = own->skipped,
        .listed = own->run.listed,
        .busy_ns = own->busy_ns,
    };
    memcpy(share.failures, own->run.failures, sizeof share.failures);
    return share;
}

static void add_share(struct job *own, const struct share *share)
{
    own->skipped += (size_t)share->skipped;
    own->busy_ns += share->busy_ns;
    if (share->failed > 0)
        fm_engine_failures_merge(&own->run, (size_t)share->failed, share->failures,
                                 (size_t)share->listed);
}

/* All outputs and failures to all ranks. Its memory was had when the map was entered. */
static void replicate(struct group *group)
{
    const struct fastmap_map *map = group->map;
    const int size = group->world->is.size;
    int *count = group->counts;
    int *first = group->counts + size;
    for (int rank = 0; rank < size; rank++) {
        first[rank] = (int)share_begin(group, rank);
        count[rank] = (int)(share_begin(group, rank + 1) - share_begin(group, rank));
    }
    if (map->out_size > 0)
        gather(group, map->out, map->out_size, count, first);
    for (int rank = 0; rank < size; rank++) {
        first[rank] = rank;
        count[rank] = 1;
    }
    group->shares[group->world->is.rank] = tell_share(&group->own);
    gather(group, group->shares, sizeof *group->shares, count, first);
    for (int rank = 0; rank < size; rank++)
        if (rank != group->world->is.rank)
            add_share(&group->own, &group->shares[rank]);
}

static bool prepare_shares(struct group *group)
{
    if (group->map->spread != FASTMAP_SPREAD_REPLICATED)
        return true;
    const size_t size = (size_t)group->world->is.size;
    group->counts = calloc(2 * size, sizeof *group->counts);
    group->shares = calloc(size, sizeof *group->shares);
    return group->counts != NULL && group->shares != NULL;
}

/* ---- The call ---- */

static void describe_link(struct group *group)
{
    const size_t bytes = group->map->in_size + group->map->out_size;
    struct fm_sched_link *link = &group->sched.link;
    link->latency_ns = LATENCY_NS;
    link->element_ns = (double)bytes * BYTE_NS;
    link->run_most = bytes == 0               ? SIZE_MAX
                     : bytes > RUN_BYTES_MOST ? 0
                     : bytes > RUN_BYTES      ? 1
                                              : RUN_BYTES / bytes;
}

static bool enter(struct group *group, double cost_ns)
{
    struct fm_engine_world *world = group->world;
    fm_engine_terms(group->map, &group->terms);
    take_share(group);
    group->tag = 1 + (int)(world->maps++ % (FM_TIER_RANKS_TAGS - 1));
    if (!fm_sched_ranks_init(&group->sched, &ports, group, world->edges, world->edge_count,
                             fm_engine_width(group->session), group->own.work.n))
        return false;
    group->sched.jobs[0].first = group->own.first;
    describe_link(group);
    if (!prepare_shares(group))
        return false;
    group->sched.cost_ns = cost_ns;
    group->own.in_place =
        group->map->n > 0 && group->map->in != NULL && group->map->in == group->map->out;
    start_run(group, &group->own, cost_ns);
    if (!keep_job(group, &group->own))
        return false;
    /* A first word to everybody near: I am here, and these are my terms. */
    const struct fm_sched_message hello = {.kind = FM_SCHED_ASK};
    for (int i = 0; i < world->edge_count; i++)
        send(group, world->edges[i].rank, &hello, NULL);
    return true;
}

static void leave(struct group *group)
{
    const struct fm_tier_ranks *tier = group->world->tier;
    while (!tier->is_flushed())
        sched_yield();
    for (int i = 0; i < group->job_slots; i++)
        if (group->jobs[i] != NULL && group->jobs[i] != &group->own && group->sched.code != 0) {
            drop_job(group->jobs[i]);
        }
    free(group->counts);
    free(group->shares);
    free(group->jobs);
    fm_sched_ranks_free(&group->sched);
}

static int outcome(const struct group *group)
{
    const int code = group->sched.code;
    if (code == 0)
        return fm_engine_outcome(&group->own.run);
    if (code == FASTMAP_ERR_RANKS)
        return fm_base_fail(code,
                            "the ranks do not call the same map: %s; call fastmap with the same "
                            "function, sizes and shared block on all ranks, or set ranks = OFF",
                            group->differs[0] != '\0' ? group->differs
                                                      : "other ranks have found a difference");
    return fm_base_fail(code, "a rank of the job has no memory for elements of other ranks: free "
                              "some, or run fewer ranks on a node");
}

static void fill(const struct group *group, uint64_t begun, struct fastmap_report *report)
{
    const struct job *own = &group->own;
    report->elements = group->map->n - own->skipped;
    report->failed = own->run.failed;
    report->failures_listed = own->run.listed;
    memcpy(report->failures, own->run.failures, sizeof report->failures);
    report->seconds = fm_base_ticks_to_ns(fm_base_ticks() - begun) * 1e-9;
    report->loop_seconds = own->busy_ns * 1e-9;
    report->workers = group->workers;
    report->spans_stolen = group->stolen;
    report->away = own->away;
    report->ranks = group->world->is.size;
}

static void set_busy(struct fm_engine_world *world, bool busy)
{
    pthread_mutex_lock(&world->mutex);
    world->busy = busy;
    pthread_mutex_unlock(&world->mutex);
}

int fm_engine_ranks_run(struct fm_engine_world *world, struct fastmap_session *session,
                        const struct fastmap_map *map, struct fastmap_report *report)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct fastmap_report own_report = FASTMAP_REPORT();
    const double cost_ns = map->element_seconds > 0
                               ? map->element_seconds * 1e9
                               : fm_engine_history_cost_ns(fm_engine_identity(map));
    struct group group = {.world = world, .map = map, .session = session};
    if (map->spread == FASTMAP_SPREAD_REPLICATED && (map->n > INT_MAX || map->out_size > INT_MAX))
        return fm_base_fail(
            FASTMAP_ERR_OVERFLOW,
            "a replicated map has %zu elements of %zu bytes: at most %d of each; use "
            "spread OWNED, or several maps",
            map->n, map->out_size, INT_MAX);
    pthread_mutex_lock(&one_at_a_time);
    set_busy(world, true);
    const uint64_t begun = fm_base_ticks();
    if (!enter(&group, cost_ns)) {
        fm_base_log(FASTMAP_VERBOSITY_QUIET, FASTMAP_VERBOSITY_QUIET,
                    "no memory to begin a map over ranks: the job cannot go on");
        abort(); /* the other ranks would wait for ever */
    }
    const bool calls_porter =
        world->is.any_thread && (cost_ns <= 0 || (double)map->n * cost_ns > TALK_NS);
    if (calls_porter)
        call_porter(&group);
    take_part(&group);
    if (calls_porter)
        call_porter(NULL);
    if (group.shares != NULL && map->n > 0 && group.sched.code == 0)
        replicate(&group);
    if (report == NULL)
        report = &own_report;
    if (group.sched.code == 0) {
        fill(&group, begun, report);
        if (map->n > 0)
            fm_engine_closing_say(session, map->label, report);
    }
    const int error = outcome(&group);
    leave(&group);
    set_busy(world, false);
    pthread_mutex_unlock(&one_at_a_time);
    return error;
}
