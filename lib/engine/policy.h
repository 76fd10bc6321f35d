/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler's decisions applied to this process: when a map that computes alone should be shared.
 */
#ifndef FM_ENGINE_POLICY_H
#define FM_ENGINE_POLICY_H

#include <fastmap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "tier/tier.h"

extern const struct fm_tier_host fm_engine_host;

/* The rest of the element that an owner is inside of: half of one, as far as anybody knows. */
#define FM_ENGINE_BEGUN 0.5

/* Whether sharing `left` elements at cost_ns each pays with the pool as it is now, while the owner is at
   `begun` elements' worth of work that it keeps. Where it does and the pool is missing or too small, asks
   for it. */
bool fm_engine_policy_pays(const struct fastmap_session *session, size_t left, double begun,
                           double cost_ns);

/* A map of n elements at cost_ns each is over that could have been shared, or was. */
void fm_engine_policy_note(size_t n, double cost_ns, bool shared, uint64_t begun_ticks,
                           uint64_t ended_ticks);

/* After fork(), in the child. */
void fm_engine_policy_after_fork(void);

#endif
