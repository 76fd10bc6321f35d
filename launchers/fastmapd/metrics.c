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

char *fmd_metrics_text(size_t *length)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, length);
    if (to == NULL)
        return NULL;
    for (size_t i = 0; i < FMD_METRIC_COUNT; i++) {
        const char *total = strcmp(rows[i].kind, "counter") == 0 ? "_total" : "";
        fprintf(to, "# HELP %s%s %s\n# TYPE %s%s %s\n%s%s %" PRId64 "\n", rows[i].name, total,
                rows[i].help, rows[i].name, total, rows[i].kind, rows[i].name, total,
                fmd_metrics_get((enum fmd_metric)i));
    }
    return fclose(to) == 0 ? text : NULL;
}
