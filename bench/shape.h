/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link of a stated delay and bandwidth to a TCP port of this machine: a proxy on another port, in a thread
 * of its own. All its connections share the bandwidth, each direction its own.
 */
#ifndef BENCH_SHAPE_H
#define BENCH_SHAPE_H

#include <stddef.h>

struct bench_link;

/* What can become of a link, or of the service at its other end. */
enum bench_fault {
    BENCH_DIES,   /* all connections are reset, and new ones refused */
    BENCH_STALLS, /* nothing moves any more; connections stand, and new ones are taken */
    BENCH_SLOWS   /* a tenth of the bandwidth, ten times the delay */
};

/* One way each, in seconds; bytes a second each way, 0: unlimited. *port: where it listens. NULL: errno says
   why. */
struct bench_link *bench_link_open(int to_port, double delay_s, double bytes_per_s, int *port);
void bench_link_close(struct bench_link *link);

/* From that moment of bench_now() on. */
void bench_link_fail(struct bench_link *link, enum bench_fault fault, double at);

/* Bytes that have come back from the service, and connections taken, so far. */
size_t bench_link_back(struct bench_link *link);
int bench_link_taken(struct bench_link *link);

#endif
