/* SPDX-License-Identifier: BSD-3-Clause */
/* The user's yes to charges. */
#ifndef FM_ENGINE_CONFIRM_H
#define FM_ENGINE_CONFIRM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

/* What the cloud would cost and bring, in nano-dollars and seconds. */
struct fm_engine_estimate {
    int64_t nano;
    int64_t nano_least;
    int64_t nano_most;
    int64_t balance;
    double saved_s;
};

/* Asks, where the session wants to be asked, while the map goes on; `appraise` gives the estimate as it
   changes, false when it does not pay any more. Without a terminal the answer is no, said once. True: yes.
   Blocks until there is an answer, give_up is set, or there is nothing to ask any more; not from a thread
   that a map waits for. why: set where the answer is no. */
bool fm_engine_confirm(const struct fastmap_session *session,
                       bool (*appraise)(void *context, struct fm_engine_estimate *to),
                       void *context, const _Atomic bool *give_up, char why[256]);

#endif
