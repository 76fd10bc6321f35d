/* SPDX-License-Identifier: BSD-3-Clause */
/* The user's yes to charges. */
#ifndef FM_ENGINE_CONFIRM_H
#define FM_ENGINE_CONFIRM_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/engine.h"

/* Whether the session's settings want charges to be confirmed. */
bool fm_engine_confirm_is_asked(const struct fastmap_session *session);

/* Asks, where the session wants to be asked, while the map goes on; `appraise` gives the estimate as it
   changes, false when it does not pay any more. Without a terminal the answer is no. True: yes. Blocks until
   there is an answer, give_up is set, or there is nothing to ask any more; not from a thread that a map waits
   for. why: set where the answer is no. */
bool fm_engine_confirm(const struct fastmap_session *session,
                       bool (*appraise)(void *context, struct fastmap_forecast *to), void *context,
                       const _Atomic bool *give_up, char why[256]);

#endif
