/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cloud as one more rank of a map, against a stand-in that computes in this process: what it is given,
 * what comes back, and that nothing is lost or changed whatever it does wrong. Elements sleep.
 */
#include <fastmap.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/waited.h"
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

static _Atomic int done;

static int count_work(const void *from, void *to, const void *shared)
{
    const int code = work(from, to, shared);
    atomic_fetch_add(&done, 1);
    return code;
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

TEST(one_element_of_a_map_is_computed_here_too)
{
    stand_in_is(STAND_IN_FINE, 16, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
    const struct fastmap_map map =
        FASTMAP_MAP(.func = count_work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 64);
    struct fastmap_report report = FASTMAP_REPORT();
    atomic_store(&done, 0);
    CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
    CHECK_EQ_SIZE(report.cloud, 64);
    CHECK_EQ_INT(atomic_load(&done), 65);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
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
    CHECK_TRUE(session->cloud->landed_ticks > 0, "silent, though all has come back");
    printf("# 3000 of 2 ms on 2 + 16: %.3f s, %zu in the cloud, %d spans\n", report.seconds,
           report.cloud, atomic_load(&stand_in.spans));
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_short_map_makes_no_connection)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int i = 0; i < 20; i++)
        (void)run(session, 10, 100000, 0); /* one held up for a tick makes no long map of it */
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static void *spin(void *until)
{
    struct timespec now;
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec * 1000000000 + now.tv_nsec < *(const int64_t *)until);
    return NULL;
}

/* The first element has to share its processor with somebody who leaves nothing of it. */
static int robbed(const void *from, void *to, const void *shared)
{
    cpu_set_t cpus, one;
    pthread_t robber;
    struct timespec now;
    if (fastmap_index() > 0)
        return work(from, to, shared);
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t until = now.tv_sec * 1000000000 + now.tv_nsec + 900000000;
    sched_getaffinity(0, sizeof cpus, &cpus);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
    pthread_attr_t normal;
    pthread_attr_init(&normal);
    pthread_attr_setinheritsched(&normal, PTHREAD_EXPLICIT_SCHED);
    pthread_create(&robber, &normal, spin, &until);
    pthread_attr_destroy(&normal);
    (void)spin(&until);
    pthread_join(robber, NULL);
    sched_setaffinity(0, sizeof cpus, &cpus);
    return work(from, to, shared);
}

static void *run_robbed(void *unused)
{
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    struct fastmap_report report = FASTMAP_REPORT();
    session->settings.max_local_workers =
        1; /* or the other one computes the rest in the meantime */
    atomic_store(&sleep_ns, 100000);
    CHECK_EQ_INT(fastmap_session_run(session,
                                     &FASTMAP_MAP(.func = robbed, .in = in, .in_size = 8,
                                                  .out = out, .out_size = 8, .n = 10),
                                     &report),
                 0);
    CHECK_TRUE(report.seconds > 0.5, "%g s", report.seconds);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    return unused;
}

/* In a thread of its own, which keeps its lower rights. */
TEST(an_element_that_loses_its_processor_makes_no_long_map)
{
    pthread_t thread;
    if (fm_base_waited_ns() == 0)
        SKIP("this system does not tell how long threads wait for a processor");
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    CHECK_EQ_INT(pthread_create(&thread, NULL, run_robbed, NULL), 0);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 0);
}

TEST(a_second_map_goes_over_the_same_connection)
{
    stand_in_is(STAND_IN_FINE, 8, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    double dollars = 0;
    for (int i = 0; i < 3; i++) {
        const struct fastmap_report report = run(session, 900, 2000000, 0);
        CHECK_TRUE(report.cloud > 0, "nothing in the cloud");
        dollars += report.dollars;
    }
    CHECK_EQ_INT(atomic_load(&stand_in.connects), 1);
    const double spent = (double)atomic_load(&stand_in.spent) * 1e-9;
    CHECK_TRUE(dollars > 0.5 * spent && dollars < 1.000001 * spent, "%g US$, not %g", dollars,
               spent);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static int other_work(const void *from, void *to, const void *shared)
{
    return work(from, to, shared);
}

/* Of a policy under which nothing is under way at the end of a map, since nobody else computes. */
TEST(a_map_rests_at_the_service_until_another_one_comes_or_nobody_does)
{
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
    for (int i = 0; i < 3; i++)
        (void)run(session, 300, 2000000, 0);
    CHECK_EQ_INT(atomic_load(&stand_in.opens), 1);
    CHECK_EQ_INT(atomic_load(&stand_in.closes), 0);
    CHECK_EQ_INT(fastmap_session_run(session,
                                     &FASTMAP_MAP(.func = other_work, .in = in, .in_size = 8,
                                                  .out = out, .out_size = 8, .n = 300),
                                     NULL),
                 0);
    CHECK_EQ_INT(atomic_load(&stand_in.opens), 2);
    CHECK_EQ_INT(atomic_load(&stand_in.closes), 1);
    for (int i = 0; i < 500 && atomic_load(&stand_in.closes) < 2; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    CHECK_EQ_INT(atomic_load(&stand_in.closes), 2);
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

/* ---- What is late ---- */

TEST(what_flies_is_late_by_what_is_known_now_and_a_silent_cloud_gets_nothing)
{
    struct fastmap_session session = {.settings.max_cloud_workers = 0};
    struct fm_engine_parcel parcel = {.count = 3};
    const uint64_t second = fm_base_ns_to_ticks(1e9);
    struct fm_engine_piece piece = {.parcel = &parcel,
                                    .count = 3,
                                    .work = 3,
                                    .id = 1,
                                    .sent_ticks = fm_base_ticks() - second,
                                    .expected_ns = 60e9};
    struct fm_engine_cloud cloud = {.session = &session,
                                    .rate = 1000,
                                    .grant.vcpus = 2,
                                    .account.round_trip = 0.01,
                                    .flying = &piece,
                                    .flying_elements = 3,
                                    .flying_work = 3,
                                    .flying_spans = 1};
    fm_engine_pieces_expect(&cloud);
    CHECK_TRUE(piece.expected_ns > 1e9 && piece.expected_ns < 10e9, "%g ns", piece.expected_ns);
    const double before = piece.expected_ns;
    cloud.rate = 0.1; /* a worse rate does not make it wait for longer */
    fm_engine_pieces_expect(&cloud);
    CHECK_TRUE(piece.expected_ns == before, "%g ns after %g", piece.expected_ns, before);
    CHECK_TRUE(!fm_engine_pieces_is_silent(&cloud), "silent before anything is late");
    piece.expected_ns = 0.1e9;
    CHECK_TRUE(fm_engine_pieces_is_overdue(&piece), "not late after ten times what was expected");
    CHECK_TRUE(fm_engine_pieces_is_silent(&cloud), "not silent");
    piece.given_up = true;
    CHECK_TRUE(!fm_engine_pieces_is_overdue(&piece), "given up twice");
    CHECK_TRUE(fm_engine_pieces_is_silent(&cloud), "giving a piece up is no answer");
    cloud.landed_ticks = fm_base_ticks(); /* another one came: only this one is lost */
    CHECK_TRUE(!fm_engine_pieces_is_silent(&cloud), "silent although something has come back");
}

TEST(what_is_late_is_taken_back_where_it_is_computed_here_in_a_moment)
{
    struct fm_engine_group group = {.sched.cost_ns = 1e6};
    struct fm_engine_parcel parcel = {.count = 4};
    struct fm_engine_piece piece = {.parcel = &parcel,
                                    .count = 4,
                                    .work = 4,
                                    .id = 1,
                                    .sent_ticks = fm_base_ticks() - fm_base_ns_to_ticks(0.4e9),
                                    .expected_ns = 0.3e9,
                                    .computed_ns = 0.1e9};
    struct fm_engine_cloud cloud = {.group = &group,
                                    .account.round_trip = 0.1,
                                    .flying = &piece,
                                    .flying_elements = 4,
                                    .flying_work = 4};
    CHECK_TRUE(!fm_engine_pieces_is_overdue(&piece), "given up for lost after 1.3 times");
    CHECK_TRUE(fm_engine_pieces_can_be_taken(&cloud), "waited for, though 4 ms would do here");
    group.sched.cost_ns = 50e6; /* one of them may just be long */
    CHECK_TRUE(!fm_engine_pieces_can_be_taken(&cloud), "a long element begun anew");
    group.sched.cost_ns = 1e6;
    piece.expected_ns = 0.39e9; /* by what a scheduler of threads may hold up */
    CHECK_TRUE(!fm_engine_pieces_can_be_taken(&cloud), "taken back after 10 ms");
    piece.expected_ns = 0.3e9;
    piece.given_up = true;
    CHECK_TRUE(!fm_engine_pieces_can_be_taken(&cloud), "taken twice");
}

/* ---- Why ---- */

/* What a map of that many elements of that many nanoseconds says of the cloud, and in words. */
static struct fastmap_report explained(struct fastmap_session *session, size_t n, long ns,
                                       char text[1024])
{
    const struct fastmap_report report = run(session, n, ns, 0);
    CHECK_EQ_INT(fastmap_explain(&report, text, 1024), 0);
    return report;
}

TEST(a_report_says_why_the_cloud_was_used_and_by_which_figures)
{
    char text[1024];
    stand_in_is(STAND_IN_FINE, 8, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    session->settings.max_cloud_workers = 3;
    const struct fastmap_report report = explained(session, 990, 2000000, text);
    CHECK_EQ_INT((int)report.cloud_use, FASTMAP_CLOUD_USED);
    CHECK_EQ_INT(report.cloud_vcpus_account, 8);
    CHECK_EQ_INT(report.cloud_vcpus_wished, 3);
    CHECK_EQ_INT(report.cloud_vcpus, 3);
    CHECK_TRUE(report.cloud_round_trip > 0.0049, "%g s", report.cloud_round_trip);
    CHECK_TRUE(report.cloud_left_seconds > report.cloud_with_seconds, "%g s, %g s with it",
               report.cloud_left_seconds, report.cloud_with_seconds);
    CHECK_TRUE(report.local_rate > 0 && report.cloud_rate > 0, "%g/s, %g/s", report.local_rate,
               report.cloud_rate);
    CHECK_CONTAINS(text, "here: 2 threads, ");
    CHECK_CONTAINS(text, "3 as max_cloud_workers says, of the account's 8; round trip 5.0 ms");
    CHECK_CONTAINS(text, "the cloud was used: the rest would have taken ");
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

/* ---- vCPUs that come and go ---- */

TEST(a_map_that_gets_more_vcpus_gives_the_cloud_more)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    stand_in.first = 1;
    stand_in.later = 16;
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    const struct fastmap_report report = run(session, 3000, 2000000, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_INT(report.cloud_vcpus, 16);
    CHECK_EQ_INT(report.cloud_vcpus_wished, 16);
    CHECK_TRUE(report.cloud > 1500, "%zu of 3000 in the cloud", report.cloud); /* 1000 with one */
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_map_that_loses_vcpus_gives_the_cloud_less)
{
    char text[1024];
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    stand_in.later = 1;
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    const struct fastmap_report report = run(session, 3000, 2000000, FASTMAP_ERR_ELEMENT);
    CHECK_EQ_INT(report.cloud_vcpus, 1);
    CHECK_TRUE(report.cloud < 1500, "%zu of 3000 in the cloud", report.cloud); /* 2600 with 16 */
    CHECK_EQ_INT(fastmap_explain(&report, text, sizeof text), 0);
    CHECK_CONTAINS(text, "1 of 16 wished: the service has no more free");
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_report_says_why_the_cloud_was_not_used)
{
    static const struct {
        enum stand_in_fault fault;
        enum fastmap_exec_policy policy;
        enum fastmap_confirm confirm;
        double round_trip;
        size_t n;
        int64_t max_charge;
        enum fastmap_cloud_use use;
        const char *sentence;
    } rows[] = {
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_LOCAL, FASTMAP_CONFIRM_OFF, 0.002, 50, -1,
         FASTMAP_CLOUD_POLICY, "exec_policy is LOCAL"},
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_ADAPTIVE, FASTMAP_CONFIRM_OFF, 0.002, 50, -1,
         FASTMAP_CLOUD_SHORT, "over before it could help: the rest was "},
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_ADAPTIVE, FASTMAP_CONFIRM_OFF, 0.002, 1, -1,
         FASTMAP_CLOUD_SHORT, "over before it could help"},
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_ADAPTIVE, FASTMAP_CONFIRM_OFF, 0.7, 990, -1,
         FASTMAP_CLOUD_NO_GAIN, "by 8 vCPUs, round trip 700 ms"},
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_ADAPTIVE, FASTMAP_CONFIRM_OFF, 0.002, 990, 0,
         FASTMAP_CLOUD_NO_MONEY, "not used: max_charge is used up"},
        {STAND_IN_REFUSES, FASTMAP_EXEC_POLICY_ADAPTIVE, FASTMAP_CONFIRM_OFF, 0.002, 990, -1,
         FASTMAP_CLOUD_FAILED, "not used: nobody listens at https://stand-in"},
        {STAND_IN_OPENS_NOT, FASTMAP_EXEC_POLICY_CLOUD, FASTMAP_CONFIRM_OFF, 0.002, 300, -1,
         FASTMAP_CLOUD_FAILED, "not used: the balance is used up: add credit"},
        {STAND_IN_GOES, FASTMAP_EXEC_POLICY_CLOUD, FASTMAP_CONFIRM_OFF, 0.002, 300, -1,
         FASTMAP_CLOUD_FAILED, "used no more: the service is gone"},
        {STAND_IN_FINE, FASTMAP_EXEC_POLICY_CLOUD, FASTMAP_CONFIRM_OFF, 0.002, 300, -1,
         FASTMAP_CLOUD_USED, "the cloud was used, since exec_policy is CLOUD"},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        stand_in_is(rows[i].fault, 8, rows[i].round_trip);
        struct fastmap_session *session = session_with_cloud(rows[i].policy);
        session->settings.confirm_charges = rows[i].confirm;
        session->settings.max_charge = rows[i].max_charge;
        const struct fastmap_report report = explained(session, rows[i].n, 2000000, text);
        CHECK_TRUE(report.cloud_use == rows[i].use, "row %zu: %d: %s", i, (int)report.cloud_use,
                   text);
        CHECK_CONTAINS(text, rows[i].sentence);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
    }
}

TEST(a_later_map_says_what_has_broken_the_cloud)
{
    char text[1024];
    stand_in_is(STAND_IN_REFUSES, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    (void)explained(session, 990, 2000000, text);
    const struct fastmap_report report = explained(session, 990, 2000000, text);
    CHECK_EQ_INT((int)report.cloud_use, FASTMAP_CLOUD_FAILED);
    CHECK_CONTAINS(text, "nobody listens at");
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_session_without_a_token_says_so)
{
    char text[1024];
    struct fastmap_session *session = session_of(2);
    const struct fastmap_report report = explained(session, 50, 100000, text);
    CHECK_EQ_INT((int)report.cloud_use, FASTMAP_CLOUD_UNSET);
    CHECK_CONTAINS(text, "there is no token or no cloud_url");
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(an_explanation_fits_whatever_room_there_is_and_refuses_what_is_no_report)
{
    char text[1024];
    struct fastmap_report report = FASTMAP_REPORT();
    report.cloud_use = FASTMAP_CLOUD_FAILED;
    memset(report.cloud_said, 'x', sizeof report.cloud_said - 1);
    CHECK_EQ_INT(fastmap_explain(&report, text, sizeof text), 0);
    const size_t whole = strlen(text);
    CHECK_CONTAINS(text, "xxx");
    for (size_t bytes = 1; bytes <= whole; bytes++) {
        text[bytes] = '#';
        CHECK_EQ_INT(fastmap_explain(&report, text, bytes), 0);
        CHECK_EQ_SIZE(strlen(text), bytes - 1);
        CHECK_EQ_INT(text[bytes], '#');
    }
    CHECK_EQ_INT(fastmap_explain(&report, text, 0), FASTMAP_ERR_ARGUMENT);
    CHECK_EQ_INT(fastmap_explain(&report, NULL, 9), FASTMAP_ERR_ARGUMENT);
    CHECK_EQ_INT(fastmap_explain(NULL, text, 9), FASTMAP_ERR_ARGUMENT);
    report.cloud_use = (enum fastmap_cloud_use)99;
    CHECK_EQ_INT(fastmap_explain(&report, text, 9), FASTMAP_ERR_ARGUMENT);
}

/* ---- Charges ---- */

TEST(an_estimate_spends_nothing)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    struct fastmap_forecast estimate = FASTMAP_FORECAST();
    const struct fastmap_map map = FASTMAP_MAP(.func = work, .in = in, .in_size = 8, .out = out,
                                               .out_size = 8, .n = MOST, .element_seconds = 0.002);
    memset(out, 7, sizeof out);
    CHECK_EQ_INT(fastmap_estimate(session, &map, &estimate), 0);
    CHECK_TRUE(estimate.local_seconds > 3.9 && estimate.local_seconds < 4.1, "%g s",
               estimate.local_seconds);
    CHECK_TRUE(estimate.adaptive_seconds < 1.5, "%g s", estimate.adaptive_seconds);
    CHECK_TRUE(estimate.cloud > MOST / 2 && estimate.vcpus == 16, "%zu on %d", estimate.cloud,
               estimate.vcpus);
    const double price = (double)estimate.cloud * 0.002 * 0.05 / 3600;
    CHECK_TRUE(estimate.dollars > 0.99 * price && estimate.dollars < 1.01 * price, "%g, not %g",
               estimate.dollars, price);
    CHECK_TRUE(estimate.dollars_least > 0.49 * price && estimate.dollars_least < 0.51 * price,
               "%g for a hint that says nothing of scatter", estimate.dollars_least);
    CHECK_TRUE(estimate.dollars_most > 1.98 * price && estimate.dollars_most < 2.02 * price, "%g",
               estimate.dollars_most);
    CHECK_EQ_INT(atomic_load(&stand_in.opens), 0);
    CHECK_TRUE(((char *)out)[5] == 7, "outputs were written");
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(an_estimate_tries_elements_and_tells_by_their_scatter_how_far_it_may_be_off)
{
    stand_in_is(STAND_IN_FINE, 16, 0.005);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    struct fastmap_forecast estimate = FASTMAP_FORECAST();
    struct fastmap_map map = FASTMAP_MAP(.func = count_work, .in = in, .in_size = 8, .out = out,
                                         .out_size = 8, .n = MOST);
    atomic_store(&done, 0);
    atomic_store(&sleep_ns, 2000000);
    CHECK_EQ_INT(fastmap_estimate(session, &map, &estimate), 0);
    const int tried = atomic_load(&done);
    CHECK_TRUE(tried > 0 && tried < MOST / 10, "%d elements tried", tried);
    CHECK_TRUE(estimate.element_seconds >= 0.002, "%g s", estimate.element_seconds);
    const double above = estimate.dollars_most / estimate.dollars;
    const double below = estimate.dollars / estimate.dollars_least;
    CHECK_TRUE(above > 1 && above < 2 && fabs(above - below) < 1e-6, "%g above, %g below, %d tried",
               above, below, tried);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static int asked;

static int answer_no(const struct fastmap_forecast *estimate, void *context)
{
    asked++;
    CHECK_TRUE(estimate->dollars > 0, "%g", estimate->dollars);
    return *(const int *)context;
}

TEST(the_program_can_answer_for_the_user)
{
    for (int answer = 0; answer < 2; answer++) {
        stand_in_is(STAND_IN_FINE, 8, 0.002);
        struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
        session->settings.confirm_charges = FASTMAP_CONFIRM_ON;
        session->confirm = answer_no;
        session->confirm_context = &answer;
        asked = 0;
        const struct fastmap_report report = run(session, 900, 2000000, 0);
        CHECK_EQ_INT((int)report.cloud_use,
                     answer == 1 ? FASTMAP_CLOUD_USED : FASTMAP_CLOUD_DECLINED);
        CHECK_EQ_INT(asked, 1);
        CHECK_TRUE((report.cloud > 0) == (answer == 1), "%zu in the cloud", report.cloud);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
    }
}

TEST(without_a_terminal_the_answer_is_no)
{
    const int input = dup(STDIN_FILENO);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    session->settings.confirm_charges = FASTMAP_CONFIRM_AUTO;
    const struct fastmap_report report = run(session, 900, 2000000, 0);
    CHECK_EQ_SIZE(report.cloud, 0);
    CHECK_EQ_INT(atomic_load(&stand_in.opens), 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    dup2(input, STDIN_FILENO);
    close(input);
    close(null);
}

/* A person at the other end of a terminal, who reads until there is a question and types. */
struct person {
    int terminal;
    const char *first;
    const char *then; /* NULL: nothing */
    char seen[4096];
    size_t length;
    int done_when_asked; /* elements */
    _Atomic bool over;
};

static void read_until_asked(struct person *person, int questions)
{
    while (!atomic_load(&person->over)) {
        int found = 0;
        person->seen[person->length] = '\0';
        for (const char *at = person->seen; (at = strstr(at, "(y/n)")) != NULL; at++)
            found++;
        if (found >= questions)
            return;
        struct pollfd ready = {.fd = person->terminal, .events = POLLIN};
        if (poll(&ready, 1, 20) <= 0)
            continue;
        const ssize_t got = read(person->terminal, person->seen + person->length,
                                 sizeof person->seen - 1 - person->length);
        if (got > 0)
            person->length += (size_t)got;
    }
}

static void *sit_at(void *argument)
{
    struct person *person = argument;
    read_until_asked(person, 1);
    person->done_when_asked = atomic_load(&done);
    const struct timespec think = {.tv_nsec = 100000000};
    nanosleep(&think, NULL);
    CHECK_TRUE(write(person->terminal, person->first, strlen(person->first)) > 0, "cannot type");
    if (person->then != NULL) {
        read_until_asked(person, 2);
        CHECK_TRUE(write(person->terminal, person->then, strlen(person->then)) > 0, "cannot type");
    }
    while (!atomic_load(&person->over))
        nanosleep(&think, NULL);
    return NULL;
}

/* How many elements the cloud computed where the person answers so. */
static size_t dialog(const char *first, const char *then)
{
    struct person person = {
        .terminal = posix_openpt(O_RDWR | O_NOCTTY), .first = first, .then = then};
    struct fastmap_report report = FASTMAP_REPORT();
    grantpt(person.terminal);
    unlockpt(person.terminal);
    const int other = open(ptsname(person.terminal), O_RDWR | O_NOCTTY);
    const int input = dup(STDIN_FILENO);
    const int error = dup(STDERR_FILENO);
    dup2(other, STDIN_FILENO);
    dup2(other, STDERR_FILENO);
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    session->settings.confirm_charges = FASTMAP_CONFIRM_ON;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = count_work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 900,
                    .element_seconds = 0.002);
    pthread_t thread;
    atomic_store(&done, 0);
    atomic_store(&sleep_ns, 2000000);
    pthread_create(&thread, NULL, sit_at, &person);
    const int rc = fastmap_session_run(session, &map, &report);
    const int done_at_end = atomic_load(&done);
    atomic_store(&person.over, true);
    pthread_join(thread, NULL);
    dup2(input, STDIN_FILENO);
    dup2(error, STDERR_FILENO);
    CHECK_EQ_INT(rc, 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    CHECK_CONTAINS(person.seen, "Estimate: $0.0");
    CHECK_CONTAINS(person.seen, "saves about");
    /* Nobody answered for a tenth of a second, in which two threads compute: not less than one does. */
    CHECK_TRUE(done_at_end > person.done_when_asked, "nothing was computed beside the question");
    close(input);
    close(error);
    close(other);
    close(person.terminal);
    return report.cloud;
}

TEST(a_person_is_asked_on_the_terminal_while_the_map_goes_on)
{
    CHECK_TRUE(dialog("y\n", NULL) > 0, "yes was not heard");
    CHECK_EQ_SIZE(dialog("no\n", NULL), 0);
    CHECK_TRUE(dialog("maybe\n", "YES\n") > 0, "yes was not heard after an unclear answer");
    CHECK_EQ_SIZE(dialog("\004", NULL), 0); /* the end of input */
}

/* All that a map of a second and a half writes to a terminal; the cloud computes most of it. */
static void show(enum fastmap_exec_policy policy, char seen[8192])
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(terminal);
    unlockpt(terminal);
    const int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    const int error = dup(STDERR_FILENO);
    dup2(other, STDERR_FILENO);
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(policy);
    session->settings.verbosity = FASTMAP_VERBOSITY_NORMAL;
    session->terminal = true;
    (void)run(session, 990, 6000000, 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
    dup2(error, STDERR_FILENO);
    const ssize_t got = read(terminal, seen, 8191);
    seen[got > 0 ? got : 0] = '\0';
    close(error);
    close(other);
    close(terminal);
}

TEST(progress_counts_what_the_cloud_has_not_yet_computed_as_open)
{
    for (int policy = FASTMAP_EXEC_POLICY_ADAPTIVE; policy <= FASTMAP_EXEC_POLICY_CLOUD;
         policy += 2) {
        char seen[8192];
        size_t lines = 0;
        size_t last = 0;
        show((enum fastmap_exec_policy)policy, seen);
        for (const char *at = seen; (at = strstr(at, "map: ")) != NULL; at++) {
            const char *of = strstr(at, " of 990 (");
            const size_t shown = (size_t)strtoul(at + strlen("map: "), NULL, 10);
            if (of == NULL || of > at + 9) /* the closing line */
                continue;
            CHECK_TRUE(shown > 0 && shown < 990 && shown >= last, "%zu after %zu of 990", shown,
                       last);
            last = shown;
            lines++;
        }
        CHECK_TRUE(lines >= 1, "policy %d shows no progress: %s", policy, seen);
    }
}

/* ---- Elements that are in order of what they cost ---- */

#define DEAR 37 /* and every 16th from it: they take ten times as long */
#define SPREAD 160

static bool is_dear(size_t index)
{
    return index % 16 == DEAR % 16;
}

/* Fails where its index is not what its input says: that is what it has in common with work(). */
static int work_unequally(const void *from, void *to, const void *shared)
{
    const uint64_t index = from != NULL ? *(const uint64_t *)from : fastmap_index();
    const bool here = fastmap_index() != SIZE_MAX; /* the stand-in's threads are in no map */
    const struct timespec time = {.tv_nsec = is_dear(index) ? 50000000 : 5000000};
    (void)shared;
    nanosleep(&time, NULL);
    *(uint64_t *)to = index * 3 + 1;
    return here && fastmap_index() != index ? 8 : index == DEAR ? 7 : 0;
}

static struct fastmap_report run_unequally(struct fastmap_session *session, bool in_place)
{
    struct fastmap_report report = FASTMAP_REPORT();
    struct fastmap_map map = FASTMAP_MAP(.func = work_unequally, .in = in, .in_size = 8, .out = out,
                                         .out_size = 8, .n = SPREAD);
    for (size_t i = 0; i < SPREAD; i++)
        in[i] = out[i] = i;
    if (in_place)
        map.in = out;
    atomic_store(&stand_in.first_index, -1);
    CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
    size_t wrong = 0;
    for (size_t i = 0; i < SPREAD; i++)
        wrong += out[i] != i * 3 + 1 ? 1 : 0;
    CHECK_EQ_SIZE(wrong, 0);
    CHECK_EQ_SIZE(report.elements, SPREAD);
    CHECK_EQ_SIZE(report.failed, 1);
    CHECK_EQ_INT((int)report.failures[0].index, DEAR);
    CHECK_EQ_INT(report.failures[0].code, 7);
    return report;
}

TEST(a_course_is_left_alone_as_soon_as_it_has_predicted_nothing)
{
    const struct fastmap_map map =
        FASTMAP_MAP(.func = work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 64);
    const struct fm_sched_machine there = {.there = 2};
    const bool ordered[] = {false, true, true, false, true};
    for (int turn = 0; turn < 5; turn++) {
        struct fm_engine_course *course = fm_engine_course_begin(&map, 4711, 1e6, &there);
        CHECK_TRUE(course != NULL, "no memory");
        CHECK_TRUE(course->ordered == ordered[turn], "turn %d: ordered %d", turn, course->ordered);
        for (size_t i = 0; i < 64; i++) {
            const uint64_t key = turn < 2 ? i : i + 7; /* costs change in the third map, once */
            CHECK_TRUE(!course->ordered || i == 0 ||
                           course->all.before[i + 1] - course->all.before[i] >=
                               (course->all.before[i] - course->all.before[i - 1]) * (1 - 1e-9),
                       "turn %d: %zu is out of order", turn, i);
            fm_engine_course_note(course, i, 1e6 * (double)(1 + key * 2654435761U % 64));
        }
        CHECK_TRUE(!ordered[turn] || fabs(course->all.before[64] - 64) < 1e-6, "%g of 64",
                   course->all.before[64]);
        fm_engine_course_end(course);
    }
    CHECK_TRUE(fm_engine_course_begin(&map, 4711, 1e4, &there) == NULL, "one for cheap elements");
    struct fm_engine_course *older = fm_engine_course_begin(&map, 4711, 1e6, NULL);
    CHECK_TRUE(older != NULL && !older->ordered && older->all.place[5] == 5, "out of order");
    fm_engine_course_end(older);
}

TEST(the_dearest_elements_of_the_last_map_go_to_the_cloud_first)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    (void)run_unequally(session,
                        false); /* tells what an element costs, the next one what each does */
    (void)run_unequally(session, true);
    for (int i = 0; i < 2; i++) {
        const struct fastmap_report report = run_unequally(session, i > 0);
        const int64_t first = atomic_load(&stand_in.first_index);
        CHECK_TRUE(first >= 0 && is_dear((size_t)first), "the first one sent was %d", (int)first);
        CHECK_TRUE(report.cloud > 0 && report.cloud < SPREAD, "%zu in the cloud", report.cloud);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(an_older_service_gets_elements_in_their_own_order)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    stand_in.is_old = true;
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int i = 0; i < 4; i++) {
        const struct fastmap_report report = run_unequally(session, false);
        CHECK_EQ_INT((int)atomic_load(&stand_in.first_index), -1);
        CHECK_TRUE(i == 0 || report.cloud > 0, "nothing in the cloud");
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(elements_in_order_survive_whatever_the_cloud_does_wrong)
{
    static const enum stand_in_fault faults[] = {STAND_IN_GOES, STAND_IN_LOSES, STAND_IN_CUTS,
                                                 STAND_IN_KILLS, STAND_IN_LIES};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        stand_in_is(STAND_IN_FINE, 4, 0.002);
        struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
        (void)run_unequally(session, false);
        (void)run_unequally(session, false);
        stand_in.fault = faults[i];
        (void)run_unequally(session, false);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
    }
}

static int add_inside(const void *from, void *to, const void *shared)
{
    (void)shared;
    *(uint64_t *)to = *(const uint64_t *)from + fastmap_index();
    return 0;
}

static int nest_unequally(const void *from, void *to, const void *shared)
{
    const uint64_t inner[4] = {0};
    uint64_t sums[4] = {9, 9, 9, 9};
    const int code = work_unequally(from, to, shared);
    const int rc = fastmap(add_inside, inner, 8, sums, 8, 4, NULL, 0);
    return rc != 0 || sums[0] + sums[1] + sums[2] + sums[3] != 6 ? 9 : code == 7 ? 0 : code;
}

struct caller {
    struct fastmap_session *session;
    size_t n, wrong;
    uint64_t in[SPREAD], out[SPREAD];
    pthread_t thread;
};

static void *call_maps(void *argument)
{
    struct caller *caller = argument;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = nest_unequally, .in = caller->in, .in_size = 8, .out = caller->out,
                    .out_size = 8, .n = caller->n);
    for (size_t i = 0; i < SPREAD; i++)
        caller->in[i] = i;
    for (int turn = 0; turn < 3; turn++) {
        memset(caller->out, 0, sizeof caller->out);
        caller->wrong += fastmap_session_run(caller->session, &map, NULL) != 0;
        for (size_t i = 0; i < caller->n; i++)
            caller->wrong += caller->out[i] != i * 3 + 1;
    }
    return NULL;
}

TEST(threads_that_call_maps_side_by_side_and_maps_inside_elements_are_in_no_others_way)
{
    static struct caller callers[2];
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (size_t i = 0; i < 2; i++) {
        callers[i] = (struct caller){.session = session, .n = SPREAD - 50 * i};
        pthread_create(&callers[i].thread, NULL, call_maps, &callers[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(callers[i].thread, NULL);
        CHECK_EQ_SIZE(callers[i].wrong, 0);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_map_in_order_that_stops_has_computed_what_its_report_counts)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int i = 0; i < 5; i++) {
        struct fastmap_report report = FASTMAP_REPORT();
        struct fastmap_map map = FASTMAP_MAP(.func = work_unequally, .in = in, .in_size = 8,
                                             .out = out, .out_size = 8, .n = SPREAD);
        map.on_error = i < 2 ? FASTMAP_ON_ERROR_CONTINUE : FASTMAP_ON_ERROR_STOP;
        for (size_t k = 0; k < SPREAD; k++)
            in[k] = k;
        memset(out, 0, sizeof out);
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        size_t there = 0, wrong = 0;
        for (size_t k = 0; k < SPREAD; k++) {
            there += out[k] != 0;
            wrong += out[k] != 0 && out[k] != k * 3 + 1;
        }
        CHECK_EQ_SIZE(wrong, 0);
        CHECK_EQ_SIZE(there, report.elements);
        CHECK_EQ_SIZE(report.failed, 1);
        CHECK_EQ_SIZE(report.failures[0].index, DEAR);
        CHECK_TRUE(out[DEAR] != 0, "what failed has no output");
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static _Atomic int computed_of[SPREAD];

static int only_count(const void *from, void *to, const void *shared)
{
    uint64_t value;
    const uint64_t *index = from;
    const int code = work_unequally(from, &value, shared);
    atomic_fetch_add(&computed_of[*index], 1);
    return to != NULL ? 10 : code == 7 ? 0 : code;
}

TEST(elements_without_outputs_are_computed_in_order_too)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    for (int turn = 1; turn <= 3; turn++) {
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map =
            FASTMAP_MAP(.func = only_count, .in = in, .in_size = 8, .n = SPREAD);
        for (size_t i = 0; i < SPREAD; i++)
            in[i] = i;
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
        CHECK_EQ_SIZE(report.elements, SPREAD);
        for (size_t i = 0; i < SPREAD; i++)
            CHECK_TRUE(atomic_load(&computed_of[i]) >= turn, "element %zu: %d times in %d maps", i,
                       atomic_load(&computed_of[i]), turn);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

static int fail_often(const void *from, void *to, const void *shared)
{
    const int code = work_unequally(from, to, shared);
    const uint64_t index = *(const uint64_t *)from;
    return code == 8 ? 8 : index % 3 == 0 ? 100 + (int)index : 0;
}

TEST(the_lowest_failures_are_listed_as_the_clouds_in_whatever_order_they_come)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
    for (int turn = 0; turn < 3; turn++) { /* the third one is in order of cost */
        struct fastmap_report report = FASTMAP_REPORT();
        const struct fastmap_map map = FASTMAP_MAP(.func = fail_often, .in = in, .in_size = 8,
                                                   .out = out, .out_size = 8, .n = SPREAD);
        for (size_t i = 0; i < SPREAD; i++)
            in[i] = i;
        CHECK_EQ_INT(fastmap_session_run(session, &map, &report), FASTMAP_ERR_ELEMENT);
        CHECK_CONTAINS(fastmap_last_error(), "the first is 0, which returned 100");
        CHECK_EQ_SIZE(report.cloud, SPREAD);
        CHECK_EQ_SIZE(report.failed, (SPREAD + 2) / 3);
        CHECK_EQ_SIZE(report.failures_listed, FASTMAP_REPORT_FAILURES);
        for (size_t i = 0; i < report.failures_listed; i++) {
            CHECK_EQ_SIZE(report.failures[i].index, 3 * i);
            CHECK_EQ_INT(report.failures[i].code, 100 + 3 * (int)i);
            CHECK_EQ_INT((int)report.failures[i].tier, FASTMAP_TIER_CLOUD);
        }
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(no_element_has_taken_longer_than_its_span_was_away)
{
    stand_in_is(STAND_IN_FINE, 4, 0.002);
    stand_in.is_boastful = true;
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_CLOUD);
    for (int i = 0; i < 4; i++) {
        const struct fastmap_report report = run_unequally(session, false);
        CHECK_TRUE(report.cloud_with_seconds < 60, "%g s expected", report.cloud_with_seconds);
    }
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

TEST(a_message_has_no_more_elements_than_it_may_however_light_they_are)
{
    uint32_t place[SPREAD];
    double before[SPREAD + 1] = {0};
    struct fm_engine_job job = {.slot = 0, .first = 0, .work.n = SPREAD};
    struct fm_engine_group group = {.queue = &job, .sched.link.run_most = 7};
    struct fm_sched_run given = {0};
    for (size_t i = 0; i < SPREAD; i++) {
        place[i] = (uint32_t)i;
        before[i + 1] = before[i] + 0.001;
    }
    job.course = (struct fm_tier_course){.place = place, .before = before};
    job.run.course = &job.course;
    CHECK_EQ_SIZE(fm_engine_jobs_take(&group, 20, &given), 1);
    CHECK_EQ_SIZE(given.count, 7);
    CHECK_EQ_SIZE(given.first, SPREAD - 7);
    CHECK_EQ_SIZE(job.work.n, SPREAD - 7);
}

TEST(less_money_than_the_service_holds_is_not_offered_to_it)
{
    struct fm_engine_world world = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct fastmap_session session = {
        .settings = {.confirm_charges = FASTMAP_CONFIRM_OFF, .max_charge = 1000}};
    const struct fastmap_map map =
        FASTMAP_MAP(.func = work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 64);
    struct fm_engine_group group = {.world = &world, .session = &session, .map = &map};
    struct fm_engine_cloud cloud = {.world = &world, .session = &session, .group = &group};
    enum fastmap_cloud_use use;
    char why[FM_TIER_CLOUD_WHY] = "";
    struct fm_engine_job own = {.work = map};
    group.queue = &own; /* all of it is left, and nobody computes here */
    group.sched.cost_ns = 1e9;
    cloud.account = (struct fm_tier_cloud_account){
        .vcpus = 4, .price = 50000000, .balance = 1000000, .hold_least = 13889};
    CHECK_TRUE(!fm_engine_purse_allows(&cloud, &use, why), "offered");
    CHECK_EQ_INT((int)use, FASTMAP_CLOUD_NO_MONEY);
    CHECK_CONTAINS(why,
                   "max_charge is used up, but for less than the service holds for a map: raise");
    cloud.account.balance = 13888;
    session.settings.max_charge = 20000;
    CHECK_TRUE(!fm_engine_purse_allows(&cloud, &use, why), "offered");
    CHECK_CONTAINS(why, "the account's balance is used up, but for less");
    session.settings.max_charge = 0;
    cloud.account.balance = 1000000;
    CHECK_TRUE(!fm_engine_purse_allows(&cloud, &use, why), "offered");
    CHECK_CONTAINS(why, "max_charge is used up: raise it");
}

TEST(a_service_that_has_no_trails_any_more_is_sent_none)
{
    struct fm_engine_world world = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    struct fastmap_session session = {.settings.confirm_charges = FASTMAP_CONFIRM_OFF};
    const struct fastmap_map map =
        FASTMAP_MAP(.func = work, .in = in, .in_size = 8, .out = out, .out_size = 8, .n = 64);
    struct fm_engine_group group = {.world = &world, .session = &session, .map = &map};
    struct fm_engine_cloud cloud = {.world = &world, .session = &session, .group = &group};
    enum fastmap_cloud_use use;
    char why[FM_TIER_CLOUD_WHY];
    group.course = fm_engine_course_begin(&map, 4712, 1e6, NULL);
    CHECK_TRUE(group.course != NULL && !group.course->ordered, "an order of nothing");
    for (int has = 1; has >= 0; has--) {
        cloud.account = (struct fm_tier_cloud_account){.vcpus = 4, .trail = has == 1};
        (void)fm_engine_purse_allows(&cloud, &use, why);
        CHECK_TRUE(cloud.offer.trail == (has == 1), "has %d, sends %d", has, cloud.offer.trail);
        CHECK_EQ_SIZE(cloud.offer.in_size, has == 1 ? 24 : 8);
        CHECK_EQ_SIZE(cloud.offer.out_size, has == 1 ? 24 : 8);
    }
    fm_engine_course_end(group.course);
}

/* ---- fork() ---- */

TEST(the_child_of_a_fork_has_no_cloud_and_ends_its_sessions)
{
    if (UNDER_TSAN)
        SKIP("no fork beside running threads under ThreadSanitizer");
    stand_in_is(STAND_IN_FINE, 8, 0.002);
    struct fastmap_session *session = session_with_cloud(FASTMAP_EXEC_POLICY_ADAPTIVE);
    (void)run(session, 900, 2000000, 0);
    const int connects = atomic_load(&stand_in.connects);
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        const struct fastmap_report report = run(session, 300, 2000000, 0);
        const bool alone = report.cloud == 0 && atomic_load(&stand_in.connects) == connects;
        _exit(alone && fastmap_finalize(session) == 0 ? 0 : 1);
    }
    int status = -1;
    CHECK_TRUE(waitpid(child, &status, 0) == child, "no child");
    CHECK_EQ_INT(status, 0);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}
