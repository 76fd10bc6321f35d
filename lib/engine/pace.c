/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast both sides are, as far as is known at that moment, and what follows: what the cloud should get
 * of what is left, how large the next span is, and when it should be back. Work is in elements of mean
 * cost, bytes go with elements: where these differ and are in order, the cloud has the dear ones, of which
 * there are fewer.
 */
#include <math.h>

#include "base/clock.h"
#include "engine/cloud.h"
#include "sched/split.h"

#define GAIN 0.05   /* of the time that is left: the least that is worth it, and ... */
#define GAIN_S 0.02 /* ... in seconds */
#define VCPUS_GUESS 4
#define HOPED_PER_S \
    125e6 /* bytes, for trials, as long as nothing was held up: windows bound what is lost */
#define SPAN_EACH_S 0.001 /* for each vCPU: shorter spans are mostly overhead */
#define SPAN_MOST_S 1.0
#define SPANS_LEFT 4     /* a worker's share of what waits is sent in so many spans, */
#define SPANS_KNOWN 3    /* in so many, where costs are known, */
#define DEPTH 2          /* of which so many are on their way, and those that a round trip hides: */
#define HIDING_LEAST 0.5 /* so many for each vCPU at least, */
#define HIDING_MOST 2.0  /* and at most */
#define EARLY 0.1        /* of what they take, before those are done that are known, and ... */
#define EARLY_S 0.002    /* ... so long, the next span is there */
#define PROBE 1.1        /* times as much as a link is known to carry is sent over it, ... */
#define QUEUE_S 0.01     /* ... and no more than this before it has gone */
#define WINDOW 262144.0  /* bytes on their way at first; each byte that is back lets one more go */
#define WINDOW_SPANS 8   /* of these, so many spans at least */
#define WINDOW_S 0.2     /* or what the link carries in so long and a round trip */

int fm_engine_pace_vcpus(const struct fm_engine_cloud *cloud)
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
    return cloud->rate > 0 ? fm_engine_pace_vcpus(cloud) * 1e9 / cloud->rate : owner_cost_ns(cloud);
}

double fm_engine_pace_bytes(const struct fm_engine_cloud *cloud)
{
    const struct fm_tier_cloud_map *offer = &cloud->offer;
    return (double)(offer->in_size > offer->out_size ? offer->in_size : offer->out_size);
}

static bool is_ordered(const struct fm_engine_cloud *cloud)
{
    return cloud->group->course != NULL && cloud->group->course->ordered;
}

/* ---- The link ---- */

double fm_engine_pace_transport_ns(const struct fm_engine_cloud *cloud)
{
    const double per_s =
        cloud->held_up || cloud->bytes_per_s > HOPED_PER_S ? cloud->bytes_per_s : HOPED_PER_S;
    return fm_engine_pace_bytes(cloud) / per_s * 1e9;
}

/* How many elements make the work of one, of those that the cloud has, or would have first. */
static double elements_each(const struct fm_engine_cloud *cloud)
{
    if (!is_ordered(cloud))
        return 1;
    if (cloud->waiting_work > 0)
        return (double)cloud->waiting_elements / cloud->waiting_work;
    const size_t n = cloud->group->map->n;
    const size_t border = cloud->group->course->all.border;
    const double work = fm_tier_course_work(fm_engine_cloud_course(cloud), border, n);
    return work > 0 ? (double)(n - border) / work : 1;
}

double fm_engine_pace_trusted(const struct fm_engine_cloud *cloud)
{
    const double first = WINDOW / (cloud->account.round_trip + WINDOW_S);
    return cloud->bytes_per_s > first ? cloud->bytes_per_s : first;
}

/* How many elements more the link is trusted with: what has come back shows what it carries, and what is on a
   slow one cannot be taken back. */
static size_t window(const struct fm_engine_cloud *cloud)
{
    const double bytes = fm_engine_pace_bytes(cloud);
    if (bytes <= 0)
        return SIZE_MAX;
    const double known = cloud->bytes_per_s * (cloud->account.round_trip + WINDOW_S);
    const double elements =
        (known > WINDOW ? known : WINDOW) / bytes + (cloud->held_up ? 0 : (double)cloud->returned);
    const double more = elements - (double)cloud->flying_elements;
    const double most = more < elements / WINDOW_SPANS ? more : elements / WINDOW_SPANS;
    return more < 1 && cloud->flying_elements > 0 ? 0 : most < 1 ? 1 : (size_t)most;
}

/* ---- Who takes how long ---- */

/* For how long so many elements of so much work keep the service busy, all its vCPUs and the way there and
   back together, which overlap. */
static double busy_ns(const struct fm_engine_cloud *cloud, double elements, double work)
{
    const bool by_rate = cloud->rate > 0 && !(is_ordered(cloud) && cloud->held_up);
    if (by_rate)
        return 1e9 / cloud->rate * work;
    return fmax(owner_cost_ns(cloud) / fm_engine_pace_vcpus(cloud) * work,
                fm_engine_pace_transport_ns(cloud) * elements);
}

/* An element of those that it would have next. */
static double thief_ns(const struct fm_engine_cloud *cloud)
{
    return busy_ns(cloud, elements_each(cloud), 1);
}

/* Until the service has computed all that is on its way, from now. It works on from what was sent before, and
   begins half a round trip from now at the earliest. */
static double done_ns(const struct fm_engine_cloud *cloud)
{
    const double half_ns = cloud->account.round_trip * 5e8;
    const double most_ns =
        half_ns + busy_ns(cloud, (double)cloud->flying_elements, cloud->flying_work);
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

/* ---- The split ---- */

struct fm_sched_offer fm_engine_pace_offer(const struct fm_engine_cloud *cloud, double more_s)
{
    const double workers = cloud->group->sched.workers;
    return (struct fm_sched_offer){
        .left = fm_engine_jobs_unbegun(cloud->group) + (size_t)ceil(cloud->waiting_work),
        .begun = fm_engine_jobs_begun(cloud->group) * workers,
        .owner_ns = workers > 0 ? owner_cost_ns(cloud) / workers : INFINITY,
        .thief_ns = thief_ns(cloud),
        .latency_ns = more_s * 1e9 + latency_ns(cloud),
    };
}

size_t fm_engine_pace_share(const struct fm_sched_offer *of, double *saved_s)
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

bool fm_engine_pace_is_worth(const struct fm_sched_offer *of, double saved_s)
{
    const double alone_s = fm_sched_makespan_ns(of, 0) * 1e-9;
    return isinf(saved_s) || (saved_s > GAIN_S && saved_s > GAIN * alone_s);
}

bool fm_engine_pace_gains(const struct fm_engine_cloud *cloud)
{
    double saved_s;
    const struct fm_sched_offer of = fm_engine_pace_offer(cloud, 0);
    return fm_engine_pace_share(&of, &saved_s) > 1 && fm_engine_pace_is_worth(&of, saved_s);
}

/* ---- When what is sent is back ---- */

/* Where every vCPU has a span it waits its turn. */
static double computed_ns(const struct fm_engine_cloud *cloud, double work)
{
    const double cost_ns = cloud_cost_ns(cloud);
    const int vcpus = fm_engine_pace_vcpus(cloud);
    return cost_ns * work +
           (cloud->flying_spans < vcpus ? 0 : cost_ns / vcpus * cloud->flying_work);
}

double fm_engine_pace_return_ns(const struct fm_engine_cloud *cloud, size_t count, double work)
{
    const double moved_ns =
        fm_engine_pace_transport_ns(cloud) * (double)(cloud->flying_elements + count);
    const double worked_ns = computed_ns(cloud, work);
    return cloud->account.round_trip * 1e9 + (worked_ns > moved_ns ? worked_ns : moved_ns);
}

/* The link has so much more to carry; where it is as slow as that, a little less, or it would never be
   found to be faster. */
static void load_link(struct fm_engine_cloud *cloud, size_t count)
{
    const uint64_t now = fm_base_ticks();
    const double carry_ns = fm_engine_pace_transport_ns(cloud) * (double)count / PROBE;
    const uint64_t from = cloud->link_free_ticks > now ? cloud->link_free_ticks : now;
    cloud->link_free_ticks = from + fm_base_ns_to_ticks(carry_ns);
}

/* How much longer the link has enough to carry. Connections share it: what is sent at once arrives at once,
   late, and what is sent one after the other arrives so. */
static double loaded_s(const struct fm_engine_cloud *cloud)
{
    const uint64_t now = fm_base_ticks();
    if (!cloud->held_up || cloud->link_free_ticks <= now)
        return 0;
    const double s = fm_base_ticks_to_ns(cloud->link_free_ticks - now) * 1e-9 - QUEUE_S;
    return s > 0 ? s : 0;
}

void fm_engine_pace_sent(struct fm_engine_cloud *cloud, struct fm_engine_piece *piece)
{
    load_link(cloud, piece->count);
    const double round_trip_ns = cloud->account.round_trip * 1e9;
    const double done = done_ns(cloud) + busy_ns(cloud, (double)piece->count, piece->work);
    cloud->done_ticks = fm_base_ticks() + fm_base_ns_to_ticks(done);
    piece->alone_ns = cloud_cost_ns(cloud) * piece->work;
    piece->expected_ns = fmax(round_trip_ns + piece->alone_ns, done + round_trip_ns / 2);
    piece->computed_ns = round_trip_ns + computed_ns(cloud, piece->work);
    piece->ahead = cloud->flying_elements + piece->count;
}

double fm_engine_pace_ahead_ns(const struct fm_engine_cloud *cloud)
{
    const double spans = (double)(cloud->flying_spans > 0 ? cloud->flying_spans : 1);
    return cloud->account.round_trip * 1e9 + cloud_cost_ns(cloud) * cloud->flying_work / spans;
}

/* ---- Spans ---- */

static size_t span_bound(const struct fm_engine_cloud *cloud)
{
    const size_t bytes = (size_t)fm_engine_pace_bytes(cloud);
    return bytes > 0 ? cloud->grant.span_bytes / bytes : SIZE_MAX;
}

/* For how long a span should keep a worker there: a part of its share of what the cloud has, so that the last
   ones end together, but not so little that spans are mostly overhead, or that more of them are needed to
   hide a round trip than may be on their way. */
static double span_s(const struct fm_engine_cloud *cloud, double share_s)
{
    const int vcpus = fm_engine_pace_vcpus(cloud);
    const double each = (double)cloud->grant.spans_in_flight / vcpus - DEPTH;
    const double hiding = each < HIDING_LEAST  ? HIDING_LEAST
                          : each < HIDING_MOST ? each
                                               : HIDING_MOST;
    const double hidden_s = cloud->account.round_trip / hiding;
    const double costly_s = SPAN_EACH_S * vcpus;
    const double least_s = hidden_s > costly_s ? hidden_s : costly_s;
    const double wished_s = share_s / (is_ordered(cloud) ? SPANS_KNOWN : SPANS_LEFT);
    return wished_s < least_s ? least_s : wished_s < SPAN_MOST_S ? wished_s : SPAN_MOST_S;
}

/* So much work that all vCPUs get the same number of spans of the same size. Of elements that are all alike
   a whole number; of those that are known, and come in order, less when every vCPU has a span: what makes up
   for their being uneven. */
static double portion(const struct fm_engine_cloud *cloud, double all, double left)
{
    const int vcpus = fm_engine_pace_vcpus(cloud);
    const double cost_s = cloud_cost_ns(cloud) * 1e-9;
    const double share_s = all * cost_s / vcpus;
    const double spans = floor(share_s / span_s(cloud, share_s));
    const double work = all / vcpus / (spans > 1 ? spans : 1);
    if (!is_ordered(cloud))
        return ceil(work);
    const double rest = fmax(left / vcpus, SPAN_EACH_S * vcpus / cost_s);
    return cloud->flying_spans < vcpus || work < rest ? work : rest;
}

/* How many elements of the piece are the work, and where their costs are known no more than that, but one. */
static size_t cut(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                  double work)
{
    const struct fm_tier_course *course = fm_engine_cloud_course(cloud);
    const size_t end = piece->first + piece->count;
    const size_t count = fm_tier_course_highest(course, piece->first, end, work);
    const bool is_much =
        is_ordered(cloud) && count > 1 && fm_tier_course_work(course, end - count, end) > work;
    return is_much ? count - 1 : count;
}

/* Until the first of the vCPUs, all of which have a span, needs another one to be sent. */
static double spare_s(const struct fm_engine_cloud *cloud)
{
    double least_ns = INFINITY;
    for (const struct fm_engine_piece *piece = cloud->flying; piece != NULL; piece = piece->next)
        least_ns = fmin(least_ns, piece->alone_ns * (1 - EARLY) - fm_engine_pieces_age_ns(piece));
    return least_ns * 1e-9 - EARLY_S;
}

double fm_engine_pace_pause_s(const struct fm_engine_cloud *cloud)
{
    const bool all_busy = is_ordered(cloud) && cloud->flying_spans >= fm_engine_pace_vcpus(cloud);
    const double pause_s = fmax(loaded_s(cloud), all_busy ? spare_s(cloud) : 0);
    return pause_s > 0 ? pause_s : INFINITY;
}

/* Whether as much is on its way as keeps all vCPUs busy until more can be there. Where it is known how long
   each lasts, what waits for its turn is rather not yet sent. */
static bool is_enough(const struct fm_engine_cloud *cloud, double each_s, double share_s)
{
    if (!isinf(fm_engine_pace_pause_s(cloud)))
        return true;
    return cloud->flying_spans >= DEPTH * fm_engine_pace_vcpus(cloud) &&
           cloud->flying_work * each_s > cloud->account.round_trip + DEPTH * span_s(cloud, share_s);
}

size_t fm_engine_pace_span(const struct fm_engine_cloud *cloud, bool *pays)
{
    double saved_s;
    const struct fm_engine_piece *next = fm_engine_pieces_next(cloud);
    *pays = true;
    if (next == NULL || cloud->flying_spans >= cloud->grant.spans_in_flight ||
        fm_engine_pieces_is_silent(cloud))
        return 0;
    const struct fm_sched_offer of = fm_engine_pace_offer(cloud, 0);
    const double x = (double)fm_engine_pace_share(&of, &saved_s);
    *pays = x > 0;
    const double all = x + cloud->flying_work;
    const double each_s = cloud_cost_ns(cloud) * 1e-9 / fm_engine_pace_vcpus(cloud);
    if (!*pays || is_enough(cloud, each_s, all * each_s))
        return 0;
    const size_t count = cut(cloud, next, fmin(x, portion(cloud, all, x)));
    const size_t bound = span_bound(cloud);
    const size_t open = window(cloud);
    const size_t fit = open < bound ? open : bound;
    return count < fit ? count : fit;
}
