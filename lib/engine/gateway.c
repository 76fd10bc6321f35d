/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which rank talks to the cloud: the first that can reach the service, since compute nodes often cannot. All
 * ranks with a token have the cloud at their side in every map, but only the one whose turn it is ever asks
 * for it; the turn is rank 0's, until that has found nobody who answers. Then it passes to the first rank of
 * the next node, and so on, and to the nodes' second ranks after that. So ranks agree without a collective,
 * and a map that does not want the cloud costs no message.
 *
 * The turn is told in a message of the map, which comes to nothing where the other has left that map already:
 * it is told again in the next one, until it is acknowledged by its echo. Only the thread that talks to other
 * ranks sends it; the courier leaves it to be sent.
 *
 * Where nobody is left to try, rank 0 is told, and says so. What the cloud costs travels with all messages
 * between ranks, so that rank 0 can report it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/cloud.h"
#include "engine/letters.h"
#include "sched/tree.h"

#define TURNS_MOST 8 /* who else could, if they cannot? */

/* -1: there is nobody left. */
static int rank_of(const struct fm_engine_world *world, int turn)
{
    if (turn >= TURNS_MOST)
        return -1;
    int *scratch = malloc((size_t)world->is.size * 2 * sizeof *scratch);
    const int rank =
        scratch != NULL ? fm_sched_turn(world->is.size, world->is.node, turn, scratch) : -1;
    free(scratch);
    return rank;
}

bool fm_engine_gateway_is_here(const struct fm_engine_world *world)
{
    return world->gateway == world->is.rank;
}

static void pass_on(struct fm_engine_world *world)
{
    world->turn++;
    world->gateway = rank_of(world, world->turn);
    world->turn_told = 0;
    world->turn_news = true;
}

bool fm_engine_gateway_pass(struct fm_engine_cloud *cloud, const char *why)
{
    struct fm_engine_world *world = cloud->world;
    if (world->is.size == 1 || !fm_engine_gateway_is_here(world))
        return false;
    pass_on(world);
    (void)snprintf(cloud->reason.said, sizeof cloud->reason.said, "%s", why);
    return true;
}

/* Rank 0, when all have tried. */
static void give_up(struct fm_engine_cloud *cloud)
{
    char said[FASTMAP_REPORT_SAID];
    (void)snprintf(said, sizeof said, "%s", cloud->reason.said);
    fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                "the cloud is not used: no rank of the job can reach it; rank 0 finds that %s; the "
                "map goes on without it",
                said);
    fm_engine_reason_end(cloud, FASTMAP_CLOUD_FAILED, said);
    cloud->state = FM_ENGINE_CLOUD_BROKEN;
}

static void post(struct fm_engine_group *group, int to, int turn)
{
    const struct fm_engine_header header = {.message = {.kind = FM_ENGINE_GATEWAY, .code = turn},
                                            .terms = group->terms};
    fm_engine_talk_post(group->world, group->tag, to, &header, NULL, 0);
}

void fm_engine_gateway_tell(struct fm_engine_group *group)
{
    struct fm_engine_world *world = group->world;
    if (!world->turn_news || world->turn_told == world->maps)
        return;
    world->turn_told = world->maps;
    post(group, world->gateway >= 0 ? world->gateway : 0, world->turn);
}

void fm_engine_gateway_hear(struct fm_engine_group *group, int from, int turn)
{
    struct fm_engine_world *world = group->world;
    const int rank = rank_of(world, turn);
    if (world->is.rank != (rank >= 0 ? rank : 0)) { /* the echo */
        world->turn_news = world->turn_news && turn != world->turn;
        return;
    }
    post(group, from, turn);
    if (turn <= world->turn)
        return;
    world->turn = turn;
    world->gateway = rank;
    world->turn_news = false;
    if (rank < 0 && group->cloud != NULL)
        give_up(group->cloud);
    if (rank >= 0 && group->cloud == NULL) { /* it has no token here */
        pass_on(world);
        fm_engine_gateway_tell(group);
    }
}

void fm_engine_gateway_say(const struct fm_engine_cloud *cloud)
{
    struct fm_engine_world *world = cloud->world;
    if (world->turn > 0 && !world->turn_said)
        fm_base_log(cloud->session->settings.verbosity, FASTMAP_VERBOSITY_NORMAL,
                    "rank %d talks to the cloud for all ranks, since rank 0 cannot reach it",
                    world->is.rank);
    world->turn_said = true;
}

/* ---- Money ---- */

int64_t fm_engine_gateway_spent(const struct fm_engine_group *group)
{
    const int64_t here = group->cloud != NULL ? group->cloud->spent : 0;
    return here > group->spent ? here : group->spent;
}

double fm_engine_gateway_dollars(struct fm_engine_group *group)
{
    if (group->world->is.rank != 0)
        return 0;
    pthread_mutex_lock(&group->world->mutex);
    const double dollars = (double)fm_engine_gateway_spent(group) * 1e-9;
    pthread_mutex_unlock(&group->world->mutex);
    return dollars;
}
