/* SPDX-License-Identifier: BSD-3-Clause */
/* A map in processes: what its workers have to know of it, found once, and its shared block, copied once. */
#include "tier/process/map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fenv.h"
#include "tier/process/recipe.h"
#include "tier/process/worker.h"

static int describe(const struct fastmap_map *map, struct fm_process_map *made)
{
    struct fm_base_fenv fenv;
    const void *function = NULL;
    memcpy(&function, map->func != NULL ? (const void *)&map->func : (const void *)&map->block,
           sizeof function);
    const int error = fm_program_locate(function, &made->function);
    if (error != 0)
        return error;
    memset(&fenv, 0, sizeof fenv);
    fm_base_fenv_get(&fenv);
    made->load = (struct fm_wire_worker_load){
        .offset = made->function.offset,
        .in_size = map->in_size,
        .out_size = map->out_size,
        .shared_size = map->shared_size,
        .kind = map->block != NULL ? FM_WIRE_WORKER_BLOCK : FM_WIRE_WORKER_FUNC,
        .flags = map->on_error == FASTMAP_ON_ERROR_STOP ? FM_WIRE_WORKER_STOP : 0,
        .fenv_bytes = sizeof fenv,
        .path = made->function.module,
    };
    memcpy(made->load.fenv, &fenv, sizeof fenv);
    return 0;
}

static int copy_shared(const struct fastmap_map *map, struct fm_process_map *made)
{
    if (map->shared != NULL && map->shared_size == 0)
        return fm_base_fail(
            FASTMAP_ERR_PROGRAM,
            "shared is a pointer without a size, which leads nowhere in another process: "
            "set shared_size to the bytes of the block, or use workers = THREADS");
    if (map->shared_size == 0 ||
        fm_process_memory_copy(&made->shared, map->shared, map->shared_size))
        return 0;
    return fm_base_fail(
        FASTMAP_ERR_MEMORY,
        "no shared memory of %zu bytes for the shared block: free some, or use workers = "
        "THREADS",
        map->shared_size);
}

static int prepare(const struct fastmap_map *map, int rank, struct fm_process_map *made)
{
    static _Atomic uint64_t serials;
    made->serial = atomic_fetch_add(&serials, 1) + 1;
    made->rank = rank;
    made->retries = map->retries;
    made->timeout_ns = map->element_timeout * 1e9;
    made->in_size = map->in_size;
    made->out_size = map->out_size;
    int error = fm_process_recipe_check();
    if (error == 0)
        error = describe(map, made);
    if (error == 0)
        error = copy_shared(map, made);
    if (error != 0)
        return error;
    struct fm_process_worker *worker = fm_process_worker_mine();
    if (worker == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a worker's bookkeeping: free some");
    return fm_process_worker_ready(worker, made, map->in_size + map->out_size);
}

int fm_process_open(const struct fastmap_map *map, int rank, struct fm_process_map **opened)
{
    struct fm_process_map *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a map in processes: free some");
    made->shared.fd = -1;
    pthread_mutex_init(&made->mutex, NULL);
    const int error = prepare(map, rank, made);
    if (error == 0)
        *opened = made;
    else
        fm_process_close(made);
    return error;
}

const char *fm_process_sentence(const struct fm_process_map *map)
{
    return map->sentence;
}

void fm_process_close(struct fm_process_map *map)
{
    fm_process_memory_drop(&map->shared);
    pthread_mutex_destroy(&map->mutex);
    free(map);
}
