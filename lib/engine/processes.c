/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides nothing but who computes: the block function below, which the local tier calls in whatever thread
 * has the elements, hands them on and adds what it is told to the map's accounts.
 */
#include "engine/processes.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/history.h"
#include "engine/verify.h"
#include "tier/local/local.h"
#include "tier/process/process.h"

/* For the tier of processes, in any thread. */
static bool failed(void *context, const struct fm_process_failure *found)
{
    struct fm_engine_map *run = context;
    const struct fastmap_failure failure = {.index = found->first,
                                            .code = found->code,
                                            .tier = FASTMAP_TIER_LOCAL,
                                            .rank = run->rank,
                                            .signal = found->signal};
    if (!fm_engine_failure_note(run, &failure, found->count))
        return false;
    fm_local_stop(run->frame);
    return true;
}

static void give_up(struct fm_engine_map *run, int code)
{
    int none = 0;
    (void)atomic_compare_exchange_strong_explicit(&run->code, &none, code, memory_order_relaxed,
                                                  memory_order_relaxed);
    fm_local_stop(run->frame);
}

/* The run comes along as the shared block, which it is for nobody else. */
static int forward(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    void *itself;
    memcpy(&itself, &shared, sizeof itself);
    struct fm_engine_map *run = itself;
    const struct fm_process_ports ports = {.failed = failed, .context = run};
    const struct fm_process_tally tally =
        fm_process_span(run->process, &ports, in, out, first, count);
    if (tally.skipped > 0)
        atomic_fetch_add_explicit(&run->skipped, tally.skipped, memory_order_relaxed);
    if (tally.code != 0)
        give_up(run, tally.code);
    return 0;
}

void fm_engine_processes_forward(struct fm_engine_map *run, struct fastmap_map *work)
{
    work->func = NULL;
    work->block = forward;
    work->shared = run;
    work->shared_size = 0;
    run->map = work;
}

int fm_engine_processes_open(const struct fastmap_session *session, const struct fastmap_map *map,
                             int rank, struct fm_process_map **opened)
{
    struct fm_process_map *made = NULL;
    const enum fastmap_verify verify =
        map->verify != FASTMAP_VERIFY_DEFAULT ? map->verify : session->settings.verify;
    int error = fm_process_open(map, rank, &made);
    if (error == 0 && verify == FASTMAP_VERIFY_ON && map->n > 0)
        error = fm_engine_verify(made, map);
    if (error == 0)
        *opened = made;
    else if (made != NULL)
        fm_process_close(made);
    return error;
}

static int run_open(struct fastmap_session *session, const struct fastmap_map *map,
                    struct fm_process_map *process, struct fastmap_report *report)
{
    struct fastmap_map work = *map;
    struct fm_engine_map run = {.session = session, .process = process};
    run.identity = fm_engine_identity(map, true);
    run.cost_ns = map->element_seconds > 0 ? map->element_seconds * 1e9
                                           : fm_engine_history_cost_ns(run.identity);
    run.predicted_ns = run.cost_ns;
    fm_engine_processes_forward(&run, &work);
    const int width = fm_engine_usable_width(&run);
    run.frame = fm_local_open(&work, 0, width, &run, run.cost_ns);
    if (run.frame == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY,
                            "no memory for this thread's bookkeeping: free some and try again");
    return fm_engine_run_timed(&run, width, report);
}

int fm_engine_processes_run(struct fastmap_session *session, const struct fastmap_map *map,
                            struct fastmap_report *report)
{
    struct fm_process_map *process = NULL;
    int error = fm_engine_processes_open(session, map, -1, &process);
    if (error != 0)
        return error;
    error = run_open(session, map, process, report);
    fm_process_close(process);
    return error;
}
