/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides whether the process is one rank of a job, and opens the plugin of the MPI that it belongs to.
 *
 * A launcher leaves a mark in the environment; a program that initialised MPI without one is found by the
 * library that it has loaded. Which MPI: the one that is loaded, by a symbol that only it has, else the
 * launcher's. A program linked with one MPI and started by the other's launcher sees a world of one: the
 * launcher's count tells, and a sentence says so.
 */
#include "engine/world.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "engine/alone.h"
#include "engine/cloud.h"
#include "engine/letters.h"
#include "engine/served.h"
#include "program/companion.h"
#include "program/module.h"
#include "sched/tree.h"
#include "tier/local/local.h"
#include "tier/local/topology.h"

struct flavour {
    const char *name;
    const char *plugin;
    const char *symbol; /* only its library has it */
    const char *mark;   /* only its launcher sets it */
    const char *size;   /* the launcher's number of ranks; NULL: it does not say */
};

static const struct flavour flavours[] = {
    {"Open MPI", "fastmap-openmpi.so", "ompi_mpi_comm_world", "OMPI_COMM_WORLD_RANK",
     "OMPI_COMM_WORLD_SIZE"},
    {"MPICH", "fastmap-mpich.so", "MPIR_Err_create_code", "PMI_RANK", "PMI_SIZE"},
    {"Open MPI", "fastmap-openmpi.so", NULL, "PMIX_RANK", NULL}, /* srun --mpi=pmix */
};
#define FLAVOURS (sizeof flavours / sizeof *flavours)

static struct fm_engine_world world = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static pthread_mutex_t search = PTHREAD_MUTEX_INITIALIZER;
enum { UNKNOWN, ALONE, RANKED };
static _Atomic int found = UNKNOWN; /* changed under `search`; release: `world` is complete */

/* ---- Which MPI ---- */

static const struct flavour *loaded(void)
{
    for (size_t i = 0; i < FLAVOURS; i++)
        if (flavours[i].symbol != NULL && dlsym(RTLD_DEFAULT, flavours[i].symbol) != NULL)
            return &flavours[i];
    return NULL;
}

static const struct flavour *launcher(void)
{
    for (size_t i = 0; i < FLAVOURS; i++)
        if (getenv(flavours[i].mark) != NULL)
            return &flavours[i];
    return NULL;
}

static int launched_size(void)
{
    const struct flavour *by = launcher();
    const char *size = by != NULL && by->size != NULL ? getenv(by->size) : NULL;
    return size != NULL ? atoi(size) : 0;
}

/* ---- The plugin ---- */

static const struct fm_tier_ranks *find_tier(const struct flavour *flavour, char *why, size_t bytes)
{
    const char *reason;
    const struct fm_tier_ranks *tier =
        fm_program_companion_plugin(flavour->plugin, "fm_mpi_tier", FM_TIER_RANKS_VERSION, &reason);
    if (tier == NULL)
        (void)snprintf(
            why, bytes,
            "the plugin %s for %s does not load (%s): install or rebuild fastmap with it",
            flavour->plugin, flavour->name, reason);
    return tier;
}

/* ---- The neighbours ---- */

static bool find_neighbours(void)
{
    const int size = world.is.size;
    const int own = world.is.rank;
    int *scratch = malloc((size_t)size * 4 * sizeof *scratch);
    world.edges = calloc(2 * FM_SCHED_FANOUT + 2, sizeof *world.edges);
    world.roles = calloc(2 * FM_SCHED_FANOUT + 1, sizeof *world.roles);
    if (scratch == NULL || world.edges == NULL || world.roles == NULL) {
        free(scratch);
        return false;
    }
    int *parent = scratch + 3 * (size_t)size;
    fm_sched_tree(size, world.is.node, FM_SCHED_FANOUT, scratch, parent);
    for (int rank = 0; rank < size; rank++)
        if (rank == parent[own])
            world.edges[world.edge_count++] =
                (struct fm_sched_edge){.rank = rank, .is_parent = true};
        else if (parent[rank] == own)
            world.edges[world.edge_count++] = (struct fm_sched_edge){.rank = rank};
    free(scratch);
    world.rings = world.is.rings;
    for (int i = 0; i < world.edge_count; i++)
        if (world.is.node[world.edges[i].rank] != world.is.node[own])
            world.rings = false;
    return true;
}

/* Ranks whose masks overlap divide the processors that they have in common. */
static void settle_on_node(void)
{
    const int cpus = fm_local_allowed_cpus();
    const int more = world.is.place < cpus % world.is.sharers ? 1 : 0;
    const int width = cpus / world.is.sharers + more;
    world.width = width > 0 ? width : 1;
    world.crowded = world.is.sharers > cpus;
}

void fm_engine_world_know(struct fm_engine_world *here, int rank, bool serves)
{
    for (int i = 0; i < here->edge_count; i++)
        if (here->edges[i].rank == rank)
            here->roles[i] = serves ? FM_ENGINE_ROLE_SERVES : FM_ENGINE_ROLE_CALLS;
}

/* ---- Goodbye ---- */

/* Under the mutex. To all that may be waiting for this rank's next map. */
static void say_goodbye(void)
{
    const struct fm_engine_header goodbye = {.message = {.kind = FM_ENGINE_GOODBYE}};
    for (int i = 0; i < world.edge_count; i++)
        if (world.roles[i] != FM_ENGINE_ROLE_CALLS)
            fm_engine_talk_post(&world, fm_engine_letters_tag(&world), world.edges[i].rank,
                                &goodbye, NULL, 0);
    while (!world.tier->is_flushed(SIZE_MAX))
        sched_yield();
    world.parted = true;
}

void fm_engine_world_goodbye(void)
{
    if (atomic_load_explicit(&found, memory_order_acquire) != RANKED || !world.tier->is_up() ||
        pthread_mutex_trylock(&world.mutex) != 0)
        return;
    if (!world.busy && !world.parted)
        say_goodbye();
    pthread_mutex_unlock(&world.mutex);
}

/* ---- The search ---- */

/* No other ranks: a world that is left for the cloud. */
static void settle_alone(void)
{
    static struct fm_sched_edge room;
    world.tier = &fm_engine_alone;
    (void)world.tier->start(&world.is, NULL, NULL, 0);
    world.edges = &room;
    world.roles = NULL;
    world.edge_count = 0;
    world.width = 0;
    world.crowded = false;
    world.rings = false;
    world.served = false;
    world.maps = 0;
    world.gateway = 0;
    world.turn = 0;
    world.turn_news = false;
}

static void leave_world(void)
{
    fm_engine_world_goodbye();
    world.tier->stop();
    free(world.edges);
    free(world.roles);
    settle_alone();
}

/* Joins the communicator (NULL: all ranks). True: this is one rank of several; else why may say why not. */
static bool join_world(const int *comm, char *why, size_t bytes)
{
    const struct flavour *flavour = loaded();
    if (flavour == NULL)
        flavour = launcher();
    if (flavour == NULL || (comm == NULL && launched_size() == 1))
        return false;
    static const struct fm_tier_ranks *mpi;
    if (mpi == NULL)
        mpi = find_tier(flavour, why, bytes);
    if (mpi == NULL)
        return false;
    world.edges = NULL;
    world.tier = mpi;
    if (world.tier->start(&world.is, comm, why, bytes) != 0)
        return false;
    if (comm == NULL && launched_size() > world.is.size)
        (void)snprintf(why, bytes,
                       "the launcher started %d ranks, but the program's %s sees %d: use the "
                       "launcher of the MPI that the program is linked with",
                       launched_size(), flavour->name, world.is.size);
    else if (world.is.size > 1 && !find_neighbours())
        (void)snprintf(why, bytes, "no memory for the list of ranks");
    if (world.is.size < 2 || why[0] != '\0') {
        leave_world();
        return false;
    }
    static bool told;
    if (!told)
        world.tier->on_end(fm_engine_world_goodbye);
    told = true;
    settle_on_node();
    world.served = fm_engine_served();
    world.parted = false;
    return true;
}

/* Under `search`. */
static void conclude(bool ranked)
{
    if (!ranked)
        settle_alone();
    atomic_store_explicit(&found, ranked ? RANKED : ALONE, memory_order_release);
}

int fm_engine_set_comm(int handle)
{
    char why[256] = "";
    pthread_mutex_lock(&search);
    pthread_mutex_lock(&world.mutex);
    const bool busy = world.busy;
    pthread_mutex_unlock(&world.mutex);
    if (busy || fm_local_inside()) {
        pthread_mutex_unlock(&search);
        return fm_base_fail(FASTMAP_ERR_STATE, "a map is on: set the communicator between maps");
    }
    if (atomic_load_explicit(&found, memory_order_relaxed) == RANKED)
        leave_world();
    conclude(join_world(&handle, why, sizeof why));
    pthread_mutex_unlock(&search);
    return why[0] == '\0' ? 0
                          : fm_base_fail(FASTMAP_ERR_RANKS, "%s; maps stay in their ranks", why);
}

static int search_world(enum fastmap_verbosity verbosity)
{
    pthread_mutex_lock(&search);
    if (atomic_load_explicit(&found, memory_order_relaxed) == UNKNOWN) {
        char why[256] = "";
        conclude(join_world(NULL, why, sizeof why));
        if (why[0] != '\0')
            fm_base_log(verbosity, FASTMAP_VERBOSITY_QUIET, "%s; maps stay in their ranks", why);
    }
    const int answer = atomic_load_explicit(&found, memory_order_relaxed);
    pthread_mutex_unlock(&search);
    return answer;
}

struct fm_engine_world *fm_engine_world(const struct fastmap_session *session)
{
    int is = atomic_load_explicit(&found, memory_order_acquire);
    if ((is == ALONE && !fm_engine_cloud_is_set(session)) || fm_local_inside())
        return NULL;
    if (is == UNKNOWN)
        is = search_world(session->settings.verbosity);
    if (is == ALONE)
        return fm_engine_cloud_is_set(session) ? &world : NULL;
    return session->settings.ranks != FASTMAP_RANKS_OFF && world.tier->is_up() ? &world : NULL;
}

void fm_engine_world_part(void)
{
    /* Ranks that serve wait for one that has made no map, too. */
    if (atomic_load_explicit(&found, memory_order_acquire) == UNKNOWN && fm_engine_served())
        (void)search_world(FASTMAP_VERBOSITY_QUIET);
    fm_engine_world_goodbye();
}

/* Whether ranks that serve could find the function and the shared block. */
static const char *why_not(const struct fastmap_map *map)
{
    const char *module;
    uint64_t offset;
    if (map->shared != NULL && map->shared_size == 0)
        return "its shared block is a pointer without a size";
    if (!fm_program_find(fm_engine_function(map), &module, &offset))
        return "its function lies in no file";
    return NULL;
}

/* A map that the cloud could not help with is computed as if there were none; so are maps beside another. */
static bool might_fly(struct fm_engine_world *here, struct fastmap_session *session,
                      const struct fastmap_map *map)
{
    if (map->n < 2 || !fm_engine_purse_might(session, map) || fm_engine_cloud_of(session) == NULL)
        return false;
    pthread_mutex_lock(&here->mutex);
    const bool busy = here->busy;
    pthread_mutex_unlock(&here->mutex);
    return !busy;
}

bool fm_engine_world_can(struct fm_engine_world *here, struct fastmap_session *session,
                         const struct fastmap_map *map)
{
    static _Atomic bool said;
    if (here->is.size == 1)
        return might_fly(here, session, map);
    const char *why = here->served ? why_not(map) : NULL;
    if (why != NULL && !atomic_exchange(&said, true))
        fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_QUIET,
                    "a map stays on this rank, since %s: the other ranks could not compute it",
                    why);
    return why == NULL;
}

int fm_engine_world_width(void)
{
    return atomic_load_explicit(&found, memory_order_acquire) == RANKED ? world.width : 0;
}

void fm_engine_world_after_fork(void)
{
    pthread_mutex_init(&search, NULL);
    pthread_mutex_init(&world.mutex, NULL);
    conclude(false);
}
