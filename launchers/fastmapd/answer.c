/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filling in of answers.
 */
#include "answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROW(word, status) {#word, status},
static const struct {
    const char *word;
    unsigned status;
} errors[] = {FMD_ERRORS(ROW)};

void fmd_answer_clear(struct fmd_answer *answer)
{
    json_decref(answer->json);
    if (answer->outcome != NULL)
        fmd_outcome_drop(answer->outcome);
    free(answer->text);
    free(answer->packed);
    *answer = (struct fmd_answer){.closes = answer->closes};
}

void fmd_answer_json(struct fmd_answer *answer, unsigned status, json_t *json)
{
    fmd_answer_clear(answer);
    answer->status = json == NULL ? 500 : status;
    answer->json = json;
}

void fmd_answer_outcome(struct fmd_answer *answer, struct fmd_outcome *outcome)
{
    fmd_answer_clear(answer);
    atomic_fetch_add(&outcome->users, 1);
    answer->status = 200;
    answer->outcome = outcome;
}

void fmd_answer_error(struct fmd_answer *answer, enum fmd_error error, const char *fmt, ...)
{
    char sentence[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    json_t *text = json_string(sentence);
    if (text == NULL) /* what a program has printed may not be UTF-8 */
        text = json_string("the program's own sentence is no text");
    fmd_answer_json(answer, errors[error].status,
                    json_pack("{s:s, s:o}", "error", errors[error].word, "sentence", text));
}

void fmd_answer_add(struct fmd_answer *answer, const char *name, json_t *value)
{
    json_object_set_new(answer->json, name, value);
}

struct fmd_outcome *fmd_outcome_new(size_t bytes)
{
    struct fmd_outcome *outcome = malloc(sizeof *outcome + bytes);
    if (outcome == NULL)
        return NULL;
    *outcome = (struct fmd_outcome){.users = 1, .bytes = bytes};
    return outcome;
}

void fmd_outcome_drop(struct fmd_outcome *outcome)
{
    if (atomic_fetch_sub(&outcome->users, 1) != 1)
        return;
    free(outcome->receipt);
    free(outcome);
}
