/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a tier is told and what it may ask.
 *
 * A tier computes elements of a map somewhere: on threads of this process, and later on other ranks and
 * in the cloud. What to compute it is told as the caller's own struct fastmap_map, checked, constant and
 * alive until the map is finished. The engine stays responsible for every decision; a tier moves elements
 * and reports. What it needs to decide on the way, it asks its host through struct fm_tier_host, so that
 * one policy serves all tiers and no tier includes the scheduler.
 *
 * The local tier is special in one respect: it is also the caller. The engine drives the caller's own
 * share through it, element by element, which is why there is no table of operations yet: with one
 * tier it would have one row.
 */
#ifndef FM_TIER_TIER_H
#define FM_TIER_TIER_H

#include <fastmap.h>
#include <stdbool.h>
#include <stddef.h>

/* What the engine answers. All functions may be called from any thread. */
struct fm_tier_host {
    /* How many of `left` elements a thief should get from an owner when both take cost_ns for one,
       the owner is in the middle of another, and the thief begins after latency_ns. */
    size_t (*grant)(size_t left, double cost_ns, double latency_ns);
    /* How many elements one call of the map's block function should get. */
    size_t (*block)(void *map, double cost_ns, size_t left);
    /* How long a thread without work spins before it sleeps. */
    double (*spin_ns)(void);
    /* Elements [first, first + count) of the map failed with `code`. True: begin no more of them. */
    bool (*failed)(void *map, size_t first, size_t count, int code);
};

#endif
