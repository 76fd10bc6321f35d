/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters and gauges for Prometheus: a row each. Threads: any; each value is a relaxed atomic of its own,
 * since nobody decides anything on them.
 */
#ifndef FMD_METRICS_H
#define FMD_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct fmd_pool;

/* (name, kind, help) */
#define FMD_METRICS(X)                                                                    \
    X(requests, "counter", "requests whose headers were read")                            \
    X(refused, "counter", "requests answered with an error")                              \
    X(failed_signatures, "counter", "requests whose signature was refused")               \
    X(replays, "counter", "requests whose signature was used before")                     \
    X(deadlines, "counter", "connections closed at a deadline")                           \
    X(connections, "gauge", "open connections")                                           \
    X(received_bytes, "counter", "bytes of bodies received")                              \
    X(sent_bytes, "counter", "bytes of span outputs sent")                                \
    X(maps_opened, "counter", "maps opened")                                              \
    X(maps_open, "gauge", "maps that are open")                                           \
    X(held_nano, "gauge", "nano-dollars that open maps hold or have spent")               \
    X(spans_running, "gauge", "spans that wait or compute")                               \
    X(spans_done, "counter", "spans computed to their end")                               \
    X(spans_cut, "counter", "spans cut off when the hold was used up")                    \
    X(spans_late, "counter", "spans that took too long")                                  \
    X(spans_died, "counter", "spans whose worker crashed or ended")                       \
    X(spans_lost, "counter", "spans whose worker somebody else ended")                    \
    X(spans_repeated, "counter", "spans answered again from what was kept")               \
    X(wait_ns, "counter", "nanoseconds that spans have waited for a worker and computed") \
    X(cpu_ns, "counter", "nanoseconds of CPU time charged")                               \
    X(charged_nano, "counter", "nano-dollars charged")

#define FMD_METRIC_NAME(name, kind, help) FMD_METRIC_##name,
enum fmd_metric { FMD_METRICS(FMD_METRIC_NAME) FMD_METRIC_COUNT };
#undef FMD_METRIC_NAME

void fmd_metrics_add(enum fmd_metric metric, int64_t amount);
int64_t fmd_metrics_get(enum fmd_metric metric);

/* All of them and the pool's in Prometheus' text form; to be freed. NULL where memory ran out. */
char *fmd_metrics_text(struct fmd_pool *pool, size_t *length);

#endif
