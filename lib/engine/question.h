/* SPDX-License-Identifier: BSD-3-Clause */
/* The question about charges, between the rank that talks to the cloud and rank 0. */
#ifndef FM_ENGINE_QUESTION_H
#define FM_ENGINE_QUESTION_H

#include "engine/cloud.h"

/* What this rank's settings say of charges, for the map that is entered. */
void fm_engine_question_begin(struct fm_engine_group *group);

/* What may be spent at most, by the settings of this rank and of rank 0; below 0: nothing says. */
int64_t fm_engine_question_most(const struct fm_engine_cloud *cloud);

/* The user's yes to charges, from wherever it is to be had: see fm_engine_confirm(). By the courier, without
   the mutex. */
bool fm_engine_question_put(struct fm_engine_cloud *cloud,
                            bool (*appraise)(void *context, struct fastmap_forecast *to),
                            char why[256]);

/* Sends the question, or the answer, if that is due. By a thread that talks to other ranks. */
void fm_engine_question_tell(struct fm_engine_cloud *cloud);

/* A message with either. */
void fm_engine_question_hear(struct fm_engine_group *group, int from,
                             const struct fm_engine_header *header, const char *payload,
                             size_t bytes);

/* On rank 0: asks the user what another rank wants to know. By the courier, under the mutex. */
void fm_engine_question_answer(struct fm_engine_cloud *cloud);

#endif
