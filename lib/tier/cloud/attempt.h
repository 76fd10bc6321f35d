/* SPDX-License-Identifier: BSD-3-Clause */
/* One attempt at a call, between call.c, which decides when there is one, and curl. */
#ifndef FM_TIER_CLOUD_ATTEMPT_H
#define FM_TIER_CLOUD_ATTEMPT_H

#include "tier/cloud/call.h"

/* Signs the call anew and puts it on its way. False: no memory. */
bool fm_cloud_attempt_begin(struct fm_cloud_call *call);

/* Stops it where it still runs. */
void fm_cloud_attempt_end(struct fm_cloud_call *call);

#endif
