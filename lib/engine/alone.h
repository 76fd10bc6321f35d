/* SPDX-License-Identifier: BSD-3-Clause */
/* The ranks of a process that is none: nobody to talk to. For maps that only the cloud shares. */
#ifndef FM_ENGINE_ALONE_H
#define FM_ENGINE_ALONE_H

#include "tier/ranks.h"

extern const struct fm_tier_ranks fm_engine_alone;

#endif
