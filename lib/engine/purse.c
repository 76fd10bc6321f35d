/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether the cloud pays: in time, by the split equation with what is known of it at that moment, and in
 * money, within max_charge and after the user's yes. The one place where a price enters.
 *
 * First with nothing but guesses, so that short maps never connect; then with what the service has said;
 * then for each span, with the rate that it delivers. A span is sent only if it would be back before this
 * side could have computed all that is left.
 */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/waited.h"
#include "engine/cloud.h"
#include "engine/history.h"
#include "engine/processes.h"
#include "engine/question.h"
#include "sched/split.h"
#include "wire/worker.h"

#define OPEN_S 0.5        /* from nothing to the first span, where it has not been measured */
#define OPEN_AGAIN_S 0.02 /* and a round trip, with a connection that is there */
#define LEAST_S 0.2       /* shorter maps never ask */
#define MIGHT_S \
    0.0005 /* maps that were shorter last time do not even look: costs change, but not so */
#define BYTES_PER_S 20e6 /* there and back, for estimates */
#define AGAIN_S 1.0      /* between looks at a map for which it did not pay */
#define PRICE_SECONDS 3600.0
#define BUDGET 2.0   /* times the estimate is held, */
#define RESTING 1.25 /* times the estimate: with so much left a map that rests is taken up */
#define HELD_S 10.0  /* and at least so long for each vCPU: what is not used comes back */

/* ---- Whether it pays in time ---- */

/* A decision, and what this side takes without and with the cloud. */
static void note(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use,
                 const struct fm_sched_offer *of, size_t x)
{
    const bool computes = !isinf(of->owner_ns);
    fm_engine_reason_note(cloud, use, computes ? fm_sched_makespan_ns(of, 0) * 1e-9 : 0,
                          computes ? fm_sched_makespan_ns(of, x) * 1e-9 : 0);
}

bool fm_engine_purse_is_short(double ns)
{
    return ns * 1e-9 <= MIGHT_S;
}

bool fm_engine_purse_might(const struct fastmap_session *session, const struct fastmap_map *map)
{
    const double cost_ns = map->element_seconds > 0
                               ? map->element_seconds * 1e9
                               : fm_engine_history_cost_ns(fm_engine_identity(
                                     map, fm_engine_processes_wanted(session, map)));
    return cost_ns <= 0 || session->settings.exec_policy == FASTMAP_EXEC_POLICY_CLOUD ||
           !fm_engine_purse_is_short((double)map->n * cost_ns);
}

/* From being wanted to the first span. */
static double begin_s(const struct fm_engine_cloud *cloud)
{
    if (cloud->resting != NULL && cloud->resting == cloud->offer.function)
        return 0;
    const double guess_s =
        cloud->connection == NULL ? OPEN_S : OPEN_AGAIN_S + cloud->account.round_trip;
    return cloud->open_s > 0 && cloud->open_s < guess_s ? cloud->open_s : guess_s;
}

bool fm_engine_purse_machine(struct fm_engine_cloud *cloud, struct fm_sched_machine *machine)
{
    pthread_mutex_lock(&cloud->world->mutex);
    const bool known = cloud->connection != NULL && cloud->account.trail;
    *machine = (struct fm_sched_machine){
        .here = fm_engine_cloud_is_alone(cloud) ? 0 : fm_engine_width(cloud->session),
        .there = fm_engine_pace_vcpus(cloud),
        .latency_ns = (begin_s(cloud) + cloud->account.round_trip) * 1e9,
        .transport_ns = fm_engine_pace_transport_ns(cloud),
    };
    pthread_mutex_unlock(&cloud->world->mutex);
    return known;
}

/* Of the time of the map so far, the part in which the thread that called it did not wait for a processor. */
static double undisturbed(const struct fm_engine_cloud *cloud)
{
    const double ns = fm_base_ticks_to_ns(fm_base_ticks() - cloud->group->begun_ticks);
    const uint64_t waited_ns = fm_base_waited_ns_of(cloud->caller);
    const double lost_ns =
        waited_ns > cloud->caller_waited_ns ? (double)(waited_ns - cloud->caller_waited_ns) : 0;
    return lost_ns < ns ? 1 - lost_ns / ns : lost_ns > 0 ? 0 : 1;
}

/* Whether a cloud that is not asked yet should be; *x: how many elements it would get. */
static bool is_wanted(const struct fm_sched_offer *of, size_t *x)
{
    double saved_s;
    *x = fm_engine_pace_share(of, &saved_s);
    return *x > 0 && (isinf(saved_s) || ((double)of->left * of->owner_ns * 1e-9 > LEAST_S &&
                                         fm_engine_pace_is_worth(of, saved_s)));
}

/* One element that has lost its processor makes no long map of a short one: that is judged by what its
   elements would take undisturbed. Later, by what they do take. */
bool fm_engine_purse_wants(struct fm_engine_cloud *cloud)
{
    if (cloud->group->sched.cost_ns <= 0 ||
        (cloud->decline_ticks != 0 &&
         fm_base_ticks_to_ns(fm_base_ticks() - cloud->decline_ticks) < AGAIN_S * 1e9))
        return false;
    struct fm_sched_offer of = fm_engine_pace_offer(cloud, begin_s(cloud));
    size_t x;
    bool wants = is_wanted(&of, &x);
    if (wants && !isinf(of.owner_ns)) {
        of.owner_ns *= undisturbed(cloud);
        wants = is_wanted(&of, &x);
    }
    note(cloud, wants ? FASTMAP_CLOUD_LATE : FASTMAP_CLOUD_SHORT, &of, x);
    return wants;
}

/* ---- Money ---- */

/* What is charged for an element: its CPU time. */
static double charged_ns(const struct fm_engine_cloud *cloud)
{
    return cloud->cost_s > 0 ? cloud->cost_s * 1e9 : cloud->group->sched.cost_ns;
}

static int64_t nano(const struct fm_engine_cloud *cloud, double elements)
{
    const double cpu_s = elements * charged_ns(cloud) * 1e-9;
    return (int64_t)ceil(cpu_s * (double)cloud->account.price / PRICE_SECONDS);
}

/* What may still be spent by this session. */
static int64_t left_to_spend(const struct fm_engine_cloud *cloud)
{
    const int64_t cap = fm_engine_question_most(cloud);
    const int64_t balance = cloud->account.balance;
    const int64_t left =
        cap < 0 ? balance : cap - cloud->spent_before - cloud->settling - cloud->spent;
    return left < balance ? left : balance;
}

static void estimate(const struct fm_engine_cloud *cloud, const struct fm_sched_offer *of, size_t x,
                     struct fastmap_forecast *to)
{
    const struct fm_engine_group *group = cloud->group;
    const struct fm_sched_spread spread =
        group->spread.samples > 1
            ? group->spread
            : fm_engine_history_spread(fm_engine_identity(group->map, group->process != NULL));
    *to = FASTMAP_FORECAST();
    to->element_seconds = cloud->group->sched.cost_ns * 1e-9;
    to->local_seconds = (double)of->left * to->element_seconds / fm_engine_width(cloud->session);
    to->adaptive_seconds = isinf(of->owner_ns) ? (of->latency_ns + (double)x * of->thief_ns) * 1e-9
                                               : fm_sched_makespan_ns(of, x) * 1e-9;
    to->cloud = x;
    to->vcpus = fm_engine_pace_vcpus(cloud);
    fm_engine_purse_price(to, charged_ns(cloud), &spread, &cloud->account);
}

void fm_engine_purse_price(struct fastmap_forecast *to, double cost_ns,
                           const struct fm_sched_spread *spread,
                           const struct fm_tier_cloud_account *account)
{
    const double factor = fm_sched_spread_factor(spread, to->cloud);
    to->dollars =
        (double)to->cloud * cost_ns * 1e-9 * (double)account->price * 1e-9 / PRICE_SECONDS;
    to->dollars_least = to->dollars / factor;
    to->dollars_most = to->dollars * factor;
    to->balance = (double)account->balance * 1e-9;
}

void fm_engine_purse_foresee(const struct fastmap_session *session, const struct fastmap_map *map,
                             double cost_ns, const struct fm_sched_spread *spread,
                             const struct fm_tier_cloud_account *account,
                             struct fastmap_forecast *to)
{
    double saved_s;
    const int most = session->settings.max_cloud_workers;
    to->vcpus = most > 0 && most < account->vcpus ? most : account->vcpus;
    const size_t bytes = map->in_size > map->out_size ? map->in_size : map->out_size;
    const double moving = (double)bytes / BYTES_PER_S * 1e9;
    const double computing = cost_ns / (to->vcpus > 0 ? to->vcpus : 1);
    const struct fm_sched_offer of = {
        .left = map->n,
        .owner_ns = session->settings.exec_policy == FASTMAP_EXEC_POLICY_CLOUD
                        ? INFINITY
                        : cost_ns / fm_engine_width(session),
        .thief_ns = computing > moving ? computing : moving,
        .latency_ns = (OPEN_S + account->round_trip) * 1e9,
    };
    const size_t x = fm_engine_pace_share(&of, &saved_s);
    if (x > 0 && fm_engine_pace_is_worth(&of, saved_s)) {
        to->cloud = x;
        to->adaptive_seconds = fm_sched_makespan_ns(&of, x) * 1e-9;
    }
    if (isinf(of.owner_ns))
        to->adaptive_seconds = (of.latency_ns + (double)x * of.thief_ns) * 1e-9;
    fm_engine_purse_price(to, cost_ns, spread, account);
}

/* Where elements are timed or in an order of their own, each has a trail that says which it is. False: this
   service, though not the one that was there before, knows nothing of that, and they are out of order. */
static bool trail(struct fm_engine_cloud *cloud)
{
    const struct fm_engine_group *group = cloud->group;
    const bool has = group->course != NULL && cloud->account.trail;
    const size_t in_size = group->map->in_size;
    const size_t out_size = group->map->out_size;
    cloud->offer.trail = has;
    cloud->offer.in_size = has ? fm_wire_worker_trail_size(in_size) : in_size;
    cloud->offer.out_size = has ? fm_wire_worker_trail_size(out_size) : out_size;
    return has || group->course == NULL || !group->course->ordered;
}

/* Under the mutex: what the cloud would do for the map as it stands now. False: it does not pay. */
static bool appraise(struct fm_engine_cloud *cloud, struct fastmap_forecast *to)
{
    double saved_s;
    if (cloud->group == NULL)
        return false;
    cloud->grant = (struct fm_tier_cloud_grant){0}; /* of the last map */
    if (!trail(cloud))
        return false;
    const struct fm_sched_offer of = fm_engine_pace_offer(cloud, begin_s(cloud));
    const size_t x = fm_engine_pace_share(&of, &saved_s);
    estimate(cloud, &of, x, to);
    cloud->offer.vcpus = fm_engine_pace_vcpus(cloud);
    const bool pays = x > 0 && fm_engine_pace_is_worth(&of, saved_s);
    note(cloud, pays ? FASTMAP_CLOUD_LATE : FASTMAP_CLOUD_NO_GAIN, &of, x);
    if (!pays)
        return false;
    const double estimated = (double)nano(cloud, (double)x) * BUDGET;
    const double least =
        HELD_S * fm_engine_pace_vcpus(cloud) * (double)cloud->account.price / PRICE_SECONDS;
    int64_t wished = (int64_t)(estimated > least ? estimated : least);
    if (wished < cloud->account.hold_least) /* or the service refuses it */
        wished = cloud->account.hold_least;
    const int64_t left = left_to_spend(cloud);
    cloud->offer.budget = wished < left ? wished : left;
    cloud->offer.resting_least = (int64_t)(estimated / BUDGET * RESTING);
    cloud->offer.resting_most = left;
    return true;
}

static bool appraise_now(void *context, struct fastmap_forecast *to)
{
    struct fm_engine_cloud *cloud = context;
    pthread_mutex_lock(&cloud->world->mutex);
    const bool pays = appraise(cloud, to);
    pthread_mutex_unlock(&cloud->world->mutex);
    return pays;
}

bool fm_engine_purse_allows(struct fm_engine_cloud *cloud, enum fastmap_cloud_use *use,
                            char why[FM_TIER_CLOUD_WHY])
{
    struct fastmap_forecast now;
    if (!appraise_now(cloud, &now)) {
        pthread_mutex_lock(&cloud->world->mutex);
        cloud->decline_ticks = fm_base_ticks();
        pthread_mutex_unlock(&cloud->world->mutex);
        return false;
    }
    pthread_mutex_lock(&cloud->world->mutex);
    const int64_t left = left_to_spend(cloud);
    pthread_mutex_unlock(&cloud->world->mutex);
    const int64_t least = cloud->account.hold_least > 0 ? cloud->account.hold_least : 1;
    if (left < least) {
        const bool by_balance = cloud->account.balance < least;
        (void)snprintf(why, FM_TIER_CLOUD_WHY, "%s is used up%s: %s",
                       by_balance ? "the account's balance" : "max_charge",
                       left <= 0 ? "" : ", but for less than the service holds for a map",
                       by_balance ? "add credit to it" : "raise it to spend more");
        *use = FASTMAP_CLOUD_NO_MONEY;
        return false;
    }
    *use = FASTMAP_CLOUD_DECLINED;
    if (!fm_engine_question_put(cloud, appraise_now, why))
        return false;
    return appraise_now(cloud, &now);
}
