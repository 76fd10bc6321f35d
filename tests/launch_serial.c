/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial program for fastmap-run: `launch_serial MAPS STATUS` computes so many maps ("-": as standard
 * input says), compares each with the loop, says once what it saw, and exits with the status. An element
 * fails where it sees that what it started would be a worker.
 */
#include <fastmap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ELEMENTS = 200 };

static int factor(int map)
{
    return map + 3;
}

/* Whether a child of this process would be taken for a rank. */
static int is_contagious(void)
{
    const char *preload = getenv("LD_PRELOAD");
    const char *mark = getenv("FASTMAP_WORKER_RANKS");
    return (preload != NULL && strstr(preload, "fastmap-worker") != NULL) ||
           (mark != NULL && *mark != '\0');
}

static int multiply(const void *in, void *out, const void *shared)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    const int *x = in;
    const int *by = shared;
    int *y = out;
    (void)nanosleep(&pause, NULL);
    *y = *x * *by;
    return is_contagious() ? 1 : 0;
}

static int how_many(const char *word)
{
    char line[16] = "";
    if (strcmp(word, "-") == 0 && fgets(line, sizeof line, stdin) != NULL)
        word = line;
    return atoi(word);
}

int main(int argc, char **argv)
{
    static int x[ELEMENTS];
    static int y[ELEMENTS];
    const int maps = argc > 1 ? how_many(argv[1]) : 1;
    struct fastmap_report report = FASTMAP_REPORT();
    int same = 1;
    for (int i = 0; i < ELEMENTS; i++)
        x[i] = i;
    for (int map = 0; map < maps; map++) {
        const int by = factor(map);
        if (fastmap_run(&FASTMAP_MAP(.func = multiply, .in = x, .in_size = sizeof *x, .out = y,
                                     .out_size = sizeof *y, .n = ELEMENTS, .shared = &by,
                                     .shared_size = sizeof by),
                        &report) != 0) {
            (void)fprintf(stderr, "%s\n", fastmap_last_error());
            return 1;
        }
        for (int i = 0; i < ELEMENTS; i++)
            same &= y[i] == x[i] * by;
    }
    printf("main: maps %d, ranks %d, elements computed elsewhere: %s, results identical: %s\n",
           maps, (int)report.ranks, report.away > 0 ? "some" : "none", same ? "yes" : "no");
    return argc > 2 ? atoi(argv[2]) : is_contagious();
}
