/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State of the policy: what has been missed lately (see sched/share.h). One for the process, as there is
 * one pool. The lock is taken at the end of maps of microseconds and more, never in tiny ones.
 */
#include "engine/policy.h"

#include <pthread.h>
#include <stdalign.h>

#include "base/clock.h"
#include "engine/keeper.h"
#include "engine/map.h"
#include "sched/share.h"
#include "sched/split.h"
#include "tier/local/local.h"

static struct {
    pthread_mutex_t mutex;
    struct fm_sched_rental rental;
    uint64_t last_end_ticks;
    _Atomic bool invest;                /* wake the pool for the next map that could use it */
    alignas(64) _Atomic double spin_ns; /* idle workers read it: a cache line of its own */
} policy = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static size_t grant(size_t left, double cost_ns, double latency_ns)
{
    const struct fm_sched_offer offer = {
        .left = left,
        .begun = FM_ENGINE_BEGUN,
        .owner_ns = cost_ns,
        .thief_ns = cost_ns,
        .latency_ns = latency_ns,
    };
    return fm_sched_split(&offer);
}

static size_t block(void *engine_map, double cost_ns, size_t left)
{
    const struct fm_engine_map *run = engine_map;
    if (run->process == NULL)
        return fm_sched_block(cost_ns, left);
    return fm_sched_parcel(cost_ns, left, run->map->in_size + run->map->out_size);
}

static double spin_ns(void)
{
    const double ns = atomic_load_explicit(&policy.spin_ns, memory_order_relaxed);
    const struct fm_sched_rental nothing = {0};
    return ns > 0 ? ns : fm_sched_spin_ns(&nothing);
}

const struct fm_tier_host fm_engine_host = {
    .grant = grant,
    .block = block,
    .spin_ns = spin_ns,
    .failed = fm_engine_failed,
};

static struct fm_sched_wake wake_at(const struct fm_local_price *price)
{
    return (struct fm_sched_wake){.caller_ns = price->caller_ns, .latency_ns = price->latency_ns};
}

/* What a map of `left` elements, and `begun` that stay, gains by asking for help at that price. */
static double gain_ns(size_t left, double begun, double cost_ns, const struct fm_local_price *price)
{
    const struct fm_sched_wake wake = wake_at(price);
    return fm_sched_gain_ns(left, begun, cost_ns, &wake);
}

bool fm_engine_policy_pays(const struct fastmap_session *session, size_t left, double begun,
                           double cost_ns)
{
    const int width = fm_engine_width(session);
    if (width < 2 || left == 0)
        return false;
    struct fm_local_price price;
    (void)fm_local_pool_readiness(&price);
    bool pays = gain_ns(left, begun, cost_ns, &price) > 0;
    if (!pays && atomic_load_explicit(&policy.invest, memory_order_relaxed) &&
        gain_ns(left, begun, cost_ns, &fm_local_price_awake) > 0) {
        atomic_store_explicit(&policy.invest, false, memory_order_relaxed);
        pays = true;
    }
    if (pays && fm_local_pool_size() < width)
        fm_engine_keeper_want_pool(session->settings.max_local_workers, session->settings.bind);
    return pays;
}

/* Under the mutex. */
static void note_missed(double missed_ns)
{
    struct fm_local_price price;
    if (fm_local_pool_readiness(&price) == FM_LOCAL_AWAKE)
        return;
    const struct fm_sched_wake wake = wake_at(&price);
    if (fm_sched_rental_due(&policy.rental, missed_ns, &wake))
        atomic_store_explicit(&policy.invest, true, memory_order_relaxed);
}

void fm_engine_policy_note(size_t n, double cost_ns, bool shared, uint64_t begun_ticks,
                           uint64_t ended_ticks)
{
    const double missed = shared ? 0 : gain_ns(n, 0, cost_ns, &fm_local_price_awake);
    if (!shared && missed <= 0)
        return;
    pthread_mutex_lock(&policy.mutex);
    if (policy.last_end_ticks != 0 && begun_ticks > policy.last_end_ticks)
        fm_sched_rental_gap(&policy.rental,
                            fm_base_ticks_to_ns(begun_ticks - policy.last_end_ticks));
    policy.last_end_ticks = ended_ticks;
    if (shared)
        policy.rental.missed_ns = 0;
    else
        note_missed(missed);
    const double spin = fm_sched_spin_ns(&policy.rental);
    if (spin != atomic_load_explicit(&policy.spin_ns, memory_order_relaxed)) /* workers read it */
        atomic_store_explicit(&policy.spin_ns, spin, memory_order_relaxed);
    pthread_mutex_unlock(&policy.mutex);
}

void fm_engine_policy_after_fork(void)
{
    pthread_mutex_init(&policy.mutex, NULL);
}
