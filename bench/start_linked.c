/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that links fastmap. Without arguments it never calls it: bench/startup times its start.
 * With an argument it times its first map, one that needs the pool's threads, and the one after that,
 * and prints both in nanoseconds.
 */
#include "meeting.h"

#include <fastmap.h>
#include <stdio.h>

static double time_map(struct meeting *meeting)
{
    const struct fastmap_map map =
        FASTMAP_MAP(.func = bench_meet, .n = 2, .shared = &meeting, .element_seconds = 1e-3);
    const double start = bench_now();
    if (fastmap_run(&map, NULL) != 0)
        fprintf(stderr, "fastmap_run: %s\n", fastmap_last_error());
    return bench_now() - start;
}

int main(int argc, char **argv)
{
    struct meeting meeting = {.patience_s = 0.5};
    (void)argv;
    if (argc < 2)
        return 0;
    const double first = time_map(&meeting), second = time_map(&meeting);
    printf("%.0f %.0f %u\n", 1e9 * first, 1e9 * second, atomic_load(&meeting.missed));
    return 0;
}
