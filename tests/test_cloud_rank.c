/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud as one more rank of a map, against a stand-in that computes in this process: what it is given,
 * what comes back, and that nothing is lost or changed whatever it does wrong. Elements sleep.
 */
#include <fastmap.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/cloud.h"
#include "session.h"
#include "stand_in_cloud.h"
#include "test.h"

#define MOST 4000

static uint64_t in[MOST];
static uint64_t out[MOST];
static _Atomic long sleep_ns;

static int work(const void *from, void *to, const void *shared)
{
    const struct timespec time = {.tv_nsec = atomic_load(&sleep_ns)};
    (void)shared;
    nanosleep(&time, NULL);
    *(uint64_t *)to = *(const uint64_t *)from * 3 + 1;
    return *(const uint64_t *)from % 1000 == 999 ? 7 : 0;
}

static struct fastmap_session *session_with_cloud(enum fastmap_exec_policy policy)
{
    struct fastmap_session *session = session_of(2);
    session->settings.secret =
        strdup("fm1_0123456789abcdef_0000000000000000000000000000000000000000000");
    session->settings.cloud_url = strdup("https://stand-in");
    session->settings.exec_policy = policy;
    session->settings.verbosity = FASTMAP_VERBOSITY_SILENT;
    session->settings.max_charge = -1;
    session->settings.confirm_charges = FASTMAP_CONFIRM_OFF;
    fm_engine_cloud_use(&stand_in_tier);
    return session;
}

static void stand_in_is(enum stand_in_fault fault, int vcpus, double round_trip)
{
    stand_in = (struct stand_in){.fault = fault,
                                 .vcpus = vcpus,
                                 .round_trip = round_trip,
                                 .price = 50000000,
                                 .balance = INT64_C(1000000000000)};
}

static struct fastmap_report run(struct fastmap_session *session, size_t n, long ns, int expected)
{
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = n);
    atomic_store(&sleep_ns, ns);
    for (size_t i = 0; i < n; i++)
        in[i] = i;
    memset(out, 0, sizeof out);
    CHECK_EQ_INT(fastmap_session_run(session, &map, &report), expected);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += out[i] != i * 3 + 1 ? 1 : 0;
    CHECK_EQ_SIZE(wrong, 0);
    CHECK_EQ_SIZE(report.elements, n);
    CHECK_EQ_SIZE(report.failed, n / 1000);
    return report;
}

TEST(a_map_that_lasts_is_shared_with_the_cloud)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    const struct fastmap_report report = run(session, 3000, 2000000, FASTMAP_ERR_ELEMENT);
    CHECK_TRUE(report.cloud > 1000, "%zu of 3000 in the cloud", report.cloud);
    CHECK_TRUE(report.cloud <= report.away, "%zu in the cloud, %zu away", report.cloud,
               report.away);
    CHECK_EQ_INT((int)report.failures[0].index, 999);
    CHECK_EQ_INT(report.failures[0].code, 7);
    CHECK_TRUE(report.dollars > 0, "%g US$", report.dollars);
    printf("# 3000 of 2 ms on 2 + 16: %.3f s, %zu in the cloud, %d spans\n", report.seconds,
           report.cloud, atomic_load(&stand_in.spans));
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_short_map_makes_no_connection)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int i = 0; i < 20; i++)
        (void)run(session, 100, 10000, 0);
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_second_map_goes_over_the_same_connection)
{
    stand_in_is(STAND_IN_FINE, 8, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int i = 0; i < 3; i++)
        (void)run(session, 900, 2000000, 0);
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 1);
    CHECK_EQ_INT(atomic_load(&stand_in.opens), 3);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(whatever_the_cloud_does_wrong_the_map_is_right)
{
    for (int fault = STAND_IN_REFUSES; fault <= STAND_IN_OPENS_SLOWLY; fault++) {
        stand_in_is((enum stand_in_fault)fault, 8, 0.002);
        struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
        const struct fastmap_report report = run(session, 900, 2000000, 0);
        printf("# fault %d: %.3f s, %zu in the cloud\n", fault, report.seconds, report.cloud);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
    }
}

TEST(the_policy_cloud_computes_nothing_here)
{
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
    const struct fastmap_report report = run(session, 900, 2000000, 0);
    CHECK_EQ_SIZE(report.cloud, 900);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(the_policy_cloud_completes_here_when_the_cloud_fails)
{
    static const enum stand_in_fault faults[] = {STAND_IN_REFUSES, STAND_IN_OPENS_NOT,
                                                 STAND_IN_GOES, STAND_IN_STALLS};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        stand_in_is(faults[i], 8, 0.002);
        struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
        (void)run(session, 300, 2000000, 0);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
    }
}

TEST(the_policy_local_makes_no_connection)
{
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_LOCAL);
    const struct fastmap_report report = run(session, 500, 2000000, 0);
    CHECK_EQ_SIZE(report.cloud, 0);
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(never_more_is_held_than_max_charge)
{
    stand_in_is(STAND_IN_CUTS, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    session->settings.max_charge = 5000000;
    (void)run(session, 2000, 2000000, FASTMAP_ERR_ELEMENT);
    CHECK_TRUE(atomic_load(&stand_in.budget) <= 5000000, "%ld held",
               (long)atomic_load(&stand_in.budget));
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}
