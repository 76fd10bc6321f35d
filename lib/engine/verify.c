/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify = ON: a worker has not run main(), so what main() has set is not there. That shows in the results of
 * most elements, so one is computed both ways before the map, and bytes are compared: outputs begin as equal
 * copies of what the map's array holds.
 */
#include "engine/verify.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/failure.h"
#include "engine/engine.h"
#include "engine/map.h"
#include "tier/local/local.h"
#include "tier/process/process.h"

/* What became of the element, one way. */
struct trial {
    char *out; /* room for an output */
    struct fastmap_failure failure;
};

static bool note(void *context, const struct fm_process_failure *failure)
{
    struct trial *trial = context;
    trial->failure.code = failure->code;
    trial->failure.signal = failure->signal;
    return false;
}

/* Where its output replaces its input, that has to be there. */
static const void *begin(struct trial *trial, const struct fastmap_map *map)
{
    const bool in_place = map->in != NULL && map->in == map->out;
    trial->failure = (struct fastmap_failure){0};
    if (map->out_size > 0)
        memcpy(trial->out, map->out, map->out_size);
    return in_place ? trial->out : map->in;
}

static int try_worker(struct fm_process_map *process, const struct fastmap_map *map,
                      struct trial *trial)
{
    const struct fm_process_ports ports = {.failed = note, .context = trial};
    const void *in = begin(trial, map);
    const struct fm_process_tally tally = fm_process_span(process, &ports, in, trial->out, 0, 1);
    return tally.code == 0 ? 0 : fm_base_fail(tally.code, "%s", fm_process_sentence(process));
}

/* As a map of one element, so that the function is where it always is. */
static int try_here(const struct fastmap_map *map, struct trial *trial)
{
    struct fastmap_map one = *map;
    one.in = begin(trial, map);
    one.out = map->out_size > 0 ? trial->out : NULL;
    one.n = 1;
    struct fm_engine_map run = {.map = &one};
    run.frame = fm_local_open(&one, 0, 1, &run, 0);
    if (run.frame == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY,
                            "no memory for this thread's bookkeeping: free some");
    fm_local_complete(run.frame);
    fm_local_finish(run.frame, NULL);
    if (run.failed > 0)
        trial->failure.code = run.failures[0].code;
    return 0;
}

static int compare(const struct fastmap_map *map, const struct trial *here,
                   const struct trial *there)
{
    static const char causes[] = "likely causes: main() has set something that a worker does not "
                                 "have (move it into shared), the "
                                 "function depends on what was computed before, a random number, "
                                 "or bytes that it does not write";
    char how[2][FM_BASE_FAILURE_BYTES];
    fm_base_failure_describe(&here->failure, how[0]);
    fm_base_failure_describe(&there->failure, how[1]);
    if (here->failure.code != there->failure.code || here->failure.signal != there->failure.signal)
        return fm_base_fail(FASTMAP_ERR_VERIFY,
                            "element 0 %s in this process, but %s in a worker; %s", how[0], how[1],
                            causes);
    size_t byte = 0;
    while (byte < map->out_size && here->out[byte] == there->out[byte])
        byte++;
    if (byte == map->out_size)
        return 0;
    return fm_base_fail(
        FASTMAP_ERR_VERIFY,
        "element 0 has another output in a worker than in this process, from byte %zu of "
        "%zu on; %s",
        byte, map->out_size, causes);
}

int fm_engine_verify(struct fm_process_map *process, const struct fastmap_map *map)
{
    char *memory = malloc(2 * map->out_size + 1);
    if (memory == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY,
                            "no memory to verify an output of %zu bytes: free some", map->out_size);
    struct trial here = {.out = memory};
    struct trial there = {.out = memory + map->out_size};
    int error = try_worker(process, map, &there);
    if (error == 0)
        error = try_here(map, &here);
    if (error == 0)
        error = compare(map, &here, &there);
    free(memory);
    return error;
}
