/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Failed elements of a map: counted, and the ones of lowest index kept, whatever order threads find
 * them in. Failures are rare, so one lock serves the whole process.
 */
#include <pthread.h>
#include <string.h>

#include "base/failure.h"
#include "engine/map.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void insert(struct fm_engine_map *run, const struct fastmap_failure *failure)
{
    run->listed = fm_base_failure_insert(run->failures, run->listed, failure);
}

void fm_engine_failed_after_fork(void)
{
    pthread_mutex_init(&mutex, NULL);
}

bool fm_engine_failed(void *engine_map, size_t first, size_t count, int code)
{
    struct fm_engine_map *run = engine_map;
    const struct fastmap_failure failure = {
        .index = first, .code = code, .tier = FASTMAP_TIER_LOCAL, .rank = run->rank};
    return fm_engine_failure_note(run, &failure, count);
}

bool fm_engine_failure_note(struct fm_engine_map *run, const struct fastmap_failure *failure,
                            size_t count)
{
    pthread_mutex_lock(&mutex);
    run->failed += count;
    insert(run, failure);
    pthread_mutex_unlock(&mutex);
    if (run->map->on_error != FASTMAP_ON_ERROR_STOP)
        return false;
    atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
    return true;
}

void fm_engine_failures_merge(struct fm_engine_map *run, size_t failed,
                              const struct fastmap_failure *failures, size_t listed)
{
    pthread_mutex_lock(&mutex);
    run->failed += failed;
    for (size_t i = 0; i < listed && i < FASTMAP_REPORT_FAILURES; i++) {
        struct fastmap_failure failure = failures[i];
        if (failure.tier != FASTMAP_TIER_CLOUD)
            failure.tier = failure.rank == run->rank ? FASTMAP_TIER_LOCAL : FASTMAP_TIER_MPI;
        insert(run, &failure);
    }
    pthread_mutex_unlock(&mutex);
}

void fm_engine_failures_tell(const struct fm_engine_map *run, struct fastmap_report *report)
{
    pthread_mutex_lock(&mutex);
    report->failed = run->failed;
    report->failures_listed = run->listed;
    memcpy(report->failures, run->failures, run->listed * sizeof *run->failures);
    pthread_mutex_unlock(&mutex);
}
