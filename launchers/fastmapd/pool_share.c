/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many vCPUs a map has. What happens is decided span by span (pool_turn.c): the next vCPU that is free
 * goes to the account that has the fewest, there to the map that has the fewest. What that comes to is worked
 * out here from what each map could use, for clients to know what they can count on.
 *
 * What a map could use is the most spans that it had lately, waiting or running: between two spans of a
 * client lies a round trip, in which the map still counts. A map that has had none for a while counts for
 * nothing, and one that is new for all that it asked for. What is left when all have what they could use is
 * dealt to those that use anything, up to what they asked for: so a map that is alone has all of it, and one
 * that needs more finds out by sending more.
 *
 * A token's limit holds on all hosts together. What of it is this host's is decided outside
 * (fmd_pool_allot()).
 */
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "pool_inside.h"

#define LATELY_NS ((uint64_t)250000000) /* for twice as long at most a map counts */
#define FRESH_NS ((uint64_t)10000000)   /* for which what was worked out is told */

/* ---- What a map could use ---- */

/* Spans now, and the most of this stretch of time and the one before. */
static unsigned roll(struct fmd_map *map, uint64_t now_ns)
{
    struct fmd_use *use = &map->use;
    const unsigned spans = map->queued + map->busy;
    if (now_ns - use->since_ns >= LATELY_NS) {
        use->before = now_ns - use->since_ns < 2 * LATELY_NS ? use->most : spans;
        use->most = spans;
        use->since_ns = now_ns;
    }
    if (use->most < spans)
        use->most = spans;
    const unsigned most = use->before > use->most ? use->before : use->most;
    return most < map->vcpus ? most : map->vcpus;
}

void fmd_share_note(struct fmd_map *map)
{
    (void)roll(map, fm_base_now_ns());
}

void fmd_share_begin(struct fmd_map *map)
{
    map->use = (struct fmd_use){.since_ns = fm_base_now_ns(), .most = map->vcpus};
    map->pool->dealt_ns = 0;
}

/* ---- What it has ---- */

static struct fmd_claim *claims_of(struct fmd_pool *pool, uint64_t now_ns)
{
    struct fmd_claim *claims = NULL;
    for (struct fmd_sharer *account = pool->accounts; account != NULL; account = account->next)
        account->dealt = 0;
    for (struct fmd_sharer *token = pool->tokens; token != NULL; token = token->next)
        token->left = token->most;
    for (struct fmd_map *map = pool->maps; map != NULL; map = map->next) {
        map->claim = (struct fmd_claim){.next = claims,
                                        .wants = map->closed ? 0 : roll(map, now_ns),
                                        .account = &map->sharer->dealt,
                                        .left = &map->token->left};
        claims = &map->claim;
    }
    return claims;
}

static void deal(struct fmd_pool *pool, uint64_t now_ns)
{
    struct fmd_claim *claims = claims_of(pool, now_ns);
    const unsigned left = fmd_deal(claims, pool->config.vcpus);
    for (struct fmd_map *map = pool->maps; map != NULL; map = map->next)
        if (map->claim.wants > 0)
            map->claim.wants = map->vcpus;
    (void)fmd_deal(claims, left);
    pool->dealt_ns = now_ns;
}

unsigned fmd_pool_map_vcpus(struct fmd_map *map)
{
    struct fmd_pool *pool = map->pool;
    pthread_mutex_lock(&pool->mutex);
    const uint64_t now_ns = fm_base_now_ns();
    if (now_ns - pool->dealt_ns >= FRESH_NS)
        deal(pool, now_ns);
    const unsigned has = map->claim.has;
    pthread_mutex_unlock(&pool->mutex);
    return has > 0 ? has : 1; /* it has its turn */
}

unsigned fmd_span_vcpus(const struct fmd_span *span)
{
    return fmd_pool_map_vcpus(span->map);
}

/* ---- Tokens ---- */

static struct fmd_sharer *token_after(struct fmd_pool *pool, uint64_t number)
{
    struct fmd_sharer *found = NULL;
    for (struct fmd_sharer *token = pool->tokens; token != NULL; token = token->next)
        if (token->number > number && token->most != UINT_MAX &&
            (found == NULL || token->number < found->number))
            found = token;
    return found;
}

static unsigned wants_of(struct fmd_pool *pool, const struct fmd_sharer *token)
{
    const uint64_t now_ns = fm_base_now_ns();
    unsigned wants = 0;
    for (struct fmd_map *map = pool->maps; map != NULL; map = map->next)
        wants += map->token == token && !map->closed ? roll(map, now_ns) : 0;
    return wants;
}

bool fmd_pool_next_token(struct fmd_pool *pool, uint64_t number, struct fmd_pool_token *out)
{
    pthread_mutex_lock(&pool->mutex);
    const struct fmd_sharer *token = token_after(pool, number);
    if (token != NULL) {
        *out = (struct fmd_pool_token){.number = token->number,
                                       .wants = wants_of(pool, token),
                                       .uses = token->running > token->most ? token->running
                                                                            : token->most};
        memcpy(out->token, token->name, sizeof out->token);
    }
    pthread_mutex_unlock(&pool->mutex);
    return token != NULL;
}

void fmd_pool_allot(struct fmd_pool *pool, uint64_t number, int64_t vcpus)
{
    pthread_mutex_lock(&pool->mutex);
    struct fmd_sharer *token = token_after(pool, number - 1);
    if (token != NULL && token->number == number) {
        token->most = vcpus < 0 || vcpus >= UINT_MAX ? UINT_MAX : (unsigned)vcpus;
        pool->dealt_ns = 0;
        fmd_turn_give(pool);
        fmd_pool_wake(pool); /* more workers may be wanted */
    }
    pthread_mutex_unlock(&pool->mutex);
}
