/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud's side of the ledger: parcels that it was given, of which runs of elements, the pieces, wait or
 * fly. Spans are cut off the end of what waits, which can be taken back from its beginning; so can what is
 * late to come back. See cloud.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failure.h"
#include "engine/cloud.h"
#include "engine/letters.h"
#include "wire/worker.h"

#define HOP_NS 100000.0  /* from an ask to the answer: both sides are in this process */
#define AHEAD 10         /* look-aheads of the scheduler, in latencies */
#define OVERDUE 2.0      /* times what was expected, and */
#define OVERDUE_NS 2.5e8 /* so long: then a piece that flies is computed elsewhere */
#define MOMENT_NS 2.5e7  /* what is late by less may be held up by a processor only */

static int own_rank(const struct fm_engine_cloud *cloud)
{
    return cloud->world->is.rank;
}

/* ---- Pieces ---- */

static void push(struct fm_engine_piece **list, struct fm_engine_piece *piece)
{
    piece->next = *list;
    *list = piece;
}

static void unlink_piece(struct fm_engine_piece **list, const struct fm_engine_piece *piece)
{
    while (*list != piece)
        list = &(*list)->next;
    *list = piece->next;
}

static struct fm_engine_piece *piece_of(const struct fm_engine_cloud *cloud,
                                        struct fm_engine_parcel *parcel, size_t first, size_t count)
{
    struct fm_engine_piece *piece = calloc(1, sizeof *piece);
    if (piece != NULL)
        *piece = (struct fm_engine_piece){
            .parcel = parcel,
            .first = first,
            .count = count,
            .work = fm_tier_course_work(fm_engine_cloud_course(cloud), first, first + count)};
    return piece;
}

/* Elements of a piece that wait from now on. */
static bool wait_for(struct fm_engine_cloud *cloud, struct fm_engine_parcel *parcel, size_t first,
                     size_t count)
{
    struct fm_engine_piece *piece = count > 0 ? piece_of(cloud, parcel, first, count) : NULL;
    if (piece == NULL)
        return count == 0;
    push(&cloud->waiting, piece);
    cloud->waiting_elements += count;
    cloud->waiting_work += piece->work;
    return true;
}

/* Elements of a piece that waited leave it, from its beginning or its end, and with the last the piece. */
static void cut_off(struct fm_engine_cloud *cloud, struct fm_engine_piece *from, size_t first,
                    size_t count)
{
    const double work = fm_tier_course_work(fm_engine_cloud_course(cloud), first, first + count);
    from->first += first == from->first ? count : 0;
    from->count -= count;
    from->work -= work;
    cloud->waiting_elements -= count;
    cloud->waiting_work -= work;
    if (from->count > 0)
        return;
    unlink_piece(&cloud->waiting, from);
    free(from);
    if (cloud->waiting == NULL) /* what rounding has left */
        cloud->waiting_work = 0;
}

struct fm_engine_piece *fm_engine_pieces_next(const struct fm_engine_cloud *cloud)
{
    struct fm_engine_piece *next = cloud->waiting;
    for (struct fm_engine_piece *p = cloud->waiting; p != NULL; p = p->next)
        if (p->first + p->count > next->first + next->count)
            next = p;
    return next;
}

static void drop_piece(struct fm_engine_piece *piece)
{
    free(piece->answer);
    free(piece->in);
    free(piece->out);
    free(piece);
}

static uint8_t *trail_of(char *element, size_t size)
{
    return (uint8_t *)element + size - FM_WIRE_WORKER_TRAIL_BYTES;
}

/* Its inputs as they are sent: where they lie, or with a trail each, in memory of the piece's. False: no
   memory for what it needs. */
static bool load(const struct fm_engine_cloud *cloud, struct fm_engine_piece *piece)
{
    const size_t out_bytes = piece->count * cloud->offer.out_size;
    piece->out = malloc(out_bytes > 0 ? out_bytes : 1);
    if (piece->out == NULL || !cloud->offer.trail)
        return piece->out != NULL;
    piece->in = calloc(piece->count, cloud->offer.in_size);
    if (piece->in == NULL)
        return false;
    const struct fm_tier_course *course = fm_engine_cloud_course(cloud);
    const size_t size = cloud->group->map->in_size;
    const char *from = piece->parcel->in + (piece->first - piece->parcel->first) * size;
    for (size_t i = 0; i < piece->count; i++) {
        char *to = piece->in + i * cloud->offer.in_size;
        if (size > 0)
            memcpy(to, from + i * size, size);
        fm_wire_worker_trail_put(trail_of(to, cloud->offer.in_size),
                                 course->place[piece->first + i], 0);
    }
    return true;
}

struct fm_engine_piece *fm_engine_pieces_pick(struct fm_engine_cloud *cloud, size_t count)
{
    struct fm_engine_piece *from = fm_engine_pieces_next(cloud);
    if (from == NULL || count == 0)
        return NULL;
    const size_t taken = count < from->count ? count : from->count;
    const size_t first = from->first + from->count - taken;
    struct fm_engine_piece *piece = piece_of(cloud, from->parcel, first, taken);
    if (piece == NULL || !load(cloud, piece)) {
        if (piece != NULL)
            drop_piece(piece);
        return NULL;
    }
    piece->id = ++cloud->spans;
    piece->sent_ticks = fm_base_ticks();
    fm_engine_pace_sent(cloud, piece);
    cut_off(cloud, from, first, taken);
    push(&cloud->flying, piece);
    piece->parcel->flying++;
    cloud->flying_elements += taken;
    cloud->flying_work += piece->work;
    cloud->flying_spans++;
    return piece;
}

/* ---- Parcels ---- */

static struct fm_engine_parcel *parcel_in(const struct fm_engine_cloud *cloud, int slot)
{
    struct fm_engine_parcel *parcel = cloud->parcels;
    while (parcel != NULL && parcel->slot != slot)
        parcel = parcel->next;
    return parcel;
}

static void drop_if_done(struct fm_engine_cloud *cloud, struct fm_engine_parcel *parcel)
{
    if (parcel->slot >= 0 || parcel->flying > 0)
        return;
    struct fm_engine_parcel **at = &cloud->parcels;
    while (*at != parcel)
        at = &(*at)->next;
    *at = parcel->next;
    free(parcel->bytes);
    free(parcel->out);
    free(parcel);
}

/* Elements of a parcel are there. */
static void deliver(struct fm_engine_cloud *cloud, struct fm_engine_parcel *parcel, size_t count)
{
    if (count > 0 && fm_sched_ranks_delivered(&cloud->sched, parcel->slot, count))
        parcel->slot = -1;
}

static void keep_parcel(struct fm_engine_cloud *cloud, int slot,
                        const struct fm_engine_header *header, char *bytes)
{
    const size_t out_bytes = (size_t)header->message.count * cloud->group->map->out_size;
    struct fm_engine_parcel *parcel = calloc(1, sizeof *parcel);
    if (parcel == NULL || (parcel->out = calloc(out_bytes > 0 ? out_bytes : 1, 1)) == NULL) {
        free(parcel);
        free(bytes);
        fm_sched_ranks_fail(&cloud->sched, FASTMAP_ERR_MEMORY);
        return;
    }
    parcel->slot = slot;
    parcel->first = (size_t)header->message.first;
    parcel->count = (size_t)header->message.count;
    parcel->bytes = bytes;
    parcel->in = bytes + sizeof *header;
    parcel->next = cloud->parcels;
    cloud->parcels = parcel;
    if (!wait_for(cloud, parcel, parcel->first, parcel->count))
        fm_sched_ranks_fail(&cloud->sched, FASTMAP_ERR_MEMORY);
}

static void copy_outputs(const struct fm_engine_cloud *cloud, struct fm_engine_parcel *parcel,
                         size_t first, const char *outputs, size_t count)
{
    const size_t size = cloud->group->map->out_size;
    if (size > 0 && count > 0)
        memcpy(parcel->out + (first - parcel->first) * size, outputs, count * size);
}

static void add_tally(struct fm_engine_tally *to, const struct fm_engine_tally *from)
{
    to->failed += from->failed;
    to->skipped += from->skipped;
    to->busy_ns += from->busy_ns;
    to->cloud += from->cloud;
    for (uint64_t i = 0; i < from->listed; i++)
        to->listed = fm_base_failure_insert(to->failures, to->listed, &from->failures[i]);
}

/* A map that stops begins nothing more: what waits comes back as it was. */
static void skip_waiting(struct fm_engine_cloud *cloud)
{
    while (cloud->sched.stopped && cloud->sched.code == 0 && cloud->waiting != NULL) {
        struct fm_engine_piece *piece = cloud->waiting;
        struct fm_engine_parcel *parcel = piece->parcel;
        const size_t count = piece->count;
        if (cloud->group->own.in_place)
            copy_outputs(cloud, parcel, piece->first,
                         parcel->in + (piece->first - parcel->first) * cloud->group->map->in_size,
                         count);
        parcel->tally.skipped += count;
        parcel->tally.home += count;
        cut_off(cloud, piece, piece->first, count);
        deliver(cloud, parcel, count);
        drop_if_done(cloud, parcel);
    }
}

/* What follows from a change. */
void fm_engine_pieces_turn(struct fm_engine_cloud *cloud)
{
    skip_waiting(cloud);
    cloud->sched.busy = cloud->flying_spans > 0;
    cloud->sched.link.latency_ns = HOP_NS + fm_engine_pace_ahead_ns(cloud) / AHEAD;
    cloud->sched.now_ns = fm_base_ticks_to_ns(fm_base_ticks() - cloud->group->begun_ticks);
    fm_sched_ranks_turn(&cloud->sched);
}

/* ---- What landed ---- */

double fm_engine_pieces_age_ns(const struct fm_engine_piece *piece)
{
    return fm_base_ticks_to_ns(fm_base_ticks() - piece->sent_ticks);
}

static const uint8_t *output_trail(const struct fm_engine_cloud *cloud,
                                   const struct fm_engine_piece *piece, size_t i)
{
    return trail_of(piece->out + i * cloud->offer.out_size, cloud->offer.out_size);
}

/* None can have taken longer than all of it was away. */
static double taken_ns(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                       size_t i)
{
    const double ns = (double)fm_wire_worker_trail_get(output_trail(cloud, piece, i));
    const double most_ns = fm_engine_pieces_age_ns(piece);
    return ns < most_ns ? ns : most_ns;
}

double fm_engine_pieces_taken_ns(const struct fm_engine_cloud *cloud,
                                 const struct fm_engine_piece *piece)
{
    double sum = 0;
    for (size_t i = 0; i < piece->count; i++)
        sum += taken_ns(cloud, piece, i);
    return sum;
}

/* Outputs of a piece, and how long its elements have taken. */
static void unload(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                   size_t computed)
{
    if (!cloud->offer.trail) {
        copy_outputs(cloud, piece->parcel, piece->first, piece->out, computed);
        return;
    }
    for (size_t i = 0; i < computed; i++) {
        copy_outputs(cloud, piece->parcel, piece->first + i, piece->out + i * cloud->offer.out_size,
                     1);
        fm_engine_course_note(cloud->group->course,
                              fm_engine_cloud_course(cloud)->place[piece->first + i],
                              taken_ns(cloud, piece, i));
    }
}

static void note_failure(const struct fm_engine_cloud *cloud, struct fm_engine_tally *tally,
                         size_t at, int code)
{
    const struct fm_tier_course *course = fm_engine_cloud_course(cloud);
    const struct fastmap_failure failure = {
        .index = course == NULL ? at : course->place[at], .code = code, .tier = FASTMAP_TIER_CLOUD};
    tally->listed = fm_base_failure_insert(tally->failures, tally->listed, &failure);
}

/* An answer lists the first ones of its span, which are not those of lowest index where it is out of order:
   then trails tell of all. */
static void note_failures(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                          const struct fm_tier_cloud_answer *answer, size_t computed)
{
    struct fm_engine_tally tally = {
        .failed = answer->failed, .cloud = answer->computed, .busy_ns = answer->cpu_s * 1e9};
    for (size_t i = 0; i < computed && answer->failed > 0 && cloud->offer.trail; i++) {
        const int code = fm_wire_worker_trail_code(output_trail(cloud, piece, i));
        if (code != 0)
            note_failure(cloud, &tally, piece->first + i, code);
    }
    for (size_t i = 0; i < answer->failures_listed && !cloud->offer.trail; i++)
        note_failure(cloud, &tally, (size_t)answer->failures[i].index, answer->failures[i].code);
    add_tally(&piece->parcel->tally, &tally);
}

static void take_down(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece)
{
    unlink_piece(&cloud->flying, piece);
    cloud->flying_elements -= piece->count;
    cloud->flying_work -= piece->work;
    cloud->flying_spans--;
    if (cloud->flying == NULL) /* what rounding has left */
        cloud->flying_work = 0;
}

void fm_engine_pieces_hold(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece,
                           const struct fm_tier_cloud_answer *answer)
{
    const struct fm_tier_cloud_answer nothing = {.id = piece->id};
    struct fm_tier_cloud_answer *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        fm_engine_pieces_landed(cloud, piece, &nothing);
        return;
    }
    *kept = *answer;
    take_down(cloud, piece);
    piece->answer = kept;
    push(&cloud->held, piece);
}

void fm_engine_pieces_release(struct fm_engine_cloud *cloud, bool good)
{
    while (cloud->held != NULL) {
        struct fm_engine_piece *piece = cloud->held;
        struct fm_tier_cloud_answer answer = *piece->answer;
        if (!good)
            answer.computed = answer.failed = answer.failures_listed = 0;
        fm_engine_pieces_landed(cloud, piece, &answer);
    }
}

void fm_engine_pieces_landed(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece,
                             const struct fm_tier_cloud_answer *answer)
{
    struct fm_engine_parcel *parcel = piece->parcel;
    if (piece->answer != NULL)
        unlink_piece(&cloud->held, piece);
    else
        take_down(cloud, piece);
    parcel->flying--;
    if (parcel->slot >= 0 && !piece->given_up) {
        const size_t computed = answer->computed < piece->count ? answer->computed : piece->count;
        unload(cloud, piece, computed);
        note_failures(cloud, piece, answer, computed);
        if (!wait_for(cloud, parcel, piece->first + computed, piece->count - computed))
            fm_sched_ranks_fail(&cloud->sched, FASTMAP_ERR_MEMORY);
        deliver(cloud, parcel, computed);
    }
    drop_if_done(cloud, parcel);
    drop_piece(piece);
    if (cloud->group != NULL)
        fm_engine_pieces_turn(cloud);
}

/* ---- The scheduler's ports ---- */

static bool is_late(const struct fm_engine_piece *piece)
{
    return fm_engine_pieces_age_ns(piece) > OVERDUE_NS + OVERDUE * piece->expected_ns;
}

bool fm_engine_pieces_is_overdue(const struct fm_engine_piece *piece)
{
    return !piece->given_up && is_late(piece);
}

/* Computed here in a moment, and late by more than that, and than its elements scatter: to wait on would cost
   more than to take it back. Not so for long elements: what is late then may be the longest of all. */
static bool is_cheaper_here(const struct fm_engine_cloud *cloud,
                            const struct fm_engine_piece *piece)
{
    const struct fm_engine_group *group = cloud->group;
    const double late_ns = fm_engine_pieces_age_ns(piece) - piece->expected_ns - MOMENT_NS;
    if (late_ns <= 0 || piece->work * group->sched.cost_ns >= MOMENT_NS)
        return false;
    const double there_ns = piece->computed_ns - cloud->account.round_trip * 1e9;
    const double scatter = fm_sched_spread_factor(&group->spread, piece->count) - 1;
    return late_ns > scatter * (there_ns > 0 ? there_ns : 0);
}

static bool can_be_taken(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece)
{
    return !piece->given_up && (is_late(piece) || is_cheaper_here(cloud, piece));
}

bool fm_engine_pieces_is_silent(const struct fm_engine_cloud *cloud)
{
    for (const struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        if (is_late(piece) && cloud->landed_ticks < piece->sent_ticks)
            return true;
    return false;
}

/* For how long it would have been away when it is back, if it were sent now. */
static double anew_ns(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece)
{
    return fm_engine_pieces_age_ns(piece) +
           fm_engine_pace_return_ns(cloud, piece->count, piece->work);
}

void fm_engine_pieces_expect(struct fm_engine_cloud *cloud)
{
    for (struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        piece->expected_ns = fmin(piece->expected_ns, anew_ns(cloud, piece));
}

void fm_engine_pieces_delay(struct fm_engine_cloud *cloud, double factor)
{
    const uint64_t now = fm_base_ticks();
    if (cloud->done_ticks > now)
        cloud->done_ticks = now + (uint64_t)((double)(cloud->done_ticks - now) * factor);
    for (struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        piece->expected_ns = fmax(piece->expected_ns, anew_ns(cloud, piece));
}

static struct fm_engine_piece *first_to_take(const struct fm_engine_cloud *cloud)
{
    struct fm_engine_piece *piece = cloud->flying;
    while (piece != NULL && !can_be_taken(cloud, piece))
        piece = piece->next;
    return piece;
}

static size_t unbegun(void *context)
{
    const struct fm_engine_cloud *cloud = context;
    double late = 0;
    for (const struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        late += can_be_taken(cloud, piece) ? piece->work : 0;
    return (size_t)ceil(cloud->waiting_work + late);
}

static struct fm_engine_piece *longest_waiting(const struct fm_engine_cloud *cloud)
{
    struct fm_engine_piece *longest = cloud->waiting;
    for (struct fm_engine_piece *p = cloud->waiting; p != NULL; p = p->next)
        if (p->work > longest->work)
            longest = p;
    return longest;
}

/* One that can be taken, too, and lies before or behind the run. */
static struct fm_engine_piece *one_beside(const struct fm_engine_cloud *cloud,
                                          const struct fm_sched_run *run)
{
    for (struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        if (piece->parcel->slot == run->job && can_be_taken(cloud, piece) &&
            (piece->first + piece->count == run->first || run->first + run->count == piece->first))
            return piece;
    return NULL;
}

/* Whole pieces that are late to come back, in one run: threads share a run, and spans that were cut for a
   link may have an element each. */
static size_t take_flying(const struct fm_engine_cloud *cloud, size_t want,
                          struct fm_sched_run *run)
{
    struct fm_engine_piece *piece = first_to_take(cloud);
    if (piece == NULL)
        return 0;
    *run = (struct fm_sched_run){.job = piece->parcel->slot, .first = piece->first};
    double work = 0;
    do {
        piece->given_up = true;
        run->first = piece->first < run->first ? piece->first : run->first;
        run->count += piece->count;
        work += piece->work;
    } while (work < (double)want && (piece = one_beside(cloud, run)) != NULL);
    return (size_t)ceil(work);
}

/* From the beginning of what waits; of what is late to come back, whole pieces. */
static size_t take(void *context, size_t want, struct fm_sched_run *run)
{
    struct fm_engine_cloud *cloud = context;
    struct fm_engine_piece *piece = longest_waiting(cloud);
    if (piece == NULL)
        return take_flying(cloud, want, run);
    const struct fm_tier_course *course = fm_engine_cloud_course(cloud);
    const size_t first = piece->first;
    const size_t taken = fm_tier_course_lowest(course, first, first + piece->count, (double)want);
    *run = (struct fm_sched_run){.job = piece->parcel->slot, .first = first, .count = taken};
    cut_off(cloud, piece, first, taken);
    return (size_t)ceil(fm_tier_course_work(course, first, first + taken));
}

/* ---- Messages ---- */

static void send(void *context, int rank, const struct fm_sched_message *message,
                 const struct fm_sched_run *run)
{
    struct fm_engine_cloud *cloud = context;
    const struct fastmap_map *map = cloud->group->map;
    struct fm_engine_header header = {.message = *message, .terms = cloud->group->terms};
    const char *payload = NULL;
    size_t bytes = 0;
    if (run != NULL) {
        const struct fm_engine_parcel *parcel = parcel_in(cloud, run->job);
        const bool give = message->kind == FM_SCHED_GIVE;
        const size_t size = give ? map->in_size : map->out_size;
        payload = (give ? parcel->in : parcel->out) + (run->first - parcel->first) * size;
        bytes = run->count * size;
        header.tally = parcel->tally;
    }
    (void)rank;
    fm_engine_letter_put(&cloud->outbox, cloud->edge.rank, &header, payload, bytes);
}

/* What was taken back is in good hands, so no copies are made, accepted or cancelled. */
static bool again(void *context, int job, const struct fm_sched_run *run)
{
    (void)context;
    (void)job;
    (void)run;
    return false;
}

const struct fm_sched_ports fm_engine_pieces_ports = {
    .send = send, .unbegun = unbegun, .take = take, .again = again};

static void take_result(struct fm_engine_cloud *cloud, const struct fm_sched_run *run,
                        const struct fm_engine_header *header, const char *outputs)
{
    struct fm_engine_parcel *parcel = parcel_in(cloud, run->job);
    copy_outputs(cloud, parcel, run->first, outputs, run->count);
    add_tally(&parcel->tally, &header->tally);
    parcel->tally.home += run->count - header->tally.cloud;
    deliver(cloud, parcel, run->count);
    drop_if_done(cloud, parcel);
}

void fm_engine_pieces_receive(struct fm_engine_cloud *cloud, char *bytes)
{
    struct fm_engine_header header;
    struct fm_sched_run run;
    int slot;
    memcpy(&header, bytes, sizeof header);
    fm_sched_ranks_receive(&cloud->sched, own_rank(cloud), &header.message, &slot, &run);
    if (run.count > 0)
        take_result(cloud, &run, &header, bytes + sizeof header);
    if (slot >= 0 && cloud->sched.code == 0)
        keep_parcel(cloud, slot, &header, bytes);
    else
        free(bytes);
    fm_engine_pieces_turn(cloud);
    if (slot >= 0 && cloud->state == FM_ENGINE_CLOUD_OPEN)
        fm_engine_courier_call(cloud);
}

bool fm_engine_pieces_stir(const struct fm_engine_cloud *cloud)
{
    return cloud != NULL && cloud->outbox != NULL;
}

bool fm_engine_pieces_poll(struct fm_engine_group *group)
{
    struct fm_engine_cloud *cloud = group->cloud;
    bool any = false;
    while (cloud->outbox != NULL) {
        struct fm_engine_letter *letter = cloud->outbox;
        cloud->outbox = letter->next;
        fm_engine_talk_receive(group, cloud->world->is.size, letter->bytes, letter->size);
        free(letter);
        any = true;
    }
    return any;
}

bool fm_engine_pieces_can_be_taken(const struct fm_engine_cloud *cloud)
{
    return first_to_take(cloud) != NULL;
}

double fm_engine_pieces_late_ns(const struct fm_engine_cloud *cloud)
{
    const struct fm_engine_piece *piece = cloud->flying;
    while (piece != NULL && !fm_engine_pieces_is_overdue(piece))
        piece = piece->next;
    return piece != NULL ? fm_engine_pieces_age_ns(piece) : 0;
}

size_t fm_engine_pieces_held(const struct fm_engine_cloud *cloud)
{
    size_t held = 0;
    for (const struct fm_engine_parcel *p = cloud->parcels; p != NULL; p = p->next)
        if (p->slot >= 0)
            held += p->count - cloud->sched.jobs[p->slot].left;
    return held;
}

/* ---- The end of a map ---- */

static void drop_waiting(struct fm_engine_cloud *cloud)
{
    while (cloud->waiting != NULL) {
        struct fm_engine_piece *piece = cloud->waiting;
        cloud->waiting = piece->next;
        free(piece);
    }
    cloud->waiting_elements = 0;
    cloud->waiting_work = 0;
}

static void drop_parcels(struct fm_engine_cloud *cloud)
{
    struct fm_engine_parcel *next;
    for (struct fm_engine_parcel *parcel = cloud->parcels; parcel != NULL; parcel = next) {
        next = parcel->next;
        parcel->slot = -1;
        drop_if_done(cloud, parcel);
    }
}

void fm_engine_pieces_drop(struct fm_engine_cloud *cloud)
{
    drop_waiting(cloud);
    drop_parcels(cloud);
    while (cloud->outbox != NULL) {
        struct fm_engine_letter *letter = cloud->outbox;
        cloud->outbox = letter->next;
        fm_engine_letter_free(letter);
    }
}
