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
#include "engine/cloud.h"
#include "engine/history.h"
#include "engine/processes.h"
#include "engine/question.h"
#include "sched/split.h"
#include "tier/local/local.h"

#define OPEN_S 0.5        /* from nothing to the first span, where it has not been measured */
#define OPEN_AGAIN_S 0.02 /* and a round trip, with a connection that is there */
#define LEAST_S 0.2       /* shorter maps never ask */
#define MIGHT_S \
    0.0005        /* maps that were shorter last time do not even look: costs change, but not so */
#define GAIN 0.05 /* of the time that is left: the least that is worth it, and ... */
#define GAIN_S 0.02 /* ... in seconds */
#define VCPUS_GUESS 4
#define BYTES_PER_S 20e6 /* there and back, for estimates */
#define HOPED_PER_S \
    125e6           /* and for trials, as long as nothing was held up: windows bound what is lost */
#define AGAIN_S 1.0 /* between looks at a map for which it did not pay */
#define SPAN_EACH_S 0.001 /* for each vCPU: shorter spans are mostly overhead */
#define SPAN_MOST_S 1.0
#define SPANS_LEFT 4     /* a worker's share of what waits is sent in so many spans, */
#define DEPTH 2          /* of which so many are on their way, and those that a round trip hides: */
#define HIDING_LEAST 0.5 /* so many for each vCPU at least, */
#define HIDING_MOST 2.0  /* and at most */
#define WINDOW 262144.0  /* bytes on their way at first; each byte that is back lets one more go */
#define WINDOW_SPANS 8   /* of these, so many spans at least */
#define WINDOW_S 0.2     /* or what the link carries in so long and a round trip */
#define PRICE_SECONDS 3600.0
#define BUDGET 2.0   /* times the estimate is held, */
#define RESTING 1.25 /* times the estimate: with so much left a map that rests is taken up */
#define HELD_S 10.0  /* and at least so long for each vCPU: what is not used comes back */

/* ---- Time ---- */

static int vcpus(const struct fm_engine_cloud *cloud)
{
    const int most = cloud->session->settings.max_cloud_workers;
    const int there = cloud->grant.vcpus > 0     ? cloud->grant.vcpus
                      : cloud->account.vcpus > 0 ? cloud->account.vcpus
                                                 : VCPUS_GUESS;
    return most > 0 && most < there ? most : there;
}

static double owner_cost_ns(const struct fm_engine_cloud *cloud)
{
    return cloud->group->sched.cost_ns;
}

/* How long a worker there takes for an element; by the clock, which for one that waits is more than what is
   charged. */
static double cloud_cost_ns(const struct fm_engine_cloud *cloud)
{
    return cloud->rate > 0 ? vcpus(cloud) * 1e9 / cloud->rate : owner_cost_ns(cloud);
}

/* What is charged for an element: its CPU time. */
static double charged_ns(const struct fm_engine_cloud *cloud)
{
    return cloud->cost_s > 0 ? cloud->cost_s * 1e9 : owner_cost_ns(cloud);
}

static double larger(size_t in_size, size_t out_size)
{
    return (double)(in_size > out_size ? in_size : out_size);
}

double fm_engine_purse_bytes(const struct fm_engine_cloud *cloud)
{
    return larger(cloud->offer.in_size, cloud->offer.out_size);
}

static double transport_ns(const struct fm_engine_cloud *cloud)
{
    const double per_s =
        cloud->held_up || cloud->bytes_per_s > HOPED_PER_S ? cloud->bytes_per_s : HOPED_PER_S;
    return fm_engine_purse_bytes(cloud) / per_s * 1e9;
}

/* Time an element at the service, all its vCPUs and the way there and back together. */
static double thief_ns(const struct fm_engine_cloud *cloud)
{
    if (cloud->rate > 0)
        return 1e9 / cloud->rate;
    const double computing = cloud_cost_ns(cloud) / vcpus(cloud);
    const double moving = transport_ns(cloud);
    return computing > moving ? computing : moving; /* they overlap */
}

/* Until the service has computed all that is on its way, from now. It works on from what was sent before, and
   begins half a round trip from now at the earliest. */
static double done_ns(const struct fm_engine_cloud *cloud)
{
    const double half_ns = cloud->account.round_trip * 5e8;
    const double most_ns = half_ns + thief_ns(cloud) * (double)cloud->flying_elements;
    const uint64_t now = fm_base_ticks();
    const double due_ns =
        cloud->done_ticks > now ? fm_base_ticks_to_ns(cloud->done_ticks - now) : 0;
    const double left_ns = due_ns < most_ns ? due_ns : most_ns;
    return left_ns > half_ns ? left_ns : half_ns;
}

/* Until the next element that is sent is back, less what each further one adds. */
static double latency_ns(const struct fm_engine_cloud *cloud)
{
    const double round_trip_ns = cloud->account.round_trip * 1e9;
    const double alone_ns = round_trip_ns + cloud_cost_ns(cloud) - thief_ns(cloud);
    const double queued_ns = done_ns(cloud) + round_trip_ns / 2;
    return alone_ns > queued_ns ? alone_ns : queued_ns;
}

/* What this side has not begun, the cloud's part that waits included, and what the cloud would be offered. */
static struct fm_sched_offer offer(const struct fm_engine_cloud *cloud, double latency_s)
{
    const double workers = cloud->group->sched.workers;
    return (struct fm_sched_offer){
        .left = fm_engine_jobs_unbegun(cloud->group) + cloud->waiting_elements,
        .begun = workers / 2,
        .owner_ns = workers > 0 ? owner_cost_ns(cloud) / workers : INFINITY,
        .thief_ns = thief_ns(cloud),
        .latency_ns = latency_s * 1e9,
    };
}

/* How many elements the cloud should get; *saved_s: how much sooner the map would end. */
static size_t share(const struct fm_sched_offer *of, double *saved_s)
{
    *saved_s = 0;
    if (of->left == 0)
        return 0;
    if (isinf(of->owner_ns)) { /* this side computes nothing */
        *saved_s = INFINITY;
        return of->left;
    }
    const size_t x = fm_sched_split(of);
    *saved_s = (fm_sched_makespan_ns(of, 0) - fm_sched_makespan_ns(of, x)) * 1e-9;
    return x;
}

static bool is_worth(const struct fm_sched_offer *of, double saved_s)
{
    const double alone_s = fm_sched_makespan_ns(of, 0) * 1e-9;
    return saved_s > GAIN_S && saved_s > GAIN * alone_s;
}

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

bool fm_engine_purse_wants(struct fm_engine_cloud *cloud)
{
    double saved_s;
    if (owner_cost_ns(cloud) <= 0 ||
        (cloud->decline_ticks != 0 &&
         fm_base_ticks_to_ns(fm_base_ticks() - cloud->decline_ticks) < AGAIN_S * 1e9))
        return false;
    const struct fm_sched_offer of = offer(cloud, begin_s(cloud) + latency_ns(cloud) * 1e-9);
    const size_t x = share(&of, &saved_s);
    const bool wants =
        x > 0 && (isinf(saved_s) ||
                  ((double)of.left * of.owner_ns * 1e-9 > LEAST_S && is_worth(&of, saved_s)));
    note(cloud, wants ? FASTMAP_CLOUD_LATE : FASTMAP_CLOUD_SHORT, &of, x);
    return wants;
}

/* ---- Money ---- */

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
    to->element_seconds = owner_cost_ns(cloud) * 1e-9;
    to->local_seconds = (double)of->left * to->element_seconds / fm_engine_width(cloud->session);
    to->adaptive_seconds = isinf(of->owner_ns) ? (of->latency_ns + (double)x * of->thief_ns) * 1e-9
                                               : fm_sched_makespan_ns(of, x) * 1e-9;
    to->cloud = x;
    to->vcpus = vcpus(cloud);
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
    const double moving = larger(map->in_size, map->out_size) / BYTES_PER_S * 1e9;
    const double computing = cost_ns / (to->vcpus > 0 ? to->vcpus : 1);
    const struct fm_sched_offer of = {
        .left = map->n,
        .owner_ns = session->settings.exec_policy == FASTMAP_EXEC_POLICY_CLOUD
                        ? INFINITY
                        : cost_ns / fm_engine_width(session),
        .thief_ns = computing > moving ? computing : moving,
        .latency_ns = (OPEN_S + account->round_trip) * 1e9,
    };
    const size_t x = share(&of, &saved_s);
    if (x > 0 && (isinf(saved_s) || is_worth(&of, saved_s))) {
        to->cloud = x;
        to->adaptive_seconds = fm_sched_makespan_ns(&of, x) * 1e-9;
    }
    if (isinf(of.owner_ns))
        to->adaptive_seconds = (of.latency_ns + (double)x * of.thief_ns) * 1e-9;
    fm_engine_purse_price(to, cost_ns, spread, account);
}

/* Under the mutex: what the cloud would do for the map as it stands now. False: it does not pay. */
static bool appraise(struct fm_engine_cloud *cloud, struct fastmap_forecast *to)
{
    double saved_s;
    if (cloud->group == NULL)
        return false;
    cloud->grant = (struct fm_tier_cloud_grant){0}; /* of the last map */
    const struct fm_sched_offer of = offer(cloud, begin_s(cloud) + latency_ns(cloud) * 1e-9);
    const size_t x = share(&of, &saved_s);
    estimate(cloud, &of, x, to);
    cloud->offer.vcpus = vcpus(cloud);
    const bool pays = x > 0 && (isinf(saved_s) || is_worth(&of, saved_s));
    note(cloud, pays ? FASTMAP_CLOUD_LATE : FASTMAP_CLOUD_NO_GAIN, &of, x);
    if (!pays)
        return false;
    const double estimated = (double)nano(cloud, (double)x) * BUDGET;
    const double least = HELD_S * vcpus(cloud) * (double)cloud->account.price / PRICE_SECONDS;
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
    if (left <= 0) {
        (void)snprintf(why, FM_TIER_CLOUD_WHY, "%s",
                       cloud->account.balance <= 0
                           ? "the account's balance is used up: add credit to it"
                           : "max_charge is used up: raise it to spend more");
        *use = FASTMAP_CLOUD_NO_MONEY;
        return false;
    }
    *use = FASTMAP_CLOUD_DECLINED;
    if (!fm_engine_question_put(cloud, appraise_now, why))
        return false;
    return appraise_now(cloud, &now);
}

/* ---- Spans ---- */

/* Where every vCPU has a span it waits its turn. */
static double computed_ns(const struct fm_engine_cloud *cloud, size_t count)
{
    const double before = (double)cloud->flying_elements;
    const double cost_ns = cloud_cost_ns(cloud);
    return cost_ns * (double)count +
           (cloud->flying_spans < vcpus(cloud) ? 0 : cost_ns / vcpus(cloud) * before);
}

double fm_engine_purse_return_ns(const struct fm_engine_cloud *cloud, size_t count)
{
    const double moved_ns = transport_ns(cloud) * (double)(cloud->flying_elements + count);
    const double worked_ns = computed_ns(cloud, count);
    return cloud->account.round_trip * 1e9 + (worked_ns > moved_ns ? worked_ns : moved_ns);
}

void fm_engine_purse_sent(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece)
{
    const double round_trip_ns = cloud->account.round_trip * 1e9;
    const double done = done_ns(cloud) + thief_ns(cloud) * (double)piece->count;
    const double alone_ns = round_trip_ns + cloud_cost_ns(cloud) * (double)piece->count;
    const double queued_ns = done + round_trip_ns / 2;
    cloud->done_ticks = fm_base_ticks() + fm_base_ns_to_ticks(done);
    piece->expected_ns = alone_ns > queued_ns ? alone_ns : queued_ns;
    piece->computed_ns = round_trip_ns + computed_ns(cloud, piece->count);
    piece->ahead = cloud->flying_elements + piece->count;
}

double fm_engine_purse_ahead_ns(const struct fm_engine_cloud *cloud)
{
    const double spans = (double)(cloud->flying_spans > 0 ? cloud->flying_spans : 1);
    return cloud->account.round_trip * 1e9 +
           cloud_cost_ns(cloud) * (double)cloud->flying_elements / spans;
}

bool fm_engine_purse_gains(const struct fm_engine_cloud *cloud)
{
    double saved_s;
    const struct fm_sched_offer of = offer(cloud, latency_ns(cloud) * 1e-9);
    return share(&of, &saved_s) > 1 && (isinf(saved_s) || is_worth(&of, saved_s));
}

static size_t span_bound(const struct fm_engine_cloud *cloud)
{
    const size_t bytes = (size_t)fm_engine_purse_bytes(cloud);
    return bytes > 0 ? cloud->grant.span_bytes / bytes : SIZE_MAX;
}

double fm_engine_purse_trusted(const struct fm_engine_cloud *cloud)
{
    const double first = WINDOW / (cloud->account.round_trip + WINDOW_S);
    return cloud->bytes_per_s > first ? cloud->bytes_per_s : first;
}

/* How many elements more the link is trusted with: what has come back shows what it carries, and what is on a
   slow one cannot be taken back. */
static size_t window(const struct fm_engine_cloud *cloud)
{
    const double bytes = fm_engine_purse_bytes(cloud);
    if (bytes <= 0)
        return SIZE_MAX;
    const double known = cloud->bytes_per_s * (cloud->account.round_trip + WINDOW_S);
    const double elements =
        (known > WINDOW ? known : WINDOW) / bytes + (cloud->held_up ? 0 : (double)cloud->returned);
    const double more = elements - (double)cloud->flying_elements;
    const double most = more < elements / WINDOW_SPANS ? more : elements / WINDOW_SPANS;
    return more < 1 && cloud->flying_elements > 0 ? 0 : most < 1 ? 1 : (size_t)most;
}

/* For how long a span should keep a worker there: a part of its share of what the cloud has, so that the last
   ones end together, but not so little that spans are mostly overhead, or that more of them are needed to
   hide a round trip than may be on their way. */
static double span_s(const struct fm_engine_cloud *cloud, double share_s)
{
    const double each = (double)cloud->grant.spans_in_flight / vcpus(cloud) - DEPTH;
    const double hiding = each < HIDING_LEAST  ? HIDING_LEAST
                          : each < HIDING_MOST ? each
                                               : HIDING_MOST;
    const double hidden_s = cloud->account.round_trip / hiding;
    const double costly_s = SPAN_EACH_S * vcpus(cloud);
    const double least_s = hidden_s > costly_s ? hidden_s : costly_s;
    const double wished_s = share_s / SPANS_LEFT;
    return wished_s < least_s ? least_s : wished_s < SPAN_MOST_S ? wished_s : SPAN_MOST_S;
}

/* As many elements that all vCPUs get the same number of spans of the same size. */
static size_t even(const struct fm_engine_cloud *cloud, double all, double share_s)
{
    const double spans = floor(share_s / span_s(cloud, share_s));
    const double count = ceil(all / vcpus(cloud) / (spans > 1 ? spans : 1));
    return count > 1 ? (size_t)count : 1;
}

/* Whether as much is on its way as keeps all vCPUs busy until more can be there. */
static bool is_enough(const struct fm_engine_cloud *cloud, double each_s, double share_s)
{
    return cloud->flying_spans >= DEPTH * vcpus(cloud) &&
           (double)cloud->flying_elements * each_s >
               cloud->account.round_trip + DEPTH * span_s(cloud, share_s);
}

size_t fm_engine_purse_span(const struct fm_engine_cloud *cloud, bool *pays)
{
    double saved_s;
    *pays = true;
    if (cloud->waiting == NULL || cloud->flying_spans >= cloud->grant.spans_in_flight ||
        fm_engine_pieces_is_silent(cloud))
        return 0;
    const struct fm_sched_offer of = offer(cloud, latency_ns(cloud) * 1e-9);
    const size_t x = share(&of, &saved_s);
    *pays = x > 0;
    const double all = (double)(x + cloud->flying_elements);
    const double each_s = cloud_cost_ns(cloud) * 1e-9 / vcpus(cloud);
    if (is_enough(cloud, each_s, all * each_s))
        return 0;
    const size_t count = even(cloud, all, all * each_s);
    const size_t bound = span_bound(cloud);
    const size_t open = window(cloud);
    const size_t fit = open < bound ? open : bound;
    const size_t least = count < fit ? count : fit;
    return x < least ? x : least;
}
