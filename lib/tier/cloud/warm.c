/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that spans will need, made while the map is being opened. A new one costs two or three round
 * trips before its first byte, so that the first spans of a map behind a long link would all come back late.
 * Each is made by a call that says nothing; what becomes of it does not matter. Behind a short link, spans
 * make their own.
 */
#include <stdlib.h>

#include "tier/cloud/cloud.h"
#include "tier/cloud/say.h"

#define TRIP_LEAST_S 0.005
#define EACH_VCPU 2
#define MOST 32
#define STAYS_S 20.0 /* connections that nobody has used for longer may be gone */

static int needed(const struct fm_cloud *cloud, int vcpus)
{
    const int wished = vcpus < MOST / EACH_VCPU ? EACH_VCPU * vcpus : MOST;
    return (wished < cloud->limits.spans_in_flight ? wished : cloud->limits.spans_in_flight) - 1;
}

void fm_cloud_warm_begin(struct fm_cloud *cloud, int vcpus)
{
    const double now = fm_cloud_now();
    const bool are_there = cloud->warm_s > 0 && now - cloud->warm_s < STAYS_S;
    const int count = needed(cloud, vcpus);
    fm_cloud_warm_end(cloud);
    cloud->warm_s = now;
    if (are_there || count < 1 || cloud->line.round_trip < TRIP_LEAST_S)
        return;
    cloud->warmers = calloc((size_t)count, sizeof *cloud->warmers);
    for (int i = 0; cloud->warmers != NULL && i < count; i++) {
        struct fm_cloud_call *call = &cloud->warmers[cloud->warmer_count];
        *call = (struct fm_cloud_call){
            .method = "GET", .target = "/v1/health", .seconds = FM_CLOUD_CALL_S};
        cloud->warmer_count += fm_cloud_call_begin(&cloud->line, call, NULL) ? 1 : 0;
    }
}

void fm_cloud_warm_end(struct fm_cloud *cloud)
{
    for (int i = 0; i < cloud->warmer_count; i++)
        fm_cloud_call_drop(&cloud->warmers[i]);
    free(cloud->warmers);
    cloud->warmers = NULL;
    cloud->warmer_count = 0;
}
