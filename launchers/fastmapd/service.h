/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of a running service share.
 */
#ifndef FMD_SERVICE_H
#define FMD_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "attempts.h"
#include "clock.h"
#include "config.h"
#include "ledger.h"
#include "pool.h"
#include "replay.h"
#include "store.h"
#include "tokens.h"
#include "watch.h"

struct fmd_maps;

struct fmd_service {
    const struct fmd_config *config;
    struct fmd_ledger *ledger;
    struct fmd_tokens *tokens;
    struct fmd_store *store;
    struct fmd_pool *pool;
    struct fmd_maps *maps;
    struct fmd_watch *watch;
    atomic_int_fast64_t host; /* the lease under which this daemon's maps are in the ledger */
    struct fmd_clock clock;
    int64_t started_ns; /* by the steady clock */
    unsigned vcpus;
    atomic_bool draining;
    uint64_t request_prefix;
    atomic_uint_fast64_t requests;
    pthread_mutex_t door; /* protects replay and attempts */
    struct fmd_replay *replay;
    struct fmd_attempts attempts;
};

#endif
