/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tier as the engine sees it: the table, and the beginning and end of a connection.
 */
#include "tier/cloud/cloud.h"

#include <stdlib.h>

#include "tier/cloud/say.h"

static void disconnect(struct fm_cloud *cloud)
{
    struct fm_tier_cloud_bill bill;
    if (cloud == NULL)
        return;
    fm_cloud_map_close(cloud, &bill);
    fm_cloud_warm_end(cloud);
    fm_cloud_line_fini(&cloud->line);
    free(cloud);
}

static struct fm_cloud *connect_to(const struct fm_tier_cloud_service *service,
                                   struct fm_tier_cloud_account *account,
                                   char why[FM_TIER_CLOUD_WHY])
{
    struct fm_cloud *cloud = calloc(1, sizeof *cloud);
    why[0] = '\0';
    if (cloud == NULL) {
        fm_cloud_say(why, "no memory for a connection to the cloud; free some");
        return NULL;
    }
    if (!fm_cloud_line_init(&cloud->line, service, why)) {
        free(cloud);
        return NULL;
    }
    cloud->line.service.patience = service->connect_patience;
    const bool good = fm_cloud_account(cloud, account, why);
    cloud->line.service.patience = service->patience;
    if (good)
        return cloud;
    disconnect(cloud);
    return NULL;
}

static void wake(struct fm_cloud *cloud)
{
    fm_cloud_line_wake(&cloud->line);
}

__attribute__((visibility("default"))) const struct fm_tier_cloud fm_cloud_tier = {
    .version = FM_TIER_CLOUD_VERSION,
    .connect = connect_to,
    .account = fm_cloud_account,
    .open = fm_cloud_map_open,
    .send = fm_cloud_spans_send,
    .poll = fm_cloud_spans_poll,
    .wake = wake,
    .close = fm_cloud_map_close,
    .rest = fm_cloud_map_rest,
    .disconnect = disconnect,
};
