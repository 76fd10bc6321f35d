/* SPDX-License-Identifier: BSD-3-Clause */
/* The cloud's part in a map, from entering to leaving, and its life in a session. See cloud.h. */
#include "engine/cloud.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/waited.h"
#include "engine/question.h"
#include "program/companion.h"

#define ALONE_NS 4e9 /* nothing is computed here before, where the user wants it all in the cloud */
#define PATIENCE_S 10.0 /* for which the tier tries again */

/* ---- The plugin ---- */

static _Atomic(const struct fm_tier_cloud *) plugin;

void fm_engine_cloud_use(const struct fm_tier_cloud *tier)
{
    atomic_store(&plugin, tier);
}

static const struct fm_tier_cloud *load(enum fastmap_verbosity verbosity)
{
    const char *why;
    const struct fm_tier_cloud *tier = atomic_load(&plugin);
    if (tier != NULL)
        return tier;
    tier = fm_program_companion_plugin("fastmap-cloud.so", "fm_cloud_tier", FM_TIER_CLOUD_VERSION,
                                       &why);
    if (tier == NULL)
        fm_base_log(verbosity, FASTMAP_VERBOSITY_QUIET,
                    "the plugin fastmap-cloud.so does not load (%s): install or rebuild fastmap "
                    "with curl and OpenSSL; maps run without the cloud",
                    why);
    return tier;
}

static const struct fm_tier_cloud *find_plugin(struct fm_engine_cloud *cloud)
{
    if (atomic_load(&cloud->tier) == NULL)
        atomic_store(&cloud->tier, load(cloud->session->settings.verbosity));
    return atomic_load(&cloud->tier);
}

/* ---- Taking part ---- */

void fm_engine_cloud_ready(struct fm_engine_cloud *cloud, double workers)
{
    cloud->worth = workers;
    cloud->sched.workers = workers;
    fm_engine_pieces_turn(cloud);
    if (cloud->waiting != NULL)
        fm_engine_courier_call(cloud);
}

void fm_engine_cloud_rest(struct fm_engine_cloud *cloud)
{
    cloud->sched.workers = 0;
    fm_engine_reason_sends(cloud, false);
    fm_engine_pieces_turn(cloud);
}

/* Whether it rests, and there is more to do again than this side could by the time it is back. */
static bool should_rise(const struct fm_engine_cloud *cloud)
{
    return cloud->state == FM_ENGINE_CLOUD_OPEN && !cloud->over && cloud->sched.workers <= 0 &&
           !fm_engine_pieces_is_silent(cloud) && fm_engine_pace_gains(cloud);
}

void fm_engine_cloud_over(struct fm_engine_cloud *cloud)
{
    cloud->over = true;
    cloud->sched.workers = 0;
    if (cloud->group->sched.workers <= 0) /* it was to compute everything: now this rank does */
        cloud->group->sched.workers = fm_engine_width(cloud->session);
    fm_engine_pieces_turn(cloud);
}

bool fm_engine_cloud_is_alone(const struct fm_engine_cloud *cloud)
{
    return cloud != NULL && cloud->alone && !cloud->over && cloud->state != FM_ENGINE_CLOUD_BROKEN;
}

/* It is late: this rank computes what it has. */
static void stand_in_for(struct fm_engine_cloud *cloud)
{
    if (fm_engine_cloud_is_alone(cloud)) {
        if (fm_engine_pieces_late_ns(cloud) < ALONE_NS)
            return;
        fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                    "the cloud does not answer; the map goes on without it");
        fm_engine_reason_end(cloud, FASTMAP_CLOUD_FAILED, "it does not answer");
        fm_engine_cloud_over(cloud);
    } else if (cloud->sched.workers > 0) {
        fm_engine_cloud_rest(cloud);
    } else {
        fm_engine_pieces_turn(cloud);
    }
}

void fm_engine_cloud_consider(struct fm_engine_cloud *cloud)
{
    fm_engine_question_tell(cloud);
    if (!fm_engine_gateway_is_here(cloud->world)) {
        fm_engine_gateway_tell(cloud->group);
        return;
    }
    if (fm_engine_pieces_late_ns(cloud) > 0)
        stand_in_for(cloud);
    else if (fm_engine_pieces_can_be_taken(cloud))
        fm_engine_pieces_turn(cloud);
    else if (should_rise(cloud)) {
        fm_engine_reason_sends(cloud, true);
        fm_engine_cloud_ready(cloud, cloud->worth);
    }
    if (cloud->state != FM_ENGINE_CLOUD_IDLE || cloud->over || !fm_engine_purse_wants(cloud))
        return;
    if (find_plugin(cloud) == NULL || !fm_engine_courier_start(cloud)) {
        cloud->state = FM_ENGINE_CLOUD_BROKEN;
        return;
    }
    cloud->state = FM_ENGINE_CLOUD_WANTED;
    fm_engine_courier_call(cloud);
}

static struct fm_engine_cloud *at_side_of(struct fastmap_session *session);

static void describe(struct fm_engine_cloud *cloud, const struct fastmap_map *map)
{
    fm_base_fenv_get(&cloud->fenv);
    cloud->offer = (struct fm_tier_cloud_map){
        .function = fm_engine_function(map),
        .is_block = map->block != NULL,
        .stop = map->on_error == FASTMAP_ON_ERROR_STOP,
        .in_size = map->in_size,
        .out_size = map->out_size,
        .shared = map->shared,
        .shared_size = map->shared_size,
        .fenv = &cloud->fenv,
        .fenv_bytes = sizeof cloud->fenv,
    };
}

/* Under the mutex. */
static void join(struct fm_engine_cloud *cloud, struct fm_engine_group *group)
{
    cloud->edge = (struct fm_sched_edge){.rank = group->world->is.rank, .is_parent = true};
    if (cloud->group != NULL || cloud->state == FM_ENGINE_CLOUD_BROKEN ||
        !fm_sched_ranks_init(&cloud->sched, &fm_engine_pieces_ports, cloud, &cloud->edge, 1, 0, 0))
        return;
    cloud->group = group;
    cloud->over = false;
    cloud->alone = cloud->session->settings.exec_policy == FASTMAP_EXEC_POLICY_CLOUD &&
                   fm_engine_gateway_is_here(group->world);
    cloud->verified = false;
    cloud->distrusted = false;
    cloud->raised = 0;
    cloud->returned = 0;
    cloud->done_ticks = 0;
    cloud->question = (struct fm_engine_question){.number = 0};
    cloud->rated = 0;
    cloud->rate = 0;
    cloud->cost_s = 0;
    cloud->maps++;
    cloud->caller = gettid();
    cloud->caller_waited_ns = fm_base_waited_ns();
    fm_engine_reason_begin(cloud);
    describe(cloud, group->map);
    group->cloud = cloud;
    group->world->cloud = cloud;
    group->world->edges[group->world->edge_count] =
        (struct fm_sched_edge){.rank = group->world->is.size, .yields = true};
    fm_engine_pieces_turn(cloud); /* it owns nothing, and says so at once */
}

bool fm_engine_cloud_enter(struct fm_engine_group *group)
{
    struct fm_engine_world *world = group->world;
    struct fm_engine_cloud *cloud = fm_engine_gateway_is_here(world)
                                        ? fm_engine_cloud_of(group->session)
                                        : at_side_of(group->session);
    if (cloud == NULL)
        return false;
    pthread_mutex_lock(&world->mutex);
    if (cloud->world == NULL) /* there is only one; the courier looks */
        cloud->world = world;
    join(cloud, group);
    const bool is_alone = fm_engine_cloud_is_alone(group->cloud);
    pthread_mutex_unlock(&world->mutex);
    return is_alone;
}

void fm_engine_cloud_leave(struct fm_engine_group *group)
{
    struct fm_engine_cloud *cloud = group->cloud;
    if (cloud == NULL)
        return;
    fm_engine_pieces_drop(cloud);
    fm_sched_ranks_free(&cloud->sched);
    cloud->group = NULL;
    group->world->cloud = NULL;
    cloud->settling += cloud->spent;
    cloud->spent = 0;
    if (cloud->state == FM_ENGINE_CLOUD_OPEN)
        cloud->state = FM_ENGINE_CLOUD_CLOSING;
    else if (cloud->state == FM_ENGINE_CLOUD_WANTED && !cloud->preparing)
        cloud->state = FM_ENGINE_CLOUD_IDLE;
    fm_engine_courier_part(cloud);
    if (cloud->raised != 0)
        fm_base_fenv_raise(cloud->raised);
}

/* ---- Life ---- */

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER; /* that they are made and ended, and: */
static struct fm_engine_cloud *all;

static struct fm_engine_cloud *make(struct fastmap_session *session)
{
    const struct fm_base_settings *settings = &session->settings;
    struct fm_engine_cloud *cloud = calloc(1, sizeof *cloud);
    if (cloud == NULL)
        return NULL;
    cloud->session = session;
    cloud->service = (struct fm_tier_cloud_service){
        .url = settings->cloud_url,
        .token = settings->secret,
        .ca_file = settings->cloud_ca_file,
        .pin = settings->cloud_pin,
        .give_up = &cloud->give_up,
        .patience = PATIENCE_S,
        .connect_patience = PATIENCE_S,
    };
    pthread_condattr_t clock; /* the courier waits by it */
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&cloud->changed, &clock);
    pthread_condattr_destroy(&clock);
    cloud->next = all;
    all = cloud;
    return cloud;
}

/* Whoever talks to it. */
static struct fm_engine_cloud *at_side_of(struct fastmap_session *session)
{
    if (!fm_engine_cloud_is_set(session))
        return NULL;
    pthread_mutex_lock(&making);
    if (session->cloud == NULL && !session->no_cloud) {
        session->cloud = make(session);
        session->no_cloud = session->cloud == NULL;
    }
    struct fm_engine_cloud *cloud = session->cloud;
    pthread_mutex_unlock(&making);
    return cloud != NULL && !cloud->orphaned ? cloud : NULL;
}

struct fm_engine_cloud *fm_engine_cloud_of(struct fastmap_session *session)
{
    struct fm_engine_cloud *cloud = session->no_cloud ? NULL : at_side_of(session);
    if (cloud == NULL)
        return NULL;
    const bool none = find_plugin(cloud) == NULL;
    session->no_cloud = none;
    return none ? NULL : cloud;
}

void fm_engine_cloud_end(struct fm_engine_cloud *cloud)
{
    if (cloud == NULL)
        return;
    pthread_mutex_lock(&making);
    struct fm_engine_cloud **at = &all;
    while (*at != cloud)
        at = &(*at)->next;
    *at = cloud->next;
    pthread_mutex_unlock(&making);
    if (!cloud->orphaned) { /* else somebody waits for `changed`, in another process */
        fm_engine_courier_end(cloud);
        pthread_cond_destroy(&cloud->changed);
    }
    free(cloud);
}

void fm_engine_cloud_after_fork(void)
{
    pthread_mutex_init(&making, NULL);
    for (struct fm_engine_cloud *cloud = all; cloud != NULL; cloud = cloud->next)
        cloud->orphaned = true;
}

void fm_engine_cloud_exit(void)
{
    pthread_mutex_lock(&making);
    for (struct fm_engine_cloud *cloud = all; cloud != NULL; cloud = cloud->next)
        fm_engine_courier_end(cloud);
    pthread_mutex_unlock(&making);
}

bool fm_engine_cloud_account(struct fastmap_session *session, struct fm_tier_cloud_account *account)
{
    static const _Atomic bool never;
    char why[FM_TIER_CLOUD_WHY];
    struct fm_engine_cloud *cloud = fm_engine_cloud_of(session);
    if (cloud == NULL)
        return false;
    struct fm_tier_cloud_service service = cloud->service;
    service.give_up = &never;
    struct fm_cloud *connection = cloud->tier->connect(&service, account, why);
    if (connection == NULL) {
        fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                    "no estimate of the cloud: %s", why);
        return false;
    }
    cloud->tier->disconnect(connection);
    return true;
}
