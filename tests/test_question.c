/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question about charges between two ranks, both in this process: rank 1 talks to the cloud, and the user
 * is at rank 0. A message is what one has sent and the other has not yet received.
 */
#include "engine/question.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/letters.h"
#include "test.h"

#define WAIT_MS 5000

struct side {
    struct fastmap_session session;
    struct fm_engine_world world;
    struct fm_engine_cloud cloud;
    struct fm_engine_group group;
};

static struct side sides[2];
static char *mail[2]; /* for each; the newest, since this test delivers them one by one */
static size_t mail_bytes[2];
static int questions, answers;

static bool send(int to, int tag, char *bytes, size_t size)
{
    struct fm_engine_header header;
    (void)tag;
    memcpy(&header, bytes, sizeof header);
    questions += header.message.kind == FM_ENGINE_QUESTION ? 1 : 0;
    answers += header.message.kind == FM_ENGINE_ANSWER ? 1 : 0;
    free(mail[to]);
    mail[to] = bytes;
    mail_bytes[to] = size;
    return true;
}

static const struct fm_tier_ranks post_office = {.send = send};

static int asked, reply;
static struct fastmap_forecast seen;

static int callback(const struct fastmap_forecast *estimate, void *context)
{
    (void)context;
    asked++;
    seen = *estimate;
    return reply;
}

static void begin(int rank, enum fastmap_confirm confirm, int64_t max_charge)
{
    struct side *side = &sides[rank];
    pthread_condattr_t clock;
    memset(side, 0, sizeof *side);
    side->session = (struct fastmap_session){.settings = {.confirm_charges = confirm,
                                                          .max_charge = max_charge,
                                                          .verbosity = FASTMAP_VERBOSITY_SILENT},
                                             .confirm = rank == 0 ? callback : NULL};
    side->world.tier = &post_office;
    side->world.is = (struct fm_tier_world){.rank = rank, .size = 2};
    side->world.gateway = 1;
    side->world.cloud = &side->cloud;
    pthread_mutex_init(&side->world.mutex, NULL);
    side->cloud.world = &side->world;
    side->cloud.session = &side->session;
    side->cloud.group = &side->group;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&side->cloud.changed, &clock);
    pthread_condattr_destroy(&clock);
    side->group.world = &side->world;
    side->group.session = &side->session;
    side->group.cloud = &side->cloud;
    fm_engine_question_begin(&side->group);
}

static void begin_both(enum fastmap_confirm confirm, int64_t max_charge, int callback_says)
{
    begin(0, confirm, max_charge);
    begin(1, FASTMAP_CONFIRM_AUTO, -1);
    asked = questions = answers = 0;
    reply = callback_says;
}

static void end_both(void)
{
    for (int rank = 0; rank < 2; rank++) {
        sides[rank].cloud.group = NULL; /* the map is over */
        fm_engine_courier_end(&sides[rank].cloud);
        pthread_cond_destroy(&sides[rank].cloud.changed);
        pthread_mutex_destroy(&sides[rank].world.mutex);
        free(mail[rank]);
        mail[rank] = NULL;
    }
}

/* What a rank's talking thread does: it receives, and says what is to be said. */
static void talk(int rank)
{
    struct side *side = &sides[rank];
    pthread_mutex_lock(&side->world.mutex);
    if (mail[rank] != NULL) {
        char *bytes = mail[rank];
        mail[rank] = NULL;
        fm_engine_talk_receive(&side->group, 1 - rank, bytes, mail_bytes[rank]);
    }
    fm_engine_question_tell(&side->cloud);
    pthread_mutex_unlock(&side->world.mutex);
}

/* Rank 1's courier. */
struct put {
    int pays; /* so many times */
    bool yes;
    char why[256];
    _Atomic bool over;
};

static struct put *putting;

static bool appraise(void *context, struct fastmap_forecast *to)
{
    *to = FASTMAP_FORECAST();
    to->dollars = 0.125;
    return context == &sides[1].cloud && putting->pays-- > 0;
}

static void *put_main(void *argument)
{
    struct put *put = argument;
    put->yes = fm_engine_question_put(&sides[1].cloud, appraise, put->why);
    atomic_store(&put->over, true);
    return NULL;
}

/* Rank 1 asks; how many of both ranks talk meanwhile. */
static struct put ask(int pays, bool (*goes_on)(void))
{
    static struct put put;
    pthread_t thread;
    put = (struct put){.pays = pays};
    putting = &put;
    pthread_create(&thread, NULL, put_main, &put);
    for (int ms = 0; ms < WAIT_MS && !atomic_load(&put.over); ms++) {
        talk(1);
        if (goes_on())
            talk(0);
        fm_engine_wait_ns(1000000);
    }
    atomic_store(&sides[1].cloud.give_up, true);
    pthread_join(thread, NULL);
    return put;
}

static bool both_talk(void)
{
    return true;
}

TEST(rank_0_is_asked_for_another_rank_and_its_answer_counts)
{
    for (int says = 0; says < 2; says++) {
        begin_both(FASTMAP_CONFIRM_ON, -1, says);
        const struct put put = ask(1000, both_talk);
        CHECK_TRUE(put.yes == (says == 1), "%d, and %d came back: %s", says, put.yes, put.why);
        CHECK_EQ_INT(asked, 1);
        CHECK_TRUE(seen.dollars == 0.125, "%g US$", seen.dollars);
        CHECK_EQ_STR(put.why, says == 1 ? "" : "the program said no");
        CHECK_EQ_INT(sides[0].cloud.reason.use == FASTMAP_CLOUD_DECLINED, says == 0);
        end_both();
    }
}

TEST(nothing_is_sent_where_rank_0_is_known_not_to_ask)
{
    begin_both(FASTMAP_CONFIRM_OFF, -1, 0);
    sides[1].group.charges = sides[0].group.charges; /* as any message of rank 0 brings it */
    const struct put put = ask(1000, both_talk);
    CHECK_TRUE(put.yes, "no: %s", put.why);
    CHECK_EQ_INT(questions + answers + asked, 0);
    end_both();
}

/* Rank 1's own settings would ask, and set no limit. */
TEST(the_max_charge_of_rank_0_stands_for_its_yes_and_holds_on_other_ranks)
{
    begin_both(FASTMAP_CONFIRM_AUTO, 5000, 0);
    CHECK_EQ_INT((int)fm_engine_question_most(&sides[1].cloud), -1);
    const struct put put = ask(1000, both_talk);
    CHECK_TRUE(put.yes, "no: %s", put.why);
    CHECK_EQ_INT(asked, 0);
    CHECK_EQ_INT(questions, 1);
    CHECK_EQ_INT((int)fm_engine_question_most(&sides[1].cloud), 5000);
    sides[1].session.settings.max_charge = 7000;
    CHECK_EQ_INT((int)fm_engine_question_most(&sides[1].cloud), 5000);
    sides[1].session.settings.max_charge = 3000;
    CHECK_EQ_INT((int)fm_engine_question_most(&sides[1].cloud), 3000);
    end_both();
}

TEST(a_rank_0_without_a_token_says_no)
{
    begin_both(FASTMAP_CONFIRM_ON, -1, 1);
    sides[0].group.cloud = NULL;
    const struct put put = ask(1000, both_talk);
    CHECK_TRUE(!put.yes, "yes");
    CHECK_CONTAINS(put.why, "rank 0, whose session has no token");
    CHECK_EQ_INT(asked, 0);
    end_both();
}

/* Rank 0 has left; then the map ends for rank 1, too. */
static bool rank_0_is_away(void)
{
    static int looks;
    if (++looks % 50 == 0) {
        pthread_mutex_lock(&sides[1].world.mutex);
        atomic_store(&sides[1].cloud.give_up, true);
        pthread_cond_broadcast(&sides[1].cloud.changed);
        pthread_mutex_unlock(&sides[1].world.mutex);
    }
    return false;
}

TEST(no_answer_until_the_end_of_the_map_is_no)
{
    begin_both(FASTMAP_CONFIRM_ON, -1, 1);
    const struct put put = ask(1000, rank_0_is_away);
    CHECK_TRUE(!put.yes, "yes from nobody");
    CHECK_EQ_STR(put.why, "");
    CHECK_EQ_INT(asked, 0);
    end_both();
}

/* It pays once, so it is taken back when it is looked at again: rank 0 hears of both late. */
static bool rank_0_is_late(void)
{
    return atomic_load(&putting->over);
}

TEST(a_question_that_is_taken_back_is_not_answered_and_may_be_put_again)
{
    begin_both(FASTMAP_CONFIRM_ON, -1, 1);
    const struct put first = ask(1, rank_0_is_late);
    CHECK_TRUE(!first.yes && first.why[0] == '\0', "an answer to what was taken back: %s",
               first.why);
    talk(1);
    talk(0);
    CHECK_EQ_INT(questions, 2);
    CHECK_EQ_INT(asked, 0);
    atomic_store(&sides[1].cloud.give_up, false);
    const struct put second = ask(1000, both_talk);
    CHECK_TRUE(second.yes, "no: %s", second.why);
    CHECK_EQ_INT(asked, 1);
    end_both();
}

TEST(an_answer_to_an_earlier_question_and_a_message_that_is_too_short_come_to_nothing)
{
    begin_both(FASTMAP_CONFIRM_ON, -1, 1);
    sides[1].cloud.question.number = 2;
    for (int number = 1; number <= 2; number++) {
        const struct fm_engine_header header = {
            .message = {.kind = FM_ENGINE_ANSWER, .code = number}};
        const char payload[264] = {1};
        fm_engine_question_hear(&sides[1].group, 0, &header, payload,
                                number == 2 ? 100 : sizeof payload);
        CHECK_EQ_INT(sides[1].cloud.question.answered, 0);
    }
    end_both();
}
