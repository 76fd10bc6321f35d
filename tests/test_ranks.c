/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler of ranks as properties: many ranks in one process, joined by queues that keep the order of
 * messages between two ranks and nothing else. A drawn schedule decides which queue moves and which rank
 * computes next. After each event every ledger must be valid; at the end each element has been computed
 * once and delivered to its owner, and nothing is in flight.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sched/ranks.h"
#include "sched/tree.h"
#include "test.h"

#define RANKS_MOST 40
#define EVENTS_MOST 1000000
#define EVENT_NS 1e5 /* a tenth of an element */

static uint64_t state;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* ---- A job of ranks ---- */

struct letter {
    struct letter *next;
    struct fm_sched_message message;
    int owner; /* of the elements that it is about */
};

struct queue {
    struct letter *first;
    struct letter **end;
};

/* What waits at a rank: elements [first, first + count) of a job. */
struct span {
    struct span *next;
    int job;
    int owner;
    size_t first;
    size_t count;
};

struct rank {
    struct fm_sched_ranks sched;
    struct fm_sched_edge edges[2 * FM_SCHED_FANOUT + 1];
    struct span *spans;
    int owner_of[4096]; /* by job: whose elements they are */
    int number;
};

static struct rank ranks[RANKS_MOST];
static struct queue queues[RANKS_MOST][RANKS_MOST];
static int size;
static size_t in_flight;
static unsigned char *computed[RANKS_MOST]; /* by owner: how often each element was */
static size_t owned[RANKS_MOST];
static bool repeats;      /* results are sent twice */
static bool time_goes_on; /* so that leases become overdue */
static int frozen = -1;   /* a rank that neither computes nor answers */

static void post(int from, int to, const struct fm_sched_message *message, int owner)
{
    struct queue *queue = &queues[from][to];
    struct letter *letter = malloc(sizeof *letter);
    *letter = (struct letter){.message = *message, .owner = owner};
    if (queue->first == NULL)
        queue->end = &queue->first;
    *queue->end = letter;
    queue->end = &letter->next;
    in_flight++;
}

static void send(void *context, int to, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    const struct rank *rank = context;
    const int owner = run != NULL ? rank->owner_of[run->job] : -1;
    post(rank->number, to, message, owner);
    if (repeats && message->kind == FM_SCHED_RESULT)
        post(rank->number, to, message, owner);
}

static size_t unbegun(void *context)
{
    size_t sum = 0;
    for (const struct span *s = ((struct rank *)context)->spans; s != NULL; s = s->next)
        sum += s->count;
    return sum;
}

static size_t take(void *context, size_t want, struct fm_sched_run *run)
{
    struct span *span = ((struct rank *)context)->spans;
    if (span == NULL)
        return 0;
    const size_t count = want < span->count ? want : span->count;
    span->count -= count;
    *run =
        (struct fm_sched_run){.job = span->job, .first = span->first + span->count, .count = count};
    if (span->count == 0) {
        ((struct rank *)context)->spans = span->next;
        free(span);
    }
    return count;
}

static void add_span(struct rank *rank, int job, int owner, size_t first, size_t count)
{
    struct span *span = malloc(sizeof *span);
    *span = (struct span){
        .next = rank->spans, .job = job, .owner = owner, .first = first, .count = count};
    rank->owner_of[job] = owner;
    rank->spans = span;
}

/* ---- Copies of what is out ---- */

static void cancel(void *context, int job)
{
    for (struct span **at = &((struct rank *)context)->spans; *at != NULL;) {
        struct span *span = *at;
        if (span->job != job) {
            at = &span->next;
            continue;
        }
        *at = span->next;
        free(span);
    }
}

/* Without memory now and then. */
static bool again(void *context, int job, const struct fm_sched_run *run)
{
    struct rank *rank = context;
    add_span(rank, job, rank->owner_of[run->job], run->first, run->count);
    return draw() % 8 != 0 || (cancel(context, job), false);
}

static void accept(void *context, int job, const struct fm_sched_run *run)
{
    struct rank *rank = context;
    CHECK_EQ_INT(rank->owner_of[job], rank->owner_of[run->job]);
    (void)fm_sched_ranks_delivered(&rank->sched, run->job, run->count);
}

static const struct fm_sched_ports ports = {.send = send,
                                            .unbegun = unbegun,
                                            .take = take,
                                            .again = again,
                                            .accept = accept,
                                            .cancel = cancel};

static void drop_spans(struct rank *rank)
{
    while (rank->spans != NULL) {
        struct span *span = rank->spans;
        rank->spans = span->next;
        free(span);
    }
}

static void find_edges(struct rank *rank, const int *parent)
{
    rank->sched.edge_count = 0;
    for (int other = 0; other < size; other++)
        if (other == parent[rank->number] || parent[other] == rank->number)
            rank->edges[rank->sched.edge_count++] =
                (struct fm_sched_edge){.rank = other, .is_parent = other == parent[rank->number]};
}

/* A job of up to 40 ranks on drawn nodes, with drawn numbers of elements. */
static void begin(uint64_t seed)
{
    int node[RANKS_MOST];
    int parent[RANKS_MOST];
    int scratch[3 * RANKS_MOST];
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    size = 1 + (int)(draw() % RANKS_MOST);
    const int nodes = 1 + (int)(draw() % (unsigned)size);
    for (int r = 0; r < size; r++)
        node[r] = (int)(draw() % (unsigned)nodes);
    fm_sched_tree(size, node, 1 + (int)(draw() % FM_SCHED_FANOUT), scratch, parent);
    for (int r = 0; r < size; r++) {
        struct rank *rank = &ranks[r];
        *rank = (struct rank){.number = r};
        find_edges(rank, parent);
        owned[r] = draw() % 3 == 0 ? draw() % 2000 : draw() % 3;
        computed[r] = calloc(owned[r] + 1, 1);
        CHECK_TRUE(fm_sched_ranks_init(&rank->sched, &ports, rank, rank->edges,
                                       rank->sched.edge_count, 1 + (int)(draw() % 4), owned[r]),
                   "no memory");
        rank->sched.cost_ns = 1e6;
        rank->sched.link.latency_ns = 1e3;
        rank->owner_of[0] = r;
        if (owned[r] > 0)
            add_span(rank, 0, r, 0, owned[r]);
    }
}

static void end(void)
{
    for (int r = 0; r < size; r++) {
        fm_sched_ranks_free(&ranks[r].sched);
        drop_spans(&ranks[r]);
        free(computed[r]);
    }
    CHECK_EQ_SIZE(in_flight, 0);
    repeats = false;
    time_goes_on = false;
    frozen = -1;
}

/* ---- Events ---- */

static void arrive(int from, int to)
{
    struct queue *queue = &queues[from][to];
    struct letter *letter = queue->first;
    struct rank *rank = &ranks[to];
    struct fm_sched_run run;
    int job;
    queue->first = letter->next;
    in_flight--;
    fm_sched_ranks_receive(&rank->sched, from, &letter->message, &job, &run);
    if (job >= 0)
        add_span(rank, job, letter->owner, (size_t)letter->message.first,
                 (size_t)letter->message.count);
    if (run.count > 0)
        (void)fm_sched_ranks_delivered(&rank->sched, run.job, run.count);
    free(letter);
}

/* Computes a few elements of what lies on top. */
static void compute(struct rank *rank)
{
    struct span *span = rank->spans;
    if (span == NULL)
        return;
    size_t count = 1 + draw() % 3;
    count = count < span->count ? count : span->count;
    for (size_t i = 0; i < count; i++)
        computed[span->owner][span->first + i]++;
    const int job = span->job;
    span->first += count;
    span->count -= count;
    if (span->count == 0) {
        rank->spans = span->next;
        free(span);
    }
    (void)fm_sched_ranks_delivered(&rank->sched, job, count);
}

static bool any_letter(int *from, int *to)
{
    const unsigned start = (unsigned)(draw() % (unsigned)(size * size));
    for (unsigned i = 0; i < (unsigned)(size * size); i++) {
        const unsigned at = (start + i) % (unsigned)(size * size);
        *from = (int)(at / (unsigned)size);
        *to = (int)(at % (unsigned)size);
        if (queues[*from][*to].first != NULL && *to != frozen)
            return true;
    }
    return false;
}

static bool all_through(void)
{
    for (int r = 0; r < size; r++)
        if (!fm_sched_ranks_is_through(&ranks[r].sched))
            return false;
    return true;
}

/* Runs until nothing moves. disturb is called before each event. False: it did not end. */
static bool run_job(void (*disturb)(size_t event))
{
    for (size_t event = 0; event < EVENTS_MOST; event++) {
        int from;
        int to = (int)(draw() % (unsigned)size);
        if (disturb != NULL)
            disturb(event);
        if (draw() % 2 == 0 && any_letter(&from, &to))
            arrive(from, to);
        else if (to != frozen)
            compute(&ranks[to]);
        else
            continue;
        if (ranks[to].sched.stopped || ranks[to].sched.code != 0) {
            while (ranks[to].spans != NULL && ranks[to].sched.code == 0)
                compute(&ranks[to]); /* as skipped, they count as delivered */
            drop_spans(&ranks[to]);
        }
        ranks[to].sched.now_ns = time_goes_on ? (double)event * EVENT_NS : 0;
        fm_sched_ranks_turn(&ranks[to].sched);
        if (!CHECK_TRUE(fm_sched_ranks_is_valid(&ranks[to].sched), "rank %d after event %zu", to,
                        event))
            return false;
        if (in_flight == 0 && all_through())
            return true;
    }
    return false;
}

static void check_all_computed_once(void)
{
    for (int r = 0; r < size; r++) {
        CHECK_EQ_SIZE(ranks[r].sched.own_left, 0);
        for (size_t i = 0; i < owned[r]; i++)
            if (computed[r][i] != 1)
                (void)CHECK_TRUE(false, "element %zu of rank %d was computed %d times", i, r,
                                 computed[r][i]);
    }
}

/* ---- Tests ---- */

static size_t strikes_at; /* the event before which a rank stops or fails the map */
static int strikes;

/* Strikes early and late; a late one may find the map over. */
static void draw_strike(uint64_t seed)
{
    strikes = (int)(draw() % (unsigned)size);
    strikes_at = draw() % ((uint64_t)16 << seed % 8);
}

TEST(each_element_is_computed_once_and_comes_home)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        begin(seed);
        CHECK_TRUE(run_job(NULL), "seed %d does not end with %d ranks", (int)seed, size);
        check_all_computed_once();
        end();
    }
}

TEST(a_result_that_arrives_twice_is_accepted_once)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        begin(seed);
        repeats = true;
        CHECK_TRUE(run_job(NULL), "seed %d does not end", (int)seed);
        check_all_computed_once();
        end();
    }
}

/* A rank that owns nothing freezes in the middle, and thaws when all that the others own is delivered. */
static void freeze_one(size_t event)
{
    size_t left = 0;
    for (int r = 0; r < size; r++)
        left += ranks[r].sched.own_left;
    if (event == strikes_at && owned[strikes] == 0)
        frozen = strikes;
    if (left == 0)
        frozen = -1;
}

TEST(what_a_silent_rank_holds_is_computed_by_its_giver)
{
    size_t repeated = 0;
    int freezes = 0;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        begin(seed);
        draw_strike(seed);
        time_goes_on = true;
        repeats = seed % 2 == 0;
        freezes += owned[strikes] == 0 ? 1 : 0;
        CHECK_TRUE(run_job(freeze_one), "seed %d does not end with %d ranks", (int)seed, size);
        for (int r = 0; r < size; r++) {
            CHECK_EQ_SIZE(ranks[r].sched.own_left, 0);
            repeated += ranks[r].sched.repeated;
            for (size_t i = 0; i < owned[r]; i++)
                if (computed[r][i] == 0)
                    (void)CHECK_TRUE(false, "element %zu of rank %d was never computed", i, r);
        }
        end();
    }
    CHECK_TRUE(freezes > 5 && repeated > 100, "%d ranks froze, %zu elements were repeated", freezes,
               repeated);
}

TEST(work_reaches_ranks_that_own_none)
{
    size_t given = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        begin(seed);
        (void)run_job(NULL);
        for (int r = 0; r < size; r++)
            given += ranks[r].sched.given;
        end();
    }
    CHECK_TRUE(given > 1000, "only %zu elements moved", given);
}

static void stop_sometime(size_t event)
{
    if (event == strikes_at)
        fm_sched_ranks_stop(&ranks[strikes].sched);
}

TEST(a_stop_reaches_all_and_the_map_ends)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        begin(seed);
        draw_strike(seed);
        CHECK_TRUE(run_job(stop_sometime), "seed %d does not end", (int)seed);
        for (int r = 0; r < size; r++)
            CHECK_EQ_INT(ranks[r].sched.code, 0);
        check_all_computed_once();
        end();
    }
}

static void fail_sometime(size_t event)
{
    if (event == strikes_at)
        fm_sched_ranks_fail(&ranks[strikes].sched, -9);
}

TEST(a_map_that_is_wrong_ends_everywhere_with_its_code)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        begin(seed);
        draw_strike(seed);
        /* Enough for all ranks to be at it still. */
        ranks[0].sched.own_left += 1;
        ranks[0].sched.jobs[0].count += 1;
        ranks[0].sched.jobs[0].left += 1;
        CHECK_TRUE(run_job(fail_sometime), "seed %d does not end", (int)seed);
        for (int r = 0; r < size; r++)
            CHECK_EQ_INT(ranks[r].sched.code, -9);
        end();
    }
}

TEST(a_result_of_nobodys_lease_is_dropped)
{
    struct fm_sched_run run;
    int job;
    begin(3);
    const struct fm_sched_message message = {.kind = FM_SCHED_RESULT, .lease = 77, .count = 5};
    for (int r = 0; r < size; r++)
        for (int i = 0; i < ranks[r].sched.edge_count; i++) {
            fm_sched_ranks_receive(&ranks[r].sched, ranks[r].edges[i].rank, &message, &job, &run);
            CHECK_EQ_SIZE(run.count, 0);
        }
    CHECK_TRUE(run_job(NULL), "does not end");
    check_all_computed_once();
    end();
}

TEST(the_tree_keeps_nodes_together_and_its_branches_few)
{
    static int node[300];
    static int parent[300];
    static int scratch[900];
    for (int count = 1; count <= 300; count++) {
        state = (uint64_t)count * 77 + 1;
        const int nodes = 1 + (int)(draw() % (unsigned)count);
        int leader[300];
        int children[300] = {0};
        for (int i = 0; i < count; i++)
            leader[i] = -1;
        for (int i = 0; i < count; i++) {
            node[i] = (int)(draw() % (unsigned)nodes);
            leader[node[i]] = leader[node[i]] < 0 ? i : leader[node[i]];
        }
        fm_sched_tree(count, node, FM_SCHED_FANOUT, scratch, parent);
        CHECK_EQ_INT(parent[0], -1);
        for (int i = 1; i < count; i++) {
            if (!CHECK_TRUE(parent[i] >= 0 && parent[i] < i, "parent[%d] = %d", i, parent[i]))
                return;
            children[parent[i]]++;
            if (leader[node[i]] == i)
                CHECK_EQ_INT(leader[node[parent[i]]], parent[i]);
            else
                CHECK_EQ_INT(node[parent[i]], node[i]);
        }
        for (int i = 0; i < count; i++)
            CHECK_TRUE(children[i] <= 2 * FM_SCHED_FANOUT, "%d children", children[i]);
    }
}

TEST(turns_go_to_each_nodes_first_rank_and_then_to_each_nodes_second)
{
    static const int node[] = {0, 0, 0, 1, 1, 2, 3, 3};
    static const int order[] = {0, 3, 5, 6, 1, 4, 7, 2};
    int scratch[16];
    for (int turn = 0; turn < 8; turn++)
        CHECK_EQ_INT(fm_sched_turn(8, node, turn, scratch), order[turn]);
    CHECK_EQ_INT(fm_sched_turn(8, node, 8, scratch), -1);
    CHECK_EQ_INT(fm_sched_turn(1, node, 0, scratch), 0);
    CHECK_EQ_INT(fm_sched_turn(1, node, 1, scratch), -1);
}
