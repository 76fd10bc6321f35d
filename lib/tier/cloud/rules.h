/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows from a way in which a call can fail: whether it is tried again, and the sentence for people.
 * Pure: a table by the words of docs/PROTOCOL.md, and one by curl's codes.
 */
#ifndef FM_TIER_CLOUD_RULES_H
#define FM_TIER_CLOUD_RULES_H

enum fm_cloud_next {
    FM_CLOUD_FINISH, /* the answer stands */
    FM_CLOUD_AGAIN,  /* after a while that doubles, until patience is over */
    FM_CLOUD_RESIGN, /* at once with a new time and nonce; a few times only */
    FM_CLOUD_WAIT,   /* the service is well: asked again after a while, without losing patience */
    FM_CLOUD_MOVE    /* as AGAIN, on a new connection */
};

struct fm_cloud_rule {
    enum fm_cloud_next next;
    const char *cause;  /* what is wrong; NULL: what the service says */
    const char *remedy; /* what to do */
};

/* Of an answer that is not 2xx; word is "" where it has none. */
struct fm_cloud_rule fm_cloud_rules_answer(long status, const char *word);

/* Of a transfer that failed, by CURLcode. */
struct fm_cloud_rule fm_cloud_rules_transfer(int code);

/* Seconds to wait before the attempt after so many failed ones: doubling, with jitter from random in [0, 1),
   2 s at most. */
double fm_cloud_rules_delay(unsigned failed, double random);

#endif
