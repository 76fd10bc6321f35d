/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A link of a stated delay and bandwidth to a TCP port of this machine: a proxy on another port, in a thread
 * of its own. All its connections share the bandwidth, each direction its own.
 */
#ifndef BENCH_SHAPE_H
#define BENCH_SHAPE_H

struct bench_link;

/* One way each, in seconds; bytes a second each way, 0: unlimited. *port: where it listens. NULL: errno says
   why. */
struct bench_link *bench_link_open(int to_port, double delay_s, double bytes_per_s, int *port);
void bench_link_close(struct bench_link *link);

#endif
