/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud tier's contract, by the plugin as it ships, against a service that fails at every point and lies
 * in every way. Whatever it does: each span is answered, with one sentence where it is not done; what is
 * done is right, and charged once.
 */
#include <dlfcn.h>
#include <fastmap.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud_service.h"
#include "service/token.h"
#include "test.h"
#include "tier/cloud.h"
#include "wire/worker.h"

#define COUNT 100
#define BUDGET 1000000

/* ---- The function that travels, and what the service makes of it ------------------------------------- */

static int element(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(double *)out = *(const double *)in * 2 + 1;
    return 0;
}

static int compute_double(const void *in, void *out, uint64_t index)
{
    double x;
    memcpy(&x, in, sizeof x);
    x = x * 2 + 1;
    memcpy(out, &x, sizeof x);
    return index % 1000 == 42 ? -7 : 0;
}

/* ---- A client ---------------------------------------------------------------------------------------- */

static const struct fm_tier_cloud *tier;
static struct cloud_service *service;
static struct fm_cloud *cloud;
static struct fm_tier_cloud_account account;
static struct fm_tier_cloud_grant grant;
static struct fm_tier_cloud_bill bill;
static char why[FM_TIER_CLOUD_WHY];
static _Atomic bool give_up;
static double in[COUNT], out[COUNT];

static bool load_tier(void)
{
    char path[4096];
    const char *builddir = getenv("builddir");
    snprintf(path, sizeof path, "%s/.libs/fastmap-cloud.so", builddir != NULL ? builddir : ".");
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!CHECK_TRUE(plugin != NULL, "%s", dlerror()))
        return false;
    tier = dlsym(plugin, "fm_cloud_tier");
    return CHECK_TRUE(tier != NULL && tier->version == FM_TIER_CLOUD_VERSION, "%p",
                      (const void *)tier);
}

static bool begin(void)
{
    if (tier == NULL && !load_tier())
        return false;
    atomic_store(&give_up, false);
    service = cloud_service_start(compute_double);
    cloud = NULL;
    for (size_t i = 0; i < COUNT; i++)
        in[i] = (double)i;
    memset(out, 0, sizeof out);
    return true;
}

static struct fm_tier_cloud_service where(double patience)
{
    return (struct fm_tier_cloud_service){.url = cloud_service_url(service),
                                          .token = cloud_service_token(service),
                                          .ca_file = cloud_service_ca_file(service),
                                          .give_up = &give_up,
                                          .patience = patience,
                                          .connect_patience = patience};
}

static bool connects(const struct fm_tier_cloud_service *to)
{
    cloud = tier->connect(to, &account, why);
    return cloud != NULL;
}

static bool connected(double patience)
{
    const struct fm_tier_cloud_service to = where(patience);
    return CHECK_TRUE(connects(&to), "%s", why);
}

static void end(void)
{
    if (cloud != NULL)
        tier->disconnect(cloud);
    cloud = NULL;
    cloud_service_stop(service);
    service = NULL;
}

/* One sentence, with what to do, and nothing of the token in it. */
static void check_sentence(const char *sentence, const char *part)
{
    CHECK_CONTAINS(sentence, part);
    CHECK_TRUE(strchr(sentence, ';') != NULL, "no remedy: %s", sentence);
    CHECK_TRUE(strstr(sentence, cloud_service_token(service) + 21) == NULL, "%s", sentence);
}

static void check_refused(const struct fm_tier_cloud_service *to, const char *part)
{
    CHECK_TRUE(!connects(to), "connected, though %s", part);
    check_sentence(why, part);
    if (cloud != NULL)
        tier->disconnect(cloud);
    cloud = NULL;
}

static struct fm_tier_cloud_map doubles(void)
{
    return (struct fm_tier_cloud_map){.function = (const void *)element, // NOLINT
                                      .in_size = sizeof(double),
                                      .out_size = sizeof(double),
                                      .vcpus = 2,
                                      .budget = BUDGET};
}

static bool opened(void)
{
    const struct fm_tier_cloud_map map = doubles();
    return CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
}

/* Without the fault, another map. */
static void next_map(void)
{
    cloud_service_fault(service, (struct cloud_fault){.kind = CLOUD_NO_FAULT});
    tier->close(cloud, &bill);
    memset(out, 0, sizeof out);
    opened();
}

static bool begin_map(double patience)
{
    return begin() && connected(patience) && opened();
}

static bool sends(uint64_t id, uint64_t first, size_t count)
{
    const struct fm_tier_cloud_span span = {id, first, count, in + first, out + first};
    return tier->send(cloud, &span);
}

/* The answer of the one span that is under way. */
static struct fm_tier_cloud_answer awaited(void)
{
    struct fm_tier_cloud_answer answer;
    while (!tier->poll(cloud, 5, &answer))
        continue;
    return answer;
}

static struct fm_tier_cloud_answer sent(uint64_t id)
{
    CHECK_TRUE(sends(id, 0, 10), "span %d is not sent", (int)id);
    return awaited();
}

static void check_done(const struct fm_tier_cloud_answer *answer, uint64_t first, size_t count)
{
    CHECK_TRUE(answer->status == FM_TIER_CLOUD_DONE, "status %d: %s", (int)answer->status,
               answer->why);
    CHECK_EQ_SIZE(answer->computed, count);
    for (size_t i = first; i < first + count; i++)
        CHECK_TRUE(out[i] == (double)i * 2 + 1, "element %zu is %g", i, out[i]);
}

static void check_untouched(void)
{
    for (size_t i = 0; i < COUNT; i++)
        CHECK_TRUE(out[i] == 0, "element %zu is %g", i, out[i]);
}

/* ---- Connecting -------------------------------------------------------------------------------------- */

TEST(the_account_is_asked_for_and_its_answer_told)
{
    if (!begin() || !connected(2))
        return;
    CHECK_EQ_INT(account.balance, 5000000000);
    CHECK_EQ_INT(account.price, 50000000);
    CHECK_EQ_INT(account.vcpus, 4);
    CHECK_TRUE(account.round_trip > 0, "%g", account.round_trip);
    CHECK_TRUE(tier->account(cloud, &account, why), "%s", why);
    CHECK_EQ_INT(cloud_service_counts(service).connections, 1);
    CHECK_EQ_INT(cloud_service_counts(service).accounts, 2);
    end();
}

TEST(what_cannot_be_an_address_or_a_token_is_refused_without_a_connection)
{
    if (!begin())
        return;
    struct fm_tier_cloud_service to = where(2);
    to.url = "http://127.0.0.1:1";
    check_refused(&to, "https://");
    to = where(2);
    to.token = "fm1_0123456789abcdef_short";
    check_refused(&to, "secret is no token");
    to.token = NULL;
    check_refused(&to, "no secret");
    CHECK_EQ_INT(cloud_service_counts(service).connections, 0);
    end();
}

TEST(a_token_that_the_service_does_not_know_is_refused_at_once)
{
    char other[FM_SERVICE_TOKEN_BYTES];
    if (!begin())
        return;
    fm_service_token_create(other);
    struct fm_tier_cloud_service to = where(5);
    to.token = other;
    check_refused(&to, "does not take the token (401)");
    CHECK_EQ_INT(cloud_service_counts(service).requests, 1);
    end();
}

TEST(certificates_are_always_checked)
{
    if (!begin())
        return;
    struct cloud_service *other = cloud_service_start(compute_double);
    struct fm_tier_cloud_service to = where(5);
    char elsewhere[64];
    to.ca_file = NULL;
    check_refused(&to, "certificate that is not trusted");
    to.ca_file = cloud_service_ca_file(other);
    check_refused(&to, "certificate that is not trusted");
    to.ca_file = "/nonexistent.pem";
    check_refused(&to, "cloud_ca_file cannot be read");
    to = where(5);
    snprintf(elsewhere, sizeof elsewhere, "https://localhost:%s", strrchr(to.url, ':') + 1);
    to.url = elsewhere;
    check_refused(&to, "for another name");
    to = where(5);
    to.pin = cloud_service_pin(other);
    check_refused(&to, "another public key than cloud_pin says");
    CHECK_EQ_INT(cloud_service_counts(service).requests, 0);
    to.pin = cloud_service_pin(service);
    CHECK_TRUE(connects(&to), "%s", why);
    cloud_service_stop(other);
    end();
}

TEST(a_service_that_is_not_there_is_waited_for_as_long_as_the_patience)
{
    if (!begin())
        return;
    struct fm_tier_cloud_service to = where(0.3);
    to.url = "https://127.0.0.1:1";
    check_refused(&to, "does not answer");
    to = where(0.3);
    cloud_service_fault(service, (struct cloud_fault){.kind = CLOUD_CUT_HELLO});
    check_refused(&to, "https://127.0.0.1");
    cloud_service_fault(service, (struct cloud_fault){.kind = CLOUD_CUT_HELLO, .times = 3});
    CHECK_TRUE(connected(20), "not connected");
    end();
}

TEST(another_clock_is_signed_by)
{
    static const int ahead[] = {-86400, 3600, 100000000};
    for (size_t i = 0; i < sizeof ahead / sizeof ahead[0]; i++) {
        if (!begin())
            return;
        cloud_service_clock(service, ahead[i]);
        CHECK_TRUE(connected(0), "%d s", ahead[i]);
        CHECK_EQ_INT(cloud_service_counts(service).requests, 2);
        end();
    }
}

TEST(an_answer_that_is_not_the_services_ends_the_connection_at_once)
{
    static const struct {
        struct cloud_fault fault;
        const char *part;
    } rows[] = {
        {{.kind = CLOUD_WRONG_SIGNATURE}, "not signed with our token's key"},
        {{.kind = CLOUD_NO_SIGNATURE}, "not signed with our token's key"},
        {{.kind = CLOUD_OTHER_REQUEST}, "not signed with our token's key"},
        {{.kind = CLOUD_WRONG_BODY}, "not signed with our token's key"},
        {{.kind = CLOUD_NO_JSON}, "no JSON"},
        {{.kind = CLOUD_REDIRECT}, "sends us elsewhere, which is not followed (307)"},
        {{.kind = CLOUD_REFUSE, .status = 404, .word = "version"}, "speaks another version"},
        {{.kind = CLOUD_REFUSE, .status = 402, .word = "credit"}, "has no credit left"},
        {{.kind = CLOUD_REFUSE, .status = 429, .word = "attempts"}, "too many wrong tokens"},
        {{.kind = CLOUD_REFUSE, .status = 404, .word = "route"}, "as the test wants it"},
        {{.kind = CLOUD_HTML, .status = 404}, "does not answer as fastmapd does"},
    };
    if (!begin())
        return;
    const struct fm_tier_cloud_service to = where(20);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const unsigned before = cloud_service_counts(service).requests;
        cloud_service_fault(service, rows[i].fault);
        check_refused(&to, rows[i].part);
        CHECK_EQ_INT(cloud_service_counts(service).requests, before + 1);
    }
    end();
}

TEST(what_may_pass_is_tried_again)
{
    static const struct cloud_fault faults[] = {
        {.kind = CLOUD_CUT_HEADERS, .times = 2},
        {.kind = CLOUD_CUT_ANSWER, .times = 2},
        {.kind = CLOUD_CUT_STATUS, .times = 2},
        {.kind = CLOUD_CUT_OUTPUTS, .times = 2},
        {.kind = CLOUD_HTML, .status = 502, .times = 2},
        {.kind = CLOUD_REFUSE, .status = 500, .word = "internal", .times = 2},
        {.kind = CLOUD_REFUSE, .status = 503, .word = "draining", .times = 2},
        {.kind = CLOUD_REFUSE, .status = 503, .word = "full", .times = 2},
        {.kind = CLOUD_REFUSE, .status = 401, .word = "replay", .times = 2},
    };
    if (!begin())
        return;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        cloud_service_fault(service, faults[i]);
        if (!CHECK_TRUE(connected(20), "fault %zu", i))
            break;
        tier->disconnect(cloud);
        cloud = NULL;
    }
    end();
}

static void *give_up_soon(void *unused)
{
    usleep(100000);
    atomic_store(&give_up, true);
    return unused;
}

TEST(a_caller_that_gives_up_waits_no_longer)
{
    pthread_t thread;
    if (!begin())
        return;
    const struct fm_tier_cloud_service to = where(1e6);
    cloud_service_fault(service, (struct cloud_fault){.kind = CLOUD_STALL_ANSWER});
    pthread_create(&thread, NULL, give_up_soon, NULL);
    CHECK_TRUE(!connects(&to), "connected");
    CHECK_CONTAINS(why, "given up");
    pthread_join(thread, NULL);
    end();
}

/* ---- Opening ----------------------------------------------------------------------------------------- */

TEST(a_program_is_uploaded_once)
{
    if (!begin_map(2))
        return;
    const struct cloud_counts first = cloud_service_counts(service);
    CHECK_EQ_INT(grant.vcpus, 2);
    CHECK_EQ_INT(grant.hold, BUDGET);
    CHECK_TRUE(grant.uploaded > 1000000 && grant.uploaded == first.blob_bytes, "%zu",
               grant.uploaded);
    CHECK_TRUE(grant.upload_bytes_per_s > 0, "%g", grant.upload_bytes_per_s);
    CHECK_TRUE(first.parts > 4, "%u parts", first.parts);
    tier->close(cloud, &bill);
    if (opened())
        CHECK_EQ_SIZE(grant.uploaded, 0);
    CHECK_EQ_INT(cloud_service_counts(service).manifests, first.manifests);
    tier->disconnect(cloud);
    if (connected(2) && opened())
        CHECK_EQ_SIZE(grant.uploaded, 0);
    CHECK_EQ_INT(cloud_service_counts(service).parts, first.parts);
    end();
}

TEST(what_the_service_has_lost_is_uploaded_again)
{
    if (!begin_map(2))
        return;
    tier->close(cloud, &bill);
    cloud_service_forget(service);
    if (opened())
        CHECK_TRUE(grant.uploaded > 1000000, "%zu", grant.uploaded);
    end();
}

TEST(an_upload_goes_on_where_it_was_cut)
{
    static const struct cloud_fault faults[] = {
        {.target = "/v1/blobs/", .kind = CLOUD_CUT_HEADERS, .skip = 2, .times = 2},
        {.target = "/v1/blobs/", .kind = CLOUD_CUT_BODY, .skip = 1, .times = 3},
        {.target = "/v1/blobs/", .kind = CLOUD_CUT_ANSWER, .skip = 3, .times = 3},
        {.target = "/v1/blobs/", .kind = CLOUD_REFUSE, .times = 3, .status = 409, .word = "busy"},
        {.target = "/v1/programs", .kind = CLOUD_CUT_ANSWER, .times = 1},
        {.target = "/v1/maps", .kind = CLOUD_CUT_ANSWER, .times = 1},
    };
    uint64_t whole = 0;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        if (!begin() || !connected(20))
            return;
        cloud_service_fault(service, faults[i]);
        if (opened()) {
            const uint64_t bytes = cloud_service_counts(service).blob_bytes;
            CHECK_TRUE(whole == 0 || bytes == whole, "fault %zu: %zu bytes", i, (size_t)bytes);
            whole = bytes;
        }
        end();
    }
}

TEST(an_upload_that_cannot_end_fails_with_a_sentence)
{
    static const struct {
        struct cloud_fault fault;
        const char *part;
    } rows[] = {
        {{.target = "/v1/blobs/", .kind = CLOUD_CUT_BODY, .skip = 2}, "https://127.0.0.1"},
        {{.target = "/v1/blobs/", .kind = CLOUD_STALL_BODY, .skip = 2}, "https://127.0.0.1"},
        {{.target = "/v1/blobs/", .kind = CLOUD_REFUSE, .status = 507, .word = "storage"},
         "no room"},
        {{.target = "/v1/programs", .kind = CLOUD_REFUSE, .status = 422, .word = "manifest"},
         "as the test wants it"},
        {{.target = "/v1/maps", .kind = CLOUD_REFUSE, .status = 409, .word = "cpu"},
         "older processor"},
        {{.target = "/v1/maps", .kind = CLOUD_REFUSE, .status = 402, .word = "credit"},
         "no credit"},
        {{.target = "/v1/maps", .kind = CLOUD_REFUSE, .status = 404, .word = "program"},
         "as the test wants it"},
        {{.target = "/v1/maps", .kind = CLOUD_WRONG_SIGNATURE}, "not signed"},
    };
    const struct fm_tier_cloud_map map = doubles();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!begin() || !connected(0.5))
            return;
        cloud_service_fault(service, rows[i].fault);
        CHECK_TRUE(!tier->open(cloud, &map, &grant, why), "row %zu", i);
        check_sentence(why, rows[i].part);
        end();
    }
}

TEST(a_shared_block_is_uploaded_when_it_has_changed)
{
    const size_t size = 3 << 20;
    char *block = calloc(1, size);
    if (!begin() || !connected(2))
        return;
    struct fm_tier_cloud_map map = doubles();
    map.shared = block;
    map.shared_size = size;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_TRUE(grant.uploaded > size, "%zu", grant.uploaded);
    tier->close(cloud, &bill);
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_SIZE(grant.uploaded, 0);
    tier->close(cloud, &bill);
    block[size / 2] = 1;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_SIZE(grant.uploaded, size);
    CHECK_CONTAINS(cloud_service_opening(service), "\"shared\":{\"digest\":\"");
    map.shared_size = 0;
    CHECK_TRUE(!tier->open(cloud, &map, &grant, why), "opened");
    check_sentence(why, "shared has no size");
    end();
    free(block);
}

TEST(what_a_worker_needs_of_the_callers_state_goes_along)
{
    static const unsigned char fenv[] = {0x80, 0x1f, 0x00, 0xff};
    if (!begin() || !connected(2))
        return;
    struct fm_tier_cloud_map map = doubles();
    map.fenv = fenv;
    map.fenv_bytes = sizeof fenv;
    map.stop = true;
    setenv("OMP_NUM_THREADS", "3", 1);
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    unsetenv("OMP_NUM_THREADS");
    const char *opening = cloud_service_opening(service);
    CHECK_CONTAINS(opening, "\"floating_point\":\"801f00ff\"");
    CHECK_CONTAINS(opening, "\"OMP_NUM_THREADS\":\"3\"");
    CHECK_CONTAINS(opening, "\"stop\":true");
    CHECK_CONTAINS(opening, "\"module\":\"\"");
    CHECK_CONTAINS(opening, "\"budget\":1000000");
    CHECK_CONTAINS(opening, "\"features\":[\"");
    CHECK_TRUE(strstr(opening, "HOME") == NULL, "%s", opening);
    end();
}

TEST(trails_are_asked_for_where_the_service_has_them)
{
    struct fm_tier_cloud_map map = doubles();
    map.in_size = map.out_size = sizeof(double) + FM_WIRE_WORKER_TRAIL_BYTES;
    if (!begin() || !connected(2))
        return;
    CHECK_TRUE(!account.trail, "a service that says nothing of them has trails");
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_TRUE(strstr(cloud_service_opening(service), "trail") == NULL, "%s",
               cloud_service_opening(service));
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    cloud_service_trail(service);
    CHECK_TRUE(tier->account(cloud, &account, why) && account.trail, "no trails: %s", why);
    map.trail = true; /* another map, though its elements are as large */
    map.resting_most = map.budget;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_CONTAINS(cloud_service_opening(service), "\"trail\":true");
    const unsigned opens = cloud_service_counts(service).opens;
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_INT((int)cloud_service_counts(service).opens, (int)opens);
    end();
}

TEST(a_function_that_cannot_travel_is_refused_by_the_program)
{
    if (!begin() || !connected(2))
        return;
    struct fm_tier_cloud_map map = doubles();
    map.function = &map; /* in no file */
    CHECK_TRUE(!tier->open(cloud, &map, &grant, why), "opened");
    CHECK_TRUE(why[0] != '\0', "no sentence");
    map = doubles();
    map.budget = 0;
    CHECK_TRUE(!tier->open(cloud, &map, &grant, why), "opened");
    check_sentence(why, "nothing may be spent");
    end();
}

/* ---- Spans ------------------------------------------------------------------------------------------- */

TEST(spans_are_computed_several_at_once)
{
    bool seen[10] = {false};
    if (!begin_map(2))
        return;
    int next = 0;
    for (int done = 0; done < 10; done++) {
        struct fm_tier_cloud_answer answer;
        while (next < 10 && sends((uint64_t)next, (uint64_t)next * 10, 10))
            next++;
        CHECK_TRUE(next - done <= grant.spans_in_flight, "%d under way", next - done);
        answer = awaited();
        CHECK_TRUE(answer.id < 10 && !seen[answer.id], "answer %d", (int)answer.id);
        seen[answer.id % 10] = true;
        check_done(&answer, answer.id * 10, 10);
    }
    CHECK_EQ_INT(cloud_service_counts(service).computed, 10);
    tier->close(cloud, &bill);
    CHECK_TRUE(bill.confirmed, "not confirmed");
    CHECK_EQ_INT(bill.charged, 1389);
    CHECK_EQ_INT(bill.balance, 5000000000 - 1389);
    end();
}

TEST(elements_that_fail_are_told)
{
    if (!begin_map(2) || !CHECK_TRUE(sends(9223372036854775807u, 40, 5), "not sent"))
        return;
    const struct fm_tier_cloud_answer answer = awaited();
    check_done(&answer, 40, 5);
    CHECK_EQ_SIZE(answer.failed, 1);
    CHECK_EQ_SIZE(answer.failures_listed, 1);
    CHECK_EQ_INT(answer.failures[0].index, 42);
    CHECK_EQ_INT(answer.failures[0].code, -7);
    CHECK_EQ_INT(answer.failures[0].signal, 0);
    CHECK_EQ_INT(answer.charge, 70);
    CHECK_EQ_INT(answer.spent, 70);
    CHECK_TRUE(answer.cpu_s > 0.00499 && answer.cpu_s < 0.00501, "%g", answer.cpu_s);
    end();
}

TEST(inputs_may_lie_where_outputs_go)
{
    static const struct cloud_fault cut = {
        .target = "/v1/maps/", .kind = CLOUD_CUT_OUTPUTS, .times = 2};
    if (!begin_map(20))
        return;
    const struct fm_tier_cloud_span span = {1, 0, COUNT, in, in};
    cloud_service_fault(service, cut);
    CHECK_TRUE(tier->send(cloud, &span), "not sent");
    const struct fm_tier_cloud_answer answer = awaited();
    CHECK_TRUE(answer.status == FM_TIER_CLOUD_DONE, "%s", answer.why);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_TRUE(in[i] == (double)i * 2 + 1, "element %zu is %g", i, in[i]);
    end();
}

TEST(a_span_survives_what_may_pass_and_is_charged_once)
{
    static const struct cloud_fault faults[] = {
        {.target = "/v1/maps/", .kind = CLOUD_CUT_HEADERS, .times = 2},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_BODY, .times = 2},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_ANSWER, .times = 2},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_STATUS, .times = 2},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_OUTPUTS, .times = 2},
        {.target = "/v1/maps/", .kind = CLOUD_HTML, .times = 2, .status = 504},
        {.target = "/v1/maps/", .kind = CLOUD_SLOW, .times = 1, .seconds = 0.5},
        {.target = "/v1/maps/", .kind = CLOUD_REFUSE, .times = 4, .status = 409, .word = "busy"},
        {.target = "/v1/maps/", .kind = CLOUD_REFUSE, .times = 2, .status = 429, .word = "spans"},
        {.target = "/v1/maps/",
         .kind = CLOUD_REFUSE,
         .times = 2,
         .status = 500,
         .word = "internal"},
        {.target = "/v1/maps/",
         .kind = CLOUD_REFUSE,
         .times = 2,
         .status = 503,
         .word = "draining"},
        {.target = "/v1/maps/", .kind = CLOUD_REFUSE, .times = 2, .status = 503, .word = "full"},
        {.target = "/v1/maps/", .kind = CLOUD_REFUSE, .times = 2, .status = 422, .word = "digest"},
    };
    if (!begin_map(20))
        return;
    const size_t count = sizeof faults / sizeof faults[0];
    for (size_t i = 0; i < count; i++) {
        memset(out, 0, sizeof out);
        cloud_service_fault(service, faults[i]);
        const struct fm_tier_cloud_answer answer = sent(i);
        check_done(&answer, 0, 10);
    }
    CHECK_EQ_INT(cloud_service_counts(service).computed, count);
    CHECK_EQ_INT(cloud_service_counts(service).bad_signatures, 0);
    tier->close(cloud, &bill);
    CHECK_EQ_INT(bill.charged, (int)((count * 10 * 1000000 + 71999) / 72000));
    end();
}

TEST(a_service_that_stays_away_ends_the_map_with_a_sentence)
{
    static const struct cloud_fault faults[] = {
        {.target = "/v1/maps/", .kind = CLOUD_CUT_HEADERS},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_ANSWER},
        {.target = "/v1/maps/", .kind = CLOUD_STALL_OUTPUTS},
        {.target = "/v1/maps/", .kind = CLOUD_CUT_OUTPUTS},
        {.target = "/v1/maps/", .kind = CLOUD_HTML, .status = 502},
        {.target = "/v1/maps/", .kind = CLOUD_REFUSE, .status = 503, .word = "draining"},
    };
    if (!begin_map(0.4))
        return;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        cloud_service_fault(service, faults[i]);
        const struct fm_tier_cloud_answer answer = sent(1);
        CHECK_TRUE(answer.status == FM_TIER_CLOUD_OVER, "fault %zu: status %d", i,
                   (int)answer.status);
        check_sentence(answer.why, cloud_service_url(service));
        check_untouched();
        CHECK_TRUE(!sends(2, 0, 10), "sent after the end");
        next_map();
    }
    end();
}

/* As one that is computed would be. A smaller one would be in the buffer of the service's host. */
TEST(a_span_that_is_not_read_is_not_waited_for)
{
    enum { BYTES = 4 * CLOUD_UNREAD_MOST };
    static char large[BYTES];
    if (!begin() || !connected(0.4))
        return;
    struct fm_tier_cloud_map map = doubles();
    map.in_size = BYTES;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    cloud_service_fault(service,
                        (struct cloud_fault){.target = "/v1/maps/", .kind = CLOUD_STALL_BODY});
    const struct fm_tier_cloud_span span = {1, 0, 1, large, out};
    CHECK_TRUE(tier->send(cloud, &span), "not sent");
    const struct fm_tier_cloud_answer answer = awaited();
    CHECK_TRUE(answer.status == FM_TIER_CLOUD_OVER, "status %d", (int)answer.status);
    check_sentence(answer.why, cloud_service_url(service));
    CHECK_TRUE(strstr(answer.why, "does not answer in time") == NULL, "%s", answer.why);
    end();
}

TEST(a_lie_ends_the_map_and_nothing_of_it_is_taken)
{
    static const struct cloud_fault faults[] = {
        {.target = "/v1/maps/", .kind = CLOUD_WRONG_SIGNATURE},
        {.target = "/v1/maps/", .kind = CLOUD_NO_SIGNATURE},
        {.target = "/v1/maps/", .kind = CLOUD_OTHER_REQUEST},
        {.target = "/v1/maps/", .kind = CLOUD_SHORT_OUTPUTS},
        {.target = "/v1/maps/", .kind = CLOUD_LONG_OUTPUTS},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "map", .value = "0000000000000000"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "span", .value = "2"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "status", .value = "fine"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "computed", .value = "9"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "computed", .value = "11"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "failed", .value = "11"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "failures", .value = "3:-1"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "charge", .value = "1000"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "charge", .value = "-1"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "spent", .value = "1000001"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "spent", .value = "1"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "left", .value = "1000000"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "cpu_ns", .value = "0"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "vcpus", .value = "3"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "vcpus", .value = "0"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "vcpus", .value = "4294967295"},
        {.target = "/v1/maps/", .kind = CLOUD_RECEIPT, .word = "vcpus", .value = "many"},
    };
    if (!begin_map(20))
        return;
    cloud_service_vcpus(service, 2);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        cloud_service_fault(service, faults[i]);
        CHECK_TRUE(sends(1, 0, 10) && sends(3, 10, 10), "not sent");
        for (int answers = 0; answers < 2; answers++) {
            const struct fm_tier_cloud_answer answer = awaited();
            CHECK_TRUE(answer.status == FM_TIER_CLOUD_OVER, "fault %zu: status %d", i,
                       (int)answer.status);
            check_sentence(answer.why, cloud_service_url(service));
            CHECK_EQ_INT(answer.charge, 0);
        }
        check_untouched();
        next_map();
    }
    end();
}

TEST(refusals_of_a_span_are_about_the_span_or_about_the_map)
{
    static const struct {
        unsigned status;
        const char *word;
        enum fm_tier_cloud_status expected;
    } rows[] = {{410, "gone", FM_TIER_CLOUD_LOST},      {409, "conflict", FM_TIER_CLOUD_LOST},
                {410, "closed", FM_TIER_CLOUD_OVER},    {402, "credit", FM_TIER_CLOUD_OVER},
                {404, "map", FM_TIER_CLOUD_OVER},       {422, "function", FM_TIER_CLOUD_OVER},
                {401, "signature", FM_TIER_CLOUD_OVER}, {404, "version", FM_TIER_CLOUD_OVER},
                {413, "size", FM_TIER_CLOUD_OVER}};
    if (!begin_map(20))
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const unsigned spans = cloud_service_counts(service).spans;
        cloud_service_fault(service, (struct cloud_fault){.target = "/v1/maps/",
                                                          .kind = CLOUD_REFUSE,
                                                          .times = 1,
                                                          .status = rows[i].status,
                                                          .word = rows[i].word});
        const struct fm_tier_cloud_answer answer = sent(1);
        CHECK_TRUE(answer.status == rows[i].expected, "%s: status %d", rows[i].word,
                   (int)answer.status);
        check_sentence(answer.why, cloud_service_url(service));
        CHECK_EQ_INT(cloud_service_counts(service).spans, spans);
        if (rows[i].expected == FM_TIER_CLOUD_LOST) {
            const struct fm_tier_cloud_answer next = sent(2);
            check_done(&next, 0, 10);
        }
        next_map();
    }
    end();
}

TEST(a_span_that_ends_early_has_the_elements_before)
{
    static const struct {
        const char *word;
        enum fm_tier_cloud_status status;
        size_t computed;
    } rows[] = {{"cut", FM_TIER_CLOUD_CUT, 4},
                {"late", FM_TIER_CLOUD_DIED, 4},
                {"died", FM_TIER_CLOUD_DIED, 4},
                {"lost", FM_TIER_CLOUD_LOST, 0}};
    if (!begin_map(2))
        return;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cloud_service_end_span(service, rows[i].word, rows[i].computed, SIGSEGV);
        const struct fm_tier_cloud_answer answer = sent(1);
        CHECK_TRUE(answer.status == rows[i].status, "%s: %s", rows[i].word, answer.why);
        CHECK_EQ_SIZE(answer.computed, rows[i].computed);
        for (size_t k = 0; k < 10; k++)
            CHECK_TRUE(out[k] == (k < rows[i].computed ? (double)k * 2 + 1 : 0), "%zu is %g", k,
                       out[k]);
        check_sentence(answer.why, "");
        if (strcmp(rows[i].word, "died") == 0) {
            CHECK_EQ_SIZE(answer.failures_listed, 1);
            CHECK_EQ_INT(answer.failures[0].index, 4);
            CHECK_EQ_INT(answer.failures[0].signal, SIGSEGV);
            CHECK_EQ_INT(answer.failures[0].code, 0);
            CHECK_EQ_SIZE(answer.failed, 0);
        }
        next_map();
    }
    end();
}

TEST(what_is_too_large_or_too_much_is_not_sent)
{
    if (!begin_map(2))
        return;
    cloud_service_fault(
        service, (struct cloud_fault){.target = "/v1/maps/", .kind = CLOUD_SLOW, .seconds = 0.2});
    CHECK_TRUE(!sends(0, 0, 0), "nothing");
    CHECK_TRUE(!sends(0, 0, grant.span_bytes / sizeof(double) + 1), "too much");
    for (int i = 0; i < grant.spans_in_flight; i++)
        CHECK_TRUE(sends((uint64_t)i, 0, 1), "span %d", i);
    CHECK_TRUE(!sends(99, 0, 1), "one too many");
    for (int i = 0; i < grant.spans_in_flight; i++)
        CHECK_TRUE(awaited().status == FM_TIER_CLOUD_DONE, "span %d", i);
    CHECK_TRUE(sends(99, 0, 1), "not sent");
    end();
}

/* ---- Waking and closing ------------------------------------------------------------------------------ */

static void *wake_soon(void *unused)
{
    usleep(100000);
    tier->wake(cloud);
    return unused;
}

TEST(a_poll_is_woken)
{
    struct fm_tier_cloud_answer answer;
    pthread_t thread;
    if (!begin_map(1e6))
        return;
    cloud_service_fault(service,
                        (struct cloud_fault){.target = "/v1/maps/", .kind = CLOUD_STALL_ANSWER});
    CHECK_TRUE(sends(1, 0, 10), "not sent");
    pthread_create(&thread, NULL, wake_soon, NULL);
    CHECK_TRUE(!tier->poll(cloud, 1e6, &answer), "an answer");
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, give_up_soon, NULL);
    CHECK_TRUE(!tier->poll(cloud, 1e6, &answer), "an answer");
    pthread_join(thread, NULL);
    cloud_service_fault(service, (struct cloud_fault){.kind = CLOUD_NO_FAULT});
    tier->close(cloud, &bill); /* though it was given up: what is held should come back */
    CHECK_TRUE(bill.confirmed, "not confirmed");
    end();
}

TEST(a_bill_that_is_not_confirmed_is_what_receipts_said)
{
    static const struct cloud_fault faults[] = {
        {.target = "/v1/maps/", .kind = CLOUD_CUT_ANSWER},
        {.target = "/v1/maps/", .kind = CLOUD_WRONG_SIGNATURE},
        {.target = "/v1/maps/", .kind = CLOUD_HTML, .status = 502}};
    if (!begin_map(0.3))
        return;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const struct fm_tier_cloud_answer answer = sent(1);
        check_done(&answer, 0, 10);
        cloud_service_fault(service, faults[i]);
        tier->close(cloud, &bill);
        CHECK_TRUE(!bill.confirmed, "fault %zu", i);
        CHECK_EQ_INT(bill.charged, 139);
        next_map();
    }
    end();
}

/* The hold of a map that rests stays with it. */
TEST(answers_tell_how_many_vcpus_a_map_has_and_one_that_rests_goes_on_with_them)
{
    struct fm_tier_cloud_map map = doubles();
    if (!begin_map(1))
        return;
    CHECK_EQ_INT(grant.vcpus, 2);
    CHECK_EQ_INT(sent(1).vcpus, 0); /* an older service */
    cloud_service_vcpus(service, 1);
    CHECK_EQ_INT(sent(2).vcpus, 1);
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    map.resting_most = map.budget;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_INT(grant.vcpus, 1);
    cloud_service_vcpus(service, 2);
    CHECK_EQ_INT(sent(3).vcpus, 2);
    tier->close(cloud, &bill);
    end();
}

TEST(a_map_that_rests_is_taken_up_by_one_like_it_without_a_call)
{
    struct fm_tier_cloud_map map = doubles();
    if (!begin_map(1))
        return;
    CHECK_TRUE(sends(1, 0, 100), "not sent");
    CHECK_TRUE(!tier->rest(cloud, &bill), "it rests with a span under way");
    const struct fm_tier_cloud_answer answer = awaited();
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    CHECK_EQ_INT((int)bill.charged, (int)answer.charge);
    const unsigned requests = cloud_service_counts(service).requests;
    map.resting_most = map.budget;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_INT((int)cloud_service_counts(service).requests, (int)requests);
    CHECK_TRUE(sends(2, 0, 100), "not sent");
    const struct fm_tier_cloud_answer again = awaited();
    CHECK_EQ_INT((int)again.spent, (int)again.charge);
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    CHECK_EQ_INT((int)bill.charged, (int)again.charge);
    map.stop = !map.stop; /* another map, of a program that is known: one call for each */
    const unsigned opens = cloud_service_counts(service).opens;
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_INT((int)cloud_service_counts(service).closes, 1);
    CHECK_EQ_INT((int)cloud_service_counts(service).opens, (int)opens + 1);
    CHECK_TRUE(tier->rest(cloud, &bill), "it does not rest");
    map.resting_least = map.budget + 1; /* too little is left */
    CHECK_TRUE(tier->open(cloud, &map, &grant, why), "%s", why);
    CHECK_EQ_INT((int)cloud_service_counts(service).closes, 2);
    CHECK_EQ_INT((int)cloud_service_counts(service).opens, (int)opens + 2);
    end();
}

TEST(a_closed_map_can_be_followed_by_another)
{
    if (!begin_map(2))
        return;
    for (int i = 0; i < 3; i++) {
        memset(out, 0, sizeof out);
        const struct fm_tier_cloud_answer answer = sent(7);
        check_done(&answer, 0, 10);
        CHECK_EQ_INT(answer.spent, 139);
        tier->close(cloud, &bill);
        CHECK_EQ_INT(bill.charged, 139);
        if (!opened())
            break;
    }
    CHECK_TRUE(strlen(fastmap_version()) > 0, "the program has the library");
    end();
}
