/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The courier: a thread that connects to the service when that is wanted, opens the map there, carries
 * spans to it and hands in what comes back, and settles. It computes nothing.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "engine/cloud.h"
#include "engine/question.h"
#include "tier/local/local.h"

#define POLL_S 0.05  /* between looks at whether the map is over; a wake ends a poll at once */
#define TURN_S 0.5   /* for which a rank tries to reach the service, where others could */
#define ASKED_S 10.0 /* for which what the account said is taken to hold: the service looks, too */
#define REST_S \
    2.0 /* for which a map that is over stays open there, in case that one like it follows */
#define SLOW_PER_S \
    20e6 /* bytes: an upload that is slower shows what the link carries, not the service */

void fm_engine_courier_warn(const struct fastmap_session *session, const char *why)
{
    fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                "the cloud is not used: %s; the map goes on without it", why);
}

/* Whether the map that the courier works for is still on. */
static bool is_on(const struct fm_engine_cloud *cloud)
{
    return cloud->group != NULL && cloud->carried == cloud->maps && !cloud->ending;
}

/* ---- Before the first span ---- */

/* All of these without the mutex. False: why says why not; an empty sentence: it does not pay, or no. */
static bool connect_once(struct fm_engine_cloud *cloud, char why[FM_TIER_CLOUD_WHY])
{
    struct fm_tier_cloud_account account = {0};
    struct fm_cloud *made = cloud->connection; /* only this thread changes it, like asked_ticks */
    const uint64_t now = fm_base_ticks();
    if (made != NULL && cloud->asked_ticks != 0 &&
        fm_base_ticks_to_ns(now - cloud->asked_ticks) < ASKED_S * 1e9)
        return true;
    cloud->asked_ticks = 0;
    if (made == NULL) {
        struct fm_tier_cloud_service service = cloud->service;
        if (cloud->world->is.size > 1)
            service.connect_patience = TURN_S;
        made = cloud->tier->connect(&service, &account, why);
        cloud->unreachable = made == NULL && account.unreachable;
    } else if (!cloud->tier->account(made, &account, why))
        return false;
    cloud->asked_ticks = made != NULL ? now : 0;
    pthread_mutex_lock(&cloud->world->mutex);
    cloud->connection = made;
    if (made != NULL)
        cloud->account = account;
    pthread_mutex_unlock(&cloud->world->mutex);
    /* Not before: what the connection is made of has handlers of its own, which are to run later. */
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (made != NULL && !atomic_flag_test_and_set(&told))
        (void)atexit(fm_engine_cloud_exit);
    return made != NULL;
}

static bool prepare(struct fm_engine_cloud *cloud, enum fastmap_cloud_use *use,
                    char why[FM_TIER_CLOUD_WHY])
{
    why[0] = '\0';
    *use = FASTMAP_CLOUD_FAILED;
    if (!connect_once(cloud, why) || atomic_load(&cloud->give_up))
        return false;
    if (!fm_engine_purse_allows(cloud, use, why))
        return false;
    *use = FASTMAP_CLOUD_FAILED;
    struct fm_tier_cloud_grant grant = {0};
    const bool opened = cloud->tier->open(cloud->connection, &cloud->offer, &grant, why);
    pthread_mutex_lock(&cloud->world->mutex);
    cloud->resting = NULL;
    cloud->grant = grant;
    if (opened) {
        fm_engine_reason_opened(cloud);
        fm_engine_gateway_say(cloud);
    }
    pthread_mutex_unlock(&cloud->world->mutex);
    return opened;
}

/* ---- Answers ---- */

static struct fm_engine_piece *flying_as(const struct fm_engine_cloud *cloud, uint64_t id)
{
    struct fm_engine_piece *piece = cloud->flying;
    while (piece != NULL && piece->id != id)
        piece = piece->next;
    return piece;
}

/* An element that crashed there is computed here, as it would have been without the cloud. */
static void strip_crash(struct fm_tier_cloud_answer *answer)
{
    if (answer->status != FM_TIER_CLOUD_DIED || answer->failures_listed == 0 ||
        answer->failures[answer->failures_listed - 1].signal == 0)
        return;
    answer->failures_listed--;
    answer->failed -= answer->failed > 0 ? 1 : 0;
}

static void end_with(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use, const char *why)
{
    const bool is_said = use == FASTMAP_CLOUD_DECLINED && cloud->world->is.rank != 0;
    if (!cloud->over) {
        if (!is_said) /* by rank 0 */
            fm_engine_courier_warn(cloud->session, why);
        fm_engine_reason_end(cloud, use, why);
        fm_engine_cloud_over(cloud);
    }
}

/* What is held counts as soon as the witness has said so. */
static void hear_witness(struct fm_engine_cloud *cloud)
{
    const enum fm_engine_verdict verdict =
        cloud->verified ? FM_ENGINE_VERDICT_NONE : fm_engine_witness_hear(cloud);
    if (verdict == FM_ENGINE_VERDICT_NONE)
        return;
    cloud->verified = true;
    cloud->distrusted = verdict == FM_ENGINE_VERDICT_OTHER;
    if (cloud->distrusted)
        end_with(cloud, FASTMAP_CLOUD_FAILED,
                 "it computed other bytes than this process: the function depends on what "
                 "main() has set, on another libm, or on chance");
    fm_engine_pieces_release(cloud, !cloud->distrusted);
}

/* Until an element has been found to be the same here, answers are held. Worker processes have a verify of
   their own. */
static bool has_to_wait(const struct fm_engine_cloud *cloud,
                        const struct fm_tier_cloud_answer *answer)
{
    return !cloud->verified && answer->computed > 0 && cloud->group->process == NULL &&
           cloud->group->map->out_size > 0;
}

/* Under the mutex. */
static void hand_in(struct fm_engine_cloud *cloud, struct fm_tier_cloud_answer *answer)
{
    struct fm_engine_piece *piece = flying_as(cloud, answer->id);
    if (piece == NULL)
        return;
    cloud->landed_ticks = fm_base_ticks();
    int64_t *spent = is_on(cloud) ? &cloud->spent : &cloud->settling;
    *spent = answer->spent > *spent ? answer->spent : *spent;
    strip_crash(answer);
    if (!is_on(cloud) || cloud->distrusted)
        answer->computed = answer->failed = answer->failures_listed = 0;
    else if (answer->status == FM_TIER_CLOUD_DONE)
        fm_engine_link_note(cloud, piece, answer);
    if (is_on(cloud))
        fm_engine_link_vcpus(cloud, answer->vcpus);
    cloud->raised |= answer->raised;
    cloud->returned += answer->computed;
    if (is_on(cloud) && has_to_wait(cloud, answer))
        fm_engine_pieces_hold(cloud, piece, answer);
    else
        fm_engine_pieces_landed(cloud, piece, answer);
    if (is_on(cloud) &&
        (answer->status == FM_TIER_CLOUD_CUT || answer->status == FM_TIER_CLOUD_DIED ||
         answer->status == FM_TIER_CLOUD_OVER))
        end_with(cloud,
                 answer->status == FM_TIER_CLOUD_CUT ? FASTMAP_CLOUD_NO_MONEY
                                                     : FASTMAP_CLOUD_FAILED,
                 answer->why);
}

/* ---- Flying ---- */

static bool send_one(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece)
{
    const struct fm_engine_parcel *parcel = piece->parcel;
    const struct fm_tier_cloud_span span = {
        .id = piece->id,
        .first = piece->first,
        .count = piece->count,
        .in = piece->in != NULL
                  ? piece->in
                  : parcel->in + (piece->first - parcel->first) * cloud->offer.in_size,
        .out = piece->out,
    };
    pthread_mutex_unlock(&cloud->world->mutex);
    const bool sent = cloud->tier->send(cloud->connection, &span);
    pthread_mutex_lock(&cloud->world->mutex);
    if (!sent) {
        const struct fm_tier_cloud_answer nothing = {.id = piece->id};
        fm_engine_pieces_landed(cloud, piece, &nothing);
    }
    return sent;
}

static void send_what_pays(struct fm_engine_cloud *cloud)
{
    while (is_on(cloud) && !cloud->over) {
        bool pays;
        struct fm_engine_piece *piece =
            fm_engine_pieces_pick(cloud, fm_engine_pace_span(cloud, &pays));
        if (!pays && cloud->sched.workers > 0)
            fm_engine_cloud_rest(cloud);
        if (piece == NULL || !send_one(cloud, piece))
            return;
    }
}

/* Of what was sent first, so that it comes back first. */
static void call_witness(struct fm_engine_cloud *cloud)
{
    const struct fm_engine_piece *piece = cloud->flying;
    while (piece != NULL && piece->next != NULL)
        piece = piece->next;
    if (piece != NULL && !cloud->verified && cloud->witness.span == 0 &&
        cloud->group->process == NULL && cloud->group->map->out_size > 0)
        fm_engine_witness_call(cloud, piece);
}

/* Under the mutex. Until the map is over, or the cloud is over for it and nothing flies. */
static void fly(struct fm_engine_cloud *cloud)
{
    struct fm_tier_cloud_answer answer;
    const uint64_t begun = fm_base_ticks();
    fm_engine_link_begin(cloud);
    while (is_on(cloud) && (!cloud->over || cloud->flying != NULL || cloud->held != NULL)) {
        send_what_pays(cloud);
        if (is_on(cloud))
            call_witness(cloud);
        const double pause_s = is_on(cloud) ? fm_engine_pace_pause_s(cloud) : POLL_S;
        pthread_mutex_unlock(&cloud->world->mutex);
        const bool any = cloud->tier->poll(cloud->connection, fmin(pause_s, POLL_S), &answer);
        pthread_mutex_lock(&cloud->world->mutex);
        if (any)
            hand_in(cloud, &answer);
        if (is_on(cloud))
            hear_witness(cloud);
    }
    if (cloud->carried == cloud->maps)
        fm_engine_link_end(cloud, begun);
}

/* Under the mutex. Nothing flies any more, whatever the service still does. */
static void ground(struct fm_engine_cloud *cloud)
{
    const struct fm_tier_cloud_answer nothing = {.computed = 0};
    while (cloud->flying != NULL)
        fm_engine_pieces_landed(cloud, cloud->flying, &nothing);
    fm_engine_pieces_release(cloud, false);
}

/* What the map has cost by the bill, or by what spans were told. */
static void pay(struct fm_engine_cloud *cloud, const struct fm_tier_cloud_bill *bill)
{
    const int64_t cost = bill->charged > cloud->settling ? bill->charged : cloud->settling;
    if (bill->confirmed)
        cloud->account.balance = bill->balance;
    else
        cloud->account.balance -= cost;
    cloud->spent_before += cost;
    cloud->settling = 0;
}

static void close_map(struct fm_engine_cloud *cloud)
{
    struct fm_tier_cloud_bill bill = {0};
    cloud->resting = NULL;
    pthread_mutex_unlock(&cloud->world->mutex);
    cloud->tier->close(cloud->connection, &bill);
    pthread_mutex_lock(&cloud->world->mutex);
    pay(cloud, &bill);
    if (!bill.confirmed)
        cloud->asked_ticks = 0;
}

/* Under the mutex. The map is over here; at the service it rests, or is closed if spans are under way. */
static void settle(struct fm_engine_cloud *cloud)
{
    struct fm_tier_cloud_bill bill = {0};
    if (cloud->flying != NULL || cloud->ending || !cloud->tier->rest(cloud->connection, &bill)) {
        close_map(cloud);
        return;
    }
    pay(cloud, &bill);
    cloud->resting = cloud->offer.function;
    cloud->rests_ticks = fm_base_ticks();
}

/* ---- The thread ---- */

/* Under the mutex. */
static void serve_map(struct fm_engine_cloud *cloud)
{
    char why[FM_TIER_CLOUD_WHY];
    enum fastmap_cloud_use use;
    const uint64_t begun = fm_base_ticks();
    cloud->carried = cloud->maps;
    pthread_mutex_unlock(&cloud->world->mutex);
    const bool opened = prepare(cloud, &use, why);
    pthread_mutex_lock(&cloud->world->mutex);
    cloud->open_s = fm_base_ticks_to_ns(fm_base_ticks() - begun) * 1e-9;
    cloud->preparing = false;
    if (cloud->grant.upload_bytes_per_s > 0) {
        cloud->bytes_per_s = cloud->grant.upload_bytes_per_s;
        cloud->held_up = cloud->bytes_per_s < SLOW_PER_S;
    }
    pthread_cond_broadcast(&cloud->changed);
    bool failed = why[0] != '\0' && !opened && !atomic_load(&cloud->give_up);
    if (opened && is_on(cloud)) {
        cloud->state = FM_ENGINE_CLOUD_OPEN;
        fm_engine_cloud_ready(cloud, cloud->grant.vcpus);
        fly(cloud);
    } else if (failed && cloud->unreachable && fm_engine_gateway_pass(cloud, why)) {
        failed = false;
        if (is_on(cloud))
            fm_engine_cloud_over(cloud);
    } else if (!opened && is_on(cloud) && why[0] != '\0') {
        end_with(cloud, use, why);
    }
    if (opened) {
        cloud->state = FM_ENGINE_CLOUD_CLOSING;
        settle(cloud);
        ground(cloud);
        while (cloud->witness.runs)
            pthread_cond_wait(&cloud->changed, &cloud->world->mutex);
        fm_engine_witness_dismiss(cloud);
    }
    cloud->state = failed ? FM_ENGINE_CLOUD_BROKEN : FM_ENGINE_CLOUD_IDLE;
}

/* Under the mutex. Until something changes; a map that rests is closed when nobody has come for it. */
static void wait_for_map(struct fm_engine_cloud *cloud)
{
    if (cloud->resting == NULL) {
        pthread_cond_wait(&cloud->changed, &cloud->world->mutex);
        return;
    }
    const double left_s = REST_S - fm_base_ticks_to_ns(fm_base_ticks() - cloud->rests_ticks) * 1e-9;
    if (left_s <= 0) {
        close_map(cloud);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double end_ns = (double)until.tv_nsec + left_s * 1e9;
    until.tv_sec += (time_t)(end_ns / 1e9);
    until.tv_nsec = (long)fmod(end_ns, 1e9);
    (void)pthread_cond_timedwait(&cloud->changed, &cloud->world->mutex, &until);
}

static void *courier_main(void *argument)
{
    struct fm_engine_cloud *cloud = argument;
    pthread_mutex_lock(&cloud->world->mutex);
    while (!cloud->ending) {
        if (cloud->state == FM_ENGINE_CLOUD_WANTED)
            serve_map(cloud);
        else if (cloud->question.asking)
            fm_engine_question_answer(cloud);
        else
            wait_for_map(cloud);
    }
    if (cloud->group != NULL && !cloud->over)
        fm_engine_cloud_over(cloud);
    struct fm_cloud *connection = cloud->connection;
    cloud->connection = NULL;
    pthread_mutex_unlock(&cloud->world->mutex);
    if (connection != NULL)
        cloud->tier->disconnect(connection);
    return NULL;
}

bool fm_engine_courier_start(struct fm_engine_cloud *cloud)
{
    if (!cloud->made && !cloud->ending)
        cloud->made = fm_base_thread_start(&cloud->thread, courier_main, cloud, "fastmap-courier");
    return cloud->made;
}

void fm_engine_courier_end(struct fm_engine_cloud *cloud)
{
    if (!cloud->made || cloud->orphaned)
        return;
    pthread_mutex_lock(&cloud->world->mutex);
    cloud->ending = true;
    atomic_store(&cloud->give_up, true);
    if (cloud->connection != NULL)
        cloud->tier->wake(cloud->connection);
    pthread_cond_broadcast(&cloud->changed);
    pthread_mutex_unlock(&cloud->world->mutex);
    pthread_join(cloud->thread, NULL);
    cloud->made = false;
}

void fm_engine_courier_call(struct fm_engine_cloud *cloud)
{
    if (cloud->state == FM_ENGINE_CLOUD_WANTED) {
        atomic_store(&cloud->give_up, false);
        cloud->preparing = true;
    }
    pthread_cond_broadcast(&cloud->changed);
    if (cloud->connection != NULL)
        cloud->tier->wake(cloud->connection);
}

void fm_engine_courier_part(struct fm_engine_cloud *cloud)
{
    atomic_store(&cloud->give_up, true);
    pthread_cond_broadcast(&cloud->changed);
    if (cloud->connection != NULL)
        cloud->tier->wake(cloud->connection);
    while (cloud->preparing || cloud->witness.runs)
        pthread_cond_wait(&cloud->changed, &cloud->world->mutex);
}
