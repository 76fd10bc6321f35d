/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes as the answer to an attempt at a call: attempt.c hands it to curl, call.c judges it. */
#ifndef FM_TIER_CLOUD_REPLY_H
#define FM_TIER_CLOUD_REPLY_H

#include "tier/cloud/call.h"

/* As if nothing had come yet. */
void fm_cloud_reply_forget(struct fm_cloud_call *call);

/* Callbacks of curl; the context is the call. */
size_t fm_cloud_reply_header(char *line, size_t size, size_t count, void *context);
size_t fm_cloud_reply_body(char *bytes, size_t size, size_t count, void *context);

/* Nothing more comes. */
void fm_cloud_reply_end(struct fm_cloud_call *call);

/* Whether what has come packed cannot be unpacked; where all has come, to its end. */
bool fm_cloud_reply_is_garbled(const struct fm_cloud_call *call, bool complete);

/* Whether the answer is signed with our token's key, as the answer to this very request. */
bool fm_cloud_reply_is_genuine(const struct fm_cloud_call *call);

#endif
