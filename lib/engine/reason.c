/* SPDX-License-Identifier: BSD-3-Clause */
/* What was decided about the cloud, and by which figures. See reason.h. */
#include "engine/reason.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/cloud.h"
#include "tier/local/local.h"

#define SAY_S 1.0 /* between lines about what goes to and fro */

static bool is_loud(const struct fm_engine_cloud *cloud)
{
    return cloud->session->settings.verbosity >= FASTMAP_VERBOSITY_LOUD;
}

void fm_engine_reason_begin(struct fm_engine_cloud *cloud)
{
    cloud->reason = (struct fm_engine_reason){.use = FASTMAP_CLOUD_SHORT};
}

static void say_wanted(const struct fm_engine_cloud *cloud)
{
    char left[FM_BASE_UNITS_BYTES];
    char with[FM_BASE_UNITS_BYTES];
    const struct fm_engine_reason *reason = &cloud->reason;
    if (!(reason->left_s > 0)) /* nothing is computed here */
        return;
    fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_LOUD,
                "the cloud is asked for: the rest takes %s here, about %s with it",
                fm_base_units_seconds(reason->left_s, left),
                fm_base_units_seconds(reason->with_s, with));
}

void fm_engine_reason_note(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use, double left_s,
                           double with_s)
{
    struct fm_engine_reason *reason = &cloud->reason;
    if (use == FASTMAP_CLOUD_SHORT &&
        (reason->use != FASTMAP_CLOUD_SHORT || left_s < reason->left_s))
        return;
    const bool wanted = use == FASTMAP_CLOUD_LATE && reason->use != FASTMAP_CLOUD_LATE;
    reason->use = use;
    reason->left_s = left_s;
    reason->with_s = with_s;
    if (wanted && is_loud(cloud))
        say_wanted(cloud);
}

void fm_engine_reason_end(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use,
                          const char *said)
{
    cloud->reason.use = use;
    (void)snprintf(cloud->reason.said, sizeof cloud->reason.said, "%s", said);
}

void fm_engine_reason_opened(struct fm_engine_cloud *cloud)
{
    char trip[FM_BASE_UNITS_BYTES];
    cloud->reason.opened = true;
    if (is_loud(cloud))
        fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_LOUD,
                    "the cloud grants %d of %d vCPUs and up to $%.9f; round trip %s",
                    cloud->grant.vcpus, cloud->offer.vcpus, (double)cloud->grant.hold * 1e-9,
                    fm_base_units_seconds(cloud->account.round_trip, trip));
}

/* False: a line about the map was told a moment ago. */
static bool may_tell(struct fm_engine_cloud *cloud)
{
    const uint64_t now = fm_base_ticks();
    if (!is_loud(cloud) || (cloud->reason.told_ticks != 0 &&
                            fm_base_ticks_to_ns(now - cloud->reason.told_ticks) < SAY_S * 1e9))
        return false;
    cloud->reason.told_ticks = now;
    return true;
}

void fm_engine_reason_vcpus(struct fm_engine_cloud *cloud)
{
    if (may_tell(cloud))
        fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_LOUD,
                    "the cloud has %d of %d vCPUs for the map now", cloud->grant.vcpus,
                    cloud->offer.vcpus);
}

void fm_engine_reason_sends(struct fm_engine_cloud *cloud, bool sends)
{
    char rate[FM_BASE_UNITS_BYTES];
    if (!may_tell(cloud))
        return;
    fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_LOUD,
                sends ? "the cloud gets elements again; it delivers %s, as %.1f threads here would"
                      : "the cloud gets no more for now, since the rest is done here sooner; it "
                        "delivers %s, as %.1f threads here would",
                fm_base_units_rate(cloud->rate, rate), cloud->worth);
}

/* ---- Into the report ---- */

static void clear(struct fastmap_report *report, enum fastmap_cloud_use use)
{
    report->cloud_use = use;
    report->ranks_rate = 0;
    report->cloud_rate = 0;
    report->cloud_round_trip = 0;
    report->cloud_bytes_per_s = 0;
    report->cloud_left_seconds = 0;
    report->cloud_with_seconds = 0;
    report->cloud_vcpus = 0;
    report->cloud_vcpus_wished = 0;
    report->cloud_vcpus_account = 0;
    report->cloud_said[0] = '\0';
}

static double per_second(size_t elements, const struct fastmap_report *report)
{
    return report->seconds > 0 ? (double)elements / report->seconds : 0;
}

static enum fastmap_cloud_use unused(const struct fastmap_session *session)
{
    if (session->settings.secret == NULL || session->settings.cloud_url == NULL)
        return FASTMAP_CLOUD_UNSET;
    return session->settings.exec_policy == FASTMAP_EXEC_POLICY_LOCAL ? FASTMAP_CLOUD_POLICY
                                                                      : FASTMAP_CLOUD_ELSEWHERE;
}

/* One that its session has lost, or never had. */
static void report_lost(struct fastmap_report *report, const char *said)
{
    report->cloud_use = FASTMAP_CLOUD_FAILED;
    (void)snprintf(report->cloud_said, sizeof report->cloud_said, "%s", said);
}

void fm_engine_reason_local(const struct fm_engine_map *run, struct fastmap_report *report)
{
    clear(report, unused(run->session));
    report->local_rate = per_second(report->elements, report);
    if (report->cloud_use != FASTMAP_CLOUD_ELSEWHERE || fm_local_inside())
        return;
    if (run->map->n < 2 || (run->predicted_ns > 0 &&
                            fm_engine_purse_is_short((double)run->map->n * run->predicted_ns)))
        report->cloud_use = FASTMAP_CLOUD_SHORT;
    else if (run->session->no_cloud)
        report_lost(report, "its plugin does not load");
}

static void report_cloud(const struct fm_engine_cloud *cloud, struct fastmap_report *report)
{
    const struct fm_engine_reason *reason = &cloud->reason;
    report->cloud_use = report->cloud > 0 && (reason->use == FASTMAP_CLOUD_LATE ||
                                              !fm_engine_gateway_is_here(cloud->world))
                            ? FASTMAP_CLOUD_USED
                            : reason->use;
    report->cloud_rate = cloud->rate > 0 ? cloud->rate : per_second(report->cloud, report);
    report->cloud_round_trip = cloud->account.round_trip;
    report->cloud_bytes_per_s = cloud->bytes_per_s;
    report->cloud_left_seconds = reason->left_s;
    report->cloud_with_seconds = reason->with_s;
    report->cloud_vcpus_account = cloud->account.vcpus;
    report->cloud_vcpus_wished = reason->use >= FASTMAP_CLOUD_NO_GAIN ? cloud->offer.vcpus : 0;
    report->cloud_vcpus = reason->opened ? cloud->grant.vcpus : 0;
    memcpy(report->cloud_said, reason->said, sizeof report->cloud_said);
}

void fm_engine_reason_report(const struct fm_engine_group *group, struct fastmap_report *report)
{
    const size_t away = report->away < report->elements ? report->away : report->elements;
    clear(report, unused(group->session));
    report->local_rate = per_second(report->elements - away, report);
    report->ranks_rate = per_second(away > report->cloud ? away - report->cloud : 0, report);
    if (group->cloud == NULL && report->cloud_use != FASTMAP_CLOUD_ELSEWHERE)
        return;
    const struct fm_engine_cloud *cloud = group->session->cloud;
    pthread_mutex_lock(&group->world->mutex);
    if (group->cloud != NULL)
        report_cloud(group->cloud, report);
    else if (cloud != NULL && cloud->state == FM_ENGINE_CLOUD_BROKEN)
        report_lost(report, cloud->reason.said);
    pthread_mutex_unlock(&group->world->mutex);
}
