/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What answers say of the link and of the service: how many bytes a second the one carries, and how much
 * work a second comes back from the other. Under the mutex.
 */
#include <math.h>

#include "base/clock.h"
#include "engine/cloud.h"

#define LINK_SPANS 4   /* that are looked at together, */
#define LATE 0.5       /* and are late if they take so much longer than they should, */
#define LATE_S 0.01    /* and so long each */
#define SUPPLY_WAVES 2 /* of spans on all vCPUs, by which it shows that they are not kept busy */
#define TELLING_BYTES 32768.0 /* fewer are held up by something else */
#define TRUST 2.0 /* times what it was trusted with, at once: bytes may have overtaken each other */
#define PUNCTUAL 0.1     /* and within this of it, and ... */
#define PUNCTUAL_S 0.002 /* ... this each, nobody can tell */
#define RATED_S 0.1      /* the rate is measured over so long at least */
#define RATED_TRIPS 2    /* and so many round trips, */
#define RATED_WAVES 3    /* and so many spans of each vCPU */
#define STEADY 0.2       /* a change of vCPUs by more than that begins a new measurement */
#define WORKERS_MOST 4.0 /* times its vCPUs: more than that is a mistake of the measurement */

/* The link carries so much at least. */
static void note_carried(struct fm_engine_cloud *cloud, double bytes_per_s)
{
    if (bytes_per_s > cloud->bytes_per_s)
        cloud->bytes_per_s = bytes_per_s;
}

/* The link carries so much and no more. */
static void note_limit(struct fm_engine_cloud *cloud, double bytes_per_s)
{
    cloud->bytes_per_s = cloud->held_up ? (cloud->bytes_per_s + bytes_per_s) / 2 : bytes_per_s;
    cloud->held_up = true;
}

/* What comes back much later than it should, by what it takes to compute it and what was sent before, is
   held up by the link, which then carries what comes back and no more. Else it has carried what was sent
   before it in the time for which it was away but not computed. */
static void judge_link(struct fm_engine_cloud *cloud, const struct fm_engine_link *link)
{
    const double seconds = fm_base_ticks_to_ns(fm_base_ticks() - link->from_ticks) * 1e-9;
    const double late_s = link->taken_s - link->expected_s;
    const double trips_s = LINK_SPANS * cloud->account.round_trip;
    const double much_s = LATE * (link->expected_s - trips_s) + LINK_SPANS * LATE_S;
    if (late_s > much_s && link->back_bytes > TELLING_BYTES) {
        note_limit(cloud, link->back_bytes / seconds);
        return;
    }
    const double waited_s = fmax(link->away_s - link->alone_s, 0) + PUNCTUAL * link->expected_s;
    cloud->held_up = cloud->held_up && link->ahead_bytes / cloud->bytes_per_s <
                                           (1 + LATE) * waited_s + LINK_SPANS * LATE_S;
    if (!cloud->held_up) {
        const double carried = link->ahead_bytes / (waited_s + LINK_SPANS * PUNCTUAL_S);
        const double most = TRUST * fm_engine_pace_trusted(cloud);
        note_carried(cloud, carried < most ? carried : most);
    }
}

/* How long its elements have taken there, which trails tell; else as long as was thought, or as much CPU
   time. */
static double own_s(const struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                    const struct fm_tier_cloud_answer *answer)
{
    return cloud->offer.trail && answer->computed == piece->count
               ? fm_engine_pieces_taken_ns(cloud, piece) * 1e-9
               : fmax(piece->alone_ns * 1e-9, answer->cpu_s);
}

/* Where vCPUs have less to do than there is on its way, the link does not bring them more. */
static void note_supply(struct fm_engine_cloud *cloud, double own_s, double bytes)
{
    struct fm_engine_supply *supply = &cloud->supply;
    const int vcpus = fm_engine_pace_vcpus(cloud);
    const uint64_t now = fm_base_ticks();
    if (cloud->returned == 0 || cloud->flying_spans < vcpus) {
        *supply = (struct fm_engine_supply){.from_ticks = now};
        return;
    }
    supply->spans++;
    supply->own_s += own_s;
    supply->bytes += bytes;
    if (supply->spans < LINK_SPANS || supply->spans < SUPPLY_WAVES * vcpus)
        return;
    const double seconds = fm_base_ticks_to_ns(now - supply->from_ticks) * 1e-9;
    if (seconds > (1 + LATE) * supply->own_s / vcpus + LINK_SPANS * LATE_S &&
        supply->bytes > TELLING_BYTES)
        note_limit(cloud, supply->bytes / seconds);
    *supply = (struct fm_engine_supply){.from_ticks = now};
}

static void note_link(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                      const struct fm_tier_cloud_answer *answer)
{
    struct fm_engine_link *link = &cloud->link;
    const double bytes = fm_engine_pace_bytes(cloud);
    const double own = own_s(cloud, piece, answer);
    note_supply(cloud, own, (double)answer->computed * bytes);
    if (cloud->returned == 0) /* the first of a map: what went before it is not known */
        *link = (struct fm_engine_link){.from_ticks = fm_base_ticks()};
    else
        link->back_bytes += (double)answer->computed * bytes;
    link->spans++;
    link->ahead_bytes += (double)piece->ahead * bytes;
    link->alone_s += cloud->account.round_trip + own;
    link->expected_s += (piece->computed_ns - piece->alone_ns) * 1e-9 + own;
    link->taken_s += answer->seconds;
    link->away_s += fm_engine_pieces_age_ns(piece) * 1e-9;
    if (link->spans < LINK_SPANS)
        return;
    judge_link(cloud, link);
    *link = (struct fm_engine_link){.from_ticks = fm_base_ticks()};
}

/* Too short a map to be rated: what it has moved at all. */
void fm_engine_link_end(struct fm_engine_cloud *cloud, uint64_t begun)
{
    const double seconds =
        fm_base_ticks_to_ns(fm_base_ticks() - begun) * 1e-9 - cloud->account.round_trip;
    const double carried = (double)cloud->returned * fm_engine_pace_bytes(cloud) / seconds;
    if (seconds > 0)
        note_carried(cloud, carried);
}

void fm_engine_link_begin(struct fm_engine_cloud *cloud)
{
    cloud->rated = 0;
    cloud->rated_elements = 0;
    cloud->rated_spans = 0;
    cloud->rated_from_ticks = fm_base_ticks();
}

/* Spans that began together come back together, and a rate over a few of such waves would say anything. */
static bool is_rated(const struct fm_engine_cloud *cloud, double seconds)
{
    const int at_once =
        cloud->flying_spans < cloud->grant.vcpus ? cloud->flying_spans : cloud->grant.vcpus;
    return seconds > RATED_S && seconds > RATED_TRIPS * cloud->account.round_trip &&
           cloud->rated > 0 && cloud->rated_spans > RATED_WAVES * at_once;
}

/* The rate at which elements come back while there are always some to send; from the first that is back. */
static void note_rate(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                      const struct fm_tier_cloud_answer *answer)
{
    const double work = fm_tier_course_work(fm_engine_cloud_course(cloud), piece->first,
                                            piece->first + answer->computed);
    if (answer->computed > 0)
        cloud->cost_s = answer->cpu_s / work;
    cloud->rated += work;
    cloud->rated_elements += answer->computed;
    cloud->rated_spans++;
    const double seconds = fm_base_ticks_to_ns(fm_base_ticks() - cloud->rated_from_ticks) * 1e-9;
    if (cloud->returned == 0 || cloud->waiting == NULL || cloud->sched.workers <= 0) {
        fm_engine_link_begin(cloud);
        return;
    }
    if (!is_rated(cloud, seconds))
        return;
    const double rate = cloud->rated / seconds;
    note_carried(cloud, (double)cloud->rated_elements / seconds * fm_engine_pace_bytes(cloud));
    cloud->rate = cloud->rate > 0 ? (cloud->rate + rate) / 2 : rate;
    fm_engine_pieces_expect(cloud);
    fm_engine_link_begin(cloud);
    const double workers = cloud->rate * cloud->group->sched.cost_ns * 1e-9;
    const double most = WORKERS_MOST * cloud->grant.vcpus;
    if (workers > 0 && !cloud->over)
        fm_engine_cloud_ready(cloud, workers < most ? workers : most);
}

void fm_engine_link_note(struct fm_engine_cloud *cloud, const struct fm_engine_piece *piece,
                         const struct fm_tier_cloud_answer *answer)
{
    if (fm_engine_pace_bytes(cloud) > 0)
        note_link(cloud, piece, answer);
    note_rate(cloud, piece, answer);
}

/* The map has another number of vCPUs from now on: the rate goes with it until it has been measured again. */
void fm_engine_link_vcpus(struct fm_engine_cloud *cloud, int vcpus)
{
    if (vcpus <= 0 || vcpus == cloud->grant.vcpus)
        return;
    const double factor = (double)vcpus / cloud->grant.vcpus;
    cloud->grant.vcpus = vcpus;
    cloud->rate *= factor;
    cloud->worth *= factor;
    if (fabs(factor - 1) > STEADY)
        fm_engine_link_begin(cloud);
    if (factor < 1) /* and what is being computed is not sooner done where there are more */
        fm_engine_pieces_delay(cloud, 1 / factor);
    fm_engine_reason_vcpus(cloud);
    if (cloud->sched.workers > 0 && !cloud->over)
        fm_engine_cloud_ready(cloud, cloud->worth);
}
