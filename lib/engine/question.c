/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The question about charges where the rank that talks to the cloud is not rank 0: the user sits at rank
 * 0, and that is where a program's callback is. The figures go there, anew as they change, and the answer
 * comes back.
 *
 * Rank 0's settings decide whether anybody is asked. They travel with all messages of a map, like what it
 * has cost, so that nothing is sent for maps that need no yes; a rank that does not know them yet puts the
 * question, and is told. A max_charge that stands for the user's yes is rank 0's, so it holds here, too.
 *
 * As with the turn (gateway.c), only threads that talk to other ranks send; both couriers leave to them
 * what is to be said. Questions of a map are numbered, since one that does not pay any more is taken back
 * (by a message without figures) and may be put again; an answer to an earlier one comes to nothing.
 * Nobody waits for a rank 0 that has left the map: the end of the map is on its way here then, and ends
 * the question without an answer, which counts as no for that map.
 */
#include "engine/question.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/confirm.h"
#include "engine/letters.h"

#define REFRESH_S 1 /* between estimates */

struct answer {
    uint64_t yes;
    char why[256];
};

/* ---- Whether to ask ---- */

void fm_engine_question_begin(struct fm_engine_group *group)
{
    const struct fm_base_settings *settings = &group->session->settings;
    if (group->world->is.rank == 0)
        group->charges = (struct fm_engine_charges){
            .say = fm_engine_confirm_is_asked(group->session) ? FM_ENGINE_CHARGES_ASK
                                                              : FM_ENGINE_CHARGES_GO,
            .most = settings->max_charge};
}

int64_t fm_engine_question_most(const struct fm_engine_cloud *cloud)
{
    const struct fm_engine_group *group = cloud->group;
    const int64_t own = cloud->session->settings.max_charge;
    if (group == NULL || group->charges.say == FM_ENGINE_CHARGES_UNKNOWN || group->charges.most < 0)
        return own;
    return own < 0 || group->charges.most < own ? group->charges.most : own;
}

/* ---- The rank that talks to the cloud ---- */

/* Has the figures sent, and waits until it is time for new ones. True: there is an answer. */
static bool await_answer(struct fm_engine_cloud *cloud, const struct fastmap_forecast *now)
{
    struct fm_engine_question *question = &cloud->question;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REFRESH_S;
    pthread_mutex_lock(&cloud->world->mutex);
    question->figures = *now;
    question->news = true;
    while (question->answered != question->number && !atomic_load(&cloud->give_up) &&
           pthread_cond_timedwait(&cloud->changed, &cloud->world->mutex, &until) == 0)
        continue;
    const bool there = question->answered == question->number;
    pthread_mutex_unlock(&cloud->world->mutex);
    return there;
}

/* What became of it; without an answer it is taken back. */
static bool conclude(struct fm_engine_cloud *cloud, char why[256])
{
    struct fm_engine_question *question = &cloud->question;
    pthread_mutex_lock(&cloud->world->mutex);
    const bool there = question->answered == question->number;
    const bool yes = there && question->yes;
    question->figures.size = 0;
    question->news = !there;
    if (there && !yes)
        (void)snprintf(why, 256, "%s", question->why);
    pthread_mutex_unlock(&cloud->world->mutex);
    return yes;
}

/* Whether it needs an answer from rank 0, which has a number from then on. */
static bool begin(struct fm_engine_cloud *cloud)
{
    pthread_mutex_lock(&cloud->world->mutex);
    const bool asks = cloud->group == NULL || cloud->group->charges.say != FM_ENGINE_CHARGES_GO;
    cloud->question.number += asks ? 1 : 0;
    pthread_mutex_unlock(&cloud->world->mutex);
    return asks;
}

bool fm_engine_question_put(struct fm_engine_cloud *cloud,
                            bool (*appraise)(void *context, struct fastmap_forecast *to),
                            char why[256])
{
    struct fastmap_forecast now;
    if (cloud->world->is.rank == 0)
        return fm_engine_confirm(cloud->session, appraise, cloud, &cloud->give_up, why);
    if (!begin(cloud))
        return true;
    while (!atomic_load(&cloud->give_up) && appraise(cloud, &now))
        if (await_answer(cloud, &now))
            break;
    return conclude(cloud, why);
}

static void hear_answer(struct fm_engine_cloud *cloud, int number, const struct answer *answer)
{
    struct fm_engine_question *question = &cloud->question;
    if (number != question->number)
        return;
    question->answered = number;
    question->yes = answer->yes != 0;
    (void)snprintf(question->why, sizeof question->why, "%.255s", answer->why);
    pthread_cond_broadcast(&cloud->changed);
}

/* ---- Rank 0 ---- */

/* The figures that have come last. False: the question has been taken back. */
static bool recall(void *context, struct fastmap_forecast *to)
{
    struct fm_engine_cloud *cloud = context;
    pthread_mutex_lock(&cloud->world->mutex);
    const bool open = cloud->question.figures.size != 0;
    if (open)
        *to = cloud->question.figures;
    pthread_mutex_unlock(&cloud->world->mutex);
    return open;
}

void fm_engine_question_answer(struct fm_engine_cloud *cloud)
{
    struct fm_engine_question *question = &cloud->question;
    char why[256] = "";
    pthread_mutex_unlock(&cloud->world->mutex);
    const bool yes = fm_engine_confirm(cloud->session, recall, cloud, &cloud->give_up, why);
    pthread_mutex_lock(&cloud->world->mutex);
    question->asking = false;
    cloud->preparing = false;
    pthread_cond_broadcast(&cloud->changed);
    if (cloud->group == NULL || question->figures.size == 0 || (!yes && why[0] == '\0'))
        return;
    question->answered = question->number;
    question->yes = yes;
    question->news = true;
    memcpy(question->why, why, sizeof why);
    if (!yes) {
        fm_engine_courier_warn(cloud->session, why);
        fm_engine_reason_end(cloud, FASTMAP_CLOUD_DECLINED, why);
    }
}

static void hear_question(struct fm_engine_cloud *cloud, int from, int number,
                          const struct fastmap_forecast *figures)
{
    struct fm_engine_question *question = &cloud->question;
    if (number == question->answered) /* sent before the answer was there */
        return;
    question->from = from;
    question->number = number;
    question->figures = *figures;
    if (figures->size == 0 || question->asking)
        return;
    question->asking = true;
    cloud->preparing = true;
    atomic_store(&cloud->give_up, false);
    pthread_cond_broadcast(&cloud->changed);
}

/* ---- Messages ---- */

static void post(struct fm_engine_group *group, int to, int kind, int number, const void *payload,
                 size_t bytes)
{
    const struct fm_engine_header header = {.message = {.kind = kind, .code = number},
                                            .terms = group->terms,
                                            .charges = group->charges};
    fm_engine_talk_post(group->world, group->tag, to, &header, payload, bytes);
}

static void post_answer(struct fm_engine_group *group, int to, int number, bool yes,
                        const char *why)
{
    struct answer answer = {.yes = yes};
    (void)snprintf(answer.why, sizeof answer.why, "%s", why);
    post(group, to, FM_ENGINE_ANSWER, number, &answer, sizeof answer);
}

/* Rank 0 has nobody who could ask. */
static void refuse(struct fm_engine_group *group, int to, int number)
{
    static const char why[] =
        "charges are to be confirmed on rank 0, whose session has no token or has lost the cloud, "
        "which counts as no; set secret and cloud_url there, too";
    fm_engine_courier_warn(group->session, why);
    post_answer(group, to, number, false, why);
}

void fm_engine_question_tell(struct fm_engine_cloud *cloud)
{
    struct fm_engine_question *question = &cloud->question;
    if (!question->news)
        return;
    question->news = false;
    if (cloud->world->is.rank == 0)
        post_answer(cloud->group, question->from, question->number, question->yes, question->why);
    else
        post(cloud->group, 0, FM_ENGINE_QUESTION, question->number, &question->figures,
             question->figures.size != 0 ? sizeof question->figures : 0);
}

void fm_engine_question_hear(struct fm_engine_group *group, int from,
                             const struct fm_engine_header *header, const char *payload,
                             size_t bytes)
{
    struct fm_engine_cloud *cloud = group->cloud;
    struct fastmap_forecast figures = {.size = 0};
    struct answer answer;
    const int number = header->message.code;
    if (header->message.kind == FM_ENGINE_ANSWER) {
        if (cloud == NULL || bytes != sizeof answer)
            return;
        memcpy(&answer, payload, sizeof answer);
        hear_answer(cloud, number, &answer);
        return;
    }
    if (bytes == sizeof figures)
        memcpy(&figures, payload, sizeof figures);
    if (cloud != NULL && fm_engine_courier_start(cloud))
        hear_question(cloud, from, number, &figures);
    else if (figures.size != 0)
        refuse(group, from, number);
}
