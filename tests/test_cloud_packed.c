/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud tier and bodies in fewer bytes: nothing is packed for a service that does not say it takes that,
 * on a link that is not known to be slow, or where it saves nothing; whatever a service does with it, results
 * are right, or the map ends with a sentence.
 */
#include <dlfcn.h>
#include <fastmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud_service.h"
#include "service/coding.h"
#include "test.h"
#include "tier/cloud.h"

#define COUNT 4096
#define SLOW 100000 /* bytes a second */

static const struct fm_tier_cloud *tier;
static struct cloud_service *service;
static struct fm_cloud *cloud;
static _Atomic bool give_up;
static double in[COUNT], out[COUNT];

static int element(const void *from, void *to, const void *shared)
{
    (void)shared;
    *(double *)to = *(const double *)from * 2 + 1;
    return 0;
}

static int compute(const void *from, void *to, uint64_t index)
{
    (void)index;
    return element(from, to, NULL);
}

static bool load_tier(void)
{
    char path[4096];
    const char *builddir = getenv("builddir");
    snprintf(path, sizeof path, "%s/.libs/fastmap-cloud.so", builddir != NULL ? builddir : ".");
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK_TRUE(strlen(fastmap_version()) > 0, "the program has the library");
    if (CHECK_TRUE(plugin != NULL, "%s", dlerror()))
        tier = dlsym(plugin, "fm_cloud_tier");
    return CHECK_TRUE(tier != NULL, "no tier");
}

/* A service that packs, and says that inputs come at that rate. */
static bool begin(unsigned rate, bool is_noise)
{
    struct fm_tier_cloud_account account;
    struct fm_tier_cloud_grant grant;
    char why[FM_TIER_CLOUD_WHY];
    const struct fm_tier_cloud_map map = {.function = (const void *)element, // NOLINT
                                          .in_size = sizeof(double),
                                          .out_size = sizeof(double),
                                          .vcpus = 2,
                                          .budget = 1000000};
    if (tier == NULL && !load_tier())
        return false;
    uint64_t state = 88172645463325252u;
    for (size_t i = 0; i < COUNT; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        in[i] = is_noise ? (double)(int64_t)state : (double)(i % 50);
    }
    service = cloud_service_start(compute);
    cloud_service_pack(service, rate);
    const struct fm_tier_cloud_service to = {.url = cloud_service_url(service),
                                             .token = cloud_service_token(service),
                                             .ca_file = cloud_service_ca_file(service),
                                             .give_up = &give_up,
                                             .patience = 5,
                                             .connect_patience = 5};
    cloud = tier->connect(&to, &account, why);
    return CHECK_TRUE(cloud != NULL, "%s", why) &&
           CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
}

static struct fm_tier_cloud_answer sent(uint64_t id)
{
    const struct fm_tier_cloud_span span = {id, 0, COUNT, in, out};
    struct fm_tier_cloud_answer answer;
    memset(out, 0, sizeof out);
    CHECK_TRUE(tier->send(cloud, &span), "not sent");
    while (!tier->poll(cloud, 5, &answer))
        continue;
    return answer;
}

static void check_done(uint64_t id)
{
    const struct fm_tier_cloud_answer answer = sent(id);
    size_t i = 0;
    CHECK_TRUE(answer.status == FM_TIER_CLOUD_DONE, "%s", answer.why);
    while (i < COUNT && out[i] == in[i] * 2 + 1)
        i++;
    CHECK_TRUE(i == COUNT, "span %d: element %zu is %g", (int)id, i, out[i % COUNT]);
}

static void end(void)
{
    tier->disconnect(cloud);
    cloud_service_stop(service);
}

/* Of four spans that come after the first, whose answer tells of the link. What was known before is what the
   upload of the program has told. */
static unsigned packed_of_four(void)
{
    check_done(1);
    const unsigned before = cloud_service_counts(service).packed_in;
    for (uint64_t id = 2; id <= 5; id++)
        check_done(id);
    return cloud_service_counts(service).packed_in - before;
}

/* ---- When -------------------------------------------------------------------------------------------- */

TEST(inputs_are_packed_once_the_link_is_known_to_be_slow)
{
    if (!begin(SLOW, false))
        return;
    CHECK_EQ_INT(packed_of_four(), fm_service_coding_is_there() ? 4 : 0);
    CHECK_EQ_INT(cloud_service_counts(service).packed_out, fm_service_coding_is_there() ? 5 : 0);
    CHECK_EQ_INT(cloud_service_counts(service).computed, 5);
    end();
}

TEST(what_does_not_get_smaller_is_never_packed)
{
    if (!begin(SLOW, true))
        return;
    CHECK_EQ_INT(packed_of_four(), 0);
    end();
}

TEST(nothing_is_packed_on_a_link_that_is_faster_than_packing)
{
    if (!begin(4000000000u, false))
        return;
    CHECK_EQ_INT(packed_of_four(), 0);
    end();
}

TEST(a_service_that_does_not_speak_of_it_gets_bodies_as_they_are)
{
    if (!begin(0, false))
        return;
    cloud_service_pack(service, SLOW); /* too late: the account has told */
    CHECK_EQ_INT(packed_of_four(), 0);
    CHECK_EQ_INT(cloud_service_counts(service).packed_out, 0);
    end();
}

/* ---- What can go wrong ------------------------------------------------------------------------------- */

TEST(a_service_that_refuses_a_packed_body_gets_it_as_it_is)
{
    if (!begin(SLOW, false))
        return;
    check_done(1);
    const unsigned before = cloud_service_counts(service).packed_in;
    if (fm_service_coding_is_there())
        cloud_service_fault(service, (struct cloud_fault){.target = "/v1/maps/",
                                                          .kind = CLOUD_REFUSE,
                                                          .times = 1,
                                                          .status = 415,
                                                          .word = "encoding"});
    for (uint64_t id = 2; id <= 5; id++)
        check_done(id);
    CHECK_EQ_INT(cloud_service_counts(service).packed_in, before);
    CHECK_EQ_INT(cloud_service_counts(service).computed, 5);
    end();
}

TEST(a_packed_span_survives_a_lost_connection_and_is_charged_once)
{
    static const enum cloud_fault_kind kinds[] = {
        CLOUD_CUT_HEADERS, CLOUD_CUT_BODY, CLOUD_CUT_ANSWER, CLOUD_CUT_STATUS, CLOUD_CUT_OUTPUTS};
    if (!begin(SLOW, false))
        return;
    check_done(1);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        cloud_service_fault(
            service, (struct cloud_fault){.target = "/v1/maps/", .kind = kinds[i], .times = 2});
        check_done(2 + i);
    }
    CHECK_EQ_INT(cloud_service_counts(service).computed, 1 + sizeof kinds / sizeof kinds[0]);
    CHECK_EQ_INT(cloud_service_counts(service).bad_signatures, 0);
    end();
}

TEST(outputs_that_cannot_be_unpacked_end_the_map_and_nothing_of_them_is_taken)
{
    static const enum cloud_fault_kind kinds[] = {CLOUD_CUT_FRAME, CLOUD_OTHER_FRAME,
                                                  CLOUD_SHORT_OUTPUTS, CLOUD_LONG_OUTPUTS};
    if (!fm_service_coding_is_there())
        SKIP_PROMISED("built without libzstd (Debian: libzstd-dev)");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!begin(SLOW, false))
            return;
        cloud_service_fault(service, (struct cloud_fault){.target = "/v1/maps/", .kind = kinds[i]});
        const struct fm_tier_cloud_answer answer = sent(1);
        CHECK_TRUE(answer.status == FM_TIER_CLOUD_OVER, "fault %zu: %d", i, (int)answer.status);
        CHECK_CONTAINS(answer.why, ";");
        CHECK_TRUE(out[0] == 0 && out[COUNT - 1] == 0, "fault %zu: %g", i, out[0]);
        end();
    }
}
