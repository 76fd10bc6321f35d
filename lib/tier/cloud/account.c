/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The account call: the first on a line, so it is also what finds out that the service is another one, has
 * another version, or does not know the token.
 */
#include "tier/cloud/cloud.h"
#include "tier/cloud/say.h"

bool fm_cloud_account(struct fm_cloud *cloud, struct fm_tier_cloud_account *account,
                      char why[FM_TIER_CLOUD_WHY])
{
    struct fm_cloud_call call = {
        .method = "GET", .target = "/v1/account", .seconds = FM_CLOUD_CALL_S};
    fm_cloud_call_run(&cloud->line, &call);
    bool good = call.end == FM_CLOUD_GOOD;
    account->unreachable = call.end == FM_CLOUD_UNREACHABLE;
    if (!good)
        fm_cloud_say(why, "%s", call.why);
    else if (!fm_cloud_terms_account(call.json, account, &cloud->limits))
        good = fm_cloud_say(why,
                            "the account that %s tells of makes no sense; update the service "
                            "or fastmap",
                            cloud->line.url);
    if (good) {
        account->round_trip = call.round_trip;
        cloud->line.round_trip = call.round_trip;
        cloud->line.packs = fm_cloud_terms_packs(call.json);
        account->balance += cloud->map.rests ? cloud->map.hold - cloud->map.spent : 0;
    }
    fm_cloud_call_drop(&call);
    return good;
}
