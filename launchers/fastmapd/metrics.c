/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The values, and their text.
 */
#include "metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

#define ROW(name, kind, help) {"fastmapd_" #name, kind, help},
static const struct {
    const char *name, *kind, *help;
} rows[] = {FMD_METRICS(ROW)};

static _Atomic int64_t values[FMD_METRIC_COUNT];

void fmd_metrics_add(enum fmd_metric metric, int64_t amount)
{
    atomic_fetch_add_explicit(&values[metric], amount, memory_order_relaxed);
}

int64_t fmd_metrics_get(enum fmd_metric metric)
{
    return atomic_load_explicit(&values[metric], memory_order_relaxed);
}

/* The pool counts by itself. */
static const struct {
    const char *name, *kind, *help;
    size_t field;
} pool_rows[] = {
#define POOL(field, name, kind, help)                                          \
    {                                                                          \
        "fastmapd_" name, kind, help, offsetof(struct fmd_pool_numbers, field) \
    }
    POOL(workers, "workers", "gauge", "worker processes"),
    POOL(idle, "workers_idle", "gauge", "worker processes with nothing to do"),
    POOL(queued, "spans_queued", "gauge", "spans that wait for a worker"),
    POOL(queued_ns, "queued_ns", "counter", "nanoseconds that spans have waited for a worker"),
    POOL(spans_bytes, "spans_bytes", "gauge", "shared memory of spans"),
    POOL(workers_bytes, "workers_bytes", "gauge", "memory that the workers may take at most"),
    POOL(started, "workers_started", "counter", "workers started"),
    POOL(start_failed, "workers_failed", "counter", "workers that did not start"),
    POOL(ended_idle, "workers_ended_idle", "counter",
         "workers ended because they had nothing to do"),
    POOL(cpu_ns, "workers_cpu_ns", "counter", "CPU time of workers"),
    POOL(killed_late, "killed_late", "counter", "workers killed for taking too long"),
    POOL(killed_cut, "killed_cut", "counter", "workers killed because the hold was used up"),
    POOL(killed_nonsense, "killed_nonsense", "counter", "workers killed for saying what cannot be"),
    POOL(died, "workers_died", "counter", "workers that ended by themselves"),
#undef POOL
};

static void put(FILE *to, const char *name, const char *kind, const char *help, int64_t value)
{
    const char *total = strcmp(kind, "counter") == 0 ? "_total" : "";
    fprintf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n%s%s %" PRId64 "\n", name, total, help, name,
            total, kind, name, total, value);
}

char *fmd_metrics_text(struct fmd_pool *pool, size_t *length)
{
    char *text = NULL;
    struct fmd_pool_numbers numbers;
    FILE *to = open_memstream(&text, length);
    if (to == NULL)
        return NULL;
    fmd_pool_count(pool, &numbers);
    for (size_t i = 0; i < FMD_METRIC_COUNT; i++)
        put(to, rows[i].name, rows[i].kind, rows[i].help, fmd_metrics_get((enum fmd_metric)i));
    for (size_t i = 0; i < sizeof pool_rows / sizeof pool_rows[0]; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&numbers + pool_rows[i].field, sizeof value);
        put(to, pool_rows[i].name, pool_rows[i].kind, pool_rows[i].help, (int64_t)value);
    }
    return fclose(to) == 0 ? text : NULL;
}
