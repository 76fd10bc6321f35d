/* SPDX-License-Identifier: BSD-3-Clause */
/* The sentences that the tier hands out. What a service says in one is cut and cleaned like all else. */
#ifndef FM_TIER_CLOUD_SAY_H
#define FM_TIER_CLOUD_SAY_H

#include <stdbool.h>

#include "tier/cloud.h"

/* Writes the sentence and returns false, which is what most callers return then. */
bool fm_cloud_say(char why[FM_TIER_CLOUD_WHY], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Seconds of a clock that only goes forward. */
double fm_cloud_now(void);

#endif
