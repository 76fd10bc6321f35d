/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The line to the service: its address, the key that signs, kept-alive connections, and the calls that are
 * under way on them. One thread at a time, but for wake().
 */
#ifndef FM_TIER_CLOUD_LINE_H
#define FM_TIER_CLOUD_LINE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/hex.h"
#include "service/press.h"
#include "service/token.h"
#include "tier/cloud.h"

struct fm_cloud_call;

struct fm_cloud_line {
    struct fm_tier_cloud_service service;
    char url[320]; /* without a slash at the end */
    char id[FM_SERVICE_ID_BYTES];
    uint8_t *key; /* on a page of its own, which core dumps leave out */
    CURLM *multi;
    struct fm_cloud_call *calls; /* under way, or waiting for their next attempt */
    int64_t skew_s;              /* the service's clock less ours */
    bool packs;                  /* both sides can pack bodies */
    double round_trip;           /* of a small call */
    double up_rate;              /* bytes a second that the service has had from us; 0: unknown */
    struct fm_service_gauge arriving; /* outputs */
    uint64_t random;
    _Atomic bool woken; /* set by any thread, taken by the one that drives */
};

/* False: why says what is wrong with the settings. curl stays initialised for good: other threads of the
   program may be using it. */
bool fm_cloud_line_init(struct fm_cloud_line *line, const struct fm_tier_cloud_service *service,
                        char why[FM_TIER_CLOUD_WHY]);
void fm_cloud_line_fini(struct fm_cloud_line *line);

/* In [0, 1), for jitter only. */
double fm_cloud_line_random(struct fm_cloud_line *line);

/* Makes a wait for calls return. Any thread. */
void fm_cloud_line_wake(struct fm_cloud_line *line);

bool fm_cloud_line_gives_up(const struct fm_cloud_line *line);

#endif
