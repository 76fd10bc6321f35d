/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program for tests/cloud*.sh: cloud_map N MILLISECONDS [yes|no|sleep] maps N elements that keep a
 * processor busy for so long, with inputs and a shared block, by the settings of the environment. The
 * outputs go to standard output as they lie in memory; standard error gets the share of the cloud and what
 * it cost. With yes or no a callback answers so where charges are to be confirmed, and how often it did is
 * told, too. With sleep the elements sleep, and the map says beforehand for how long.
 */
#include <fastmap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHARED 1000

static double milliseconds;

static double busy(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

struct input {
    double x;
    double seconds;
    double sleeps;
};

static int element(const void *in, void *out, const void *shared)
{
    const struct input *input = in;
    const double *table = shared;
    const double end = busy() + input->seconds;
    double sum = input->x;
    for (size_t i = 0; i < SHARED; i++)
        sum = sum / 3 + table[(i * 7 + (size_t)input->x) % SHARED];
    while (busy() < end)
        continue;
    nanosleep(&(struct timespec){.tv_nsec = (long)(input->sleeps * 1e9)}, NULL);
    *(double *)out = sum;
    return 0;
}

static int asked;

static int answer(const struct fastmap_forecast *estimate, void *context)
{
    asked++;
    if (!(estimate->dollars > 0 && estimate->balance > estimate->dollars_most &&
          estimate->local_seconds > estimate->adaptive_seconds && estimate->cloud > 0))
        fprintf(stderr, "the estimate is wrong\n");
    return strcmp(context, "yes") == 0;
}

int main(int argc, char **argv)
{
    const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    static double table[SHARED];
    struct input *in = calloc(n, sizeof *in);
    double *out = calloc(n, sizeof *out);
    struct fastmap_report report = FASTMAP_REPORT();
    milliseconds = argc > 2 ? strtod(argv[2], NULL) : 1;
    const bool sleeps = argc > 3 && strcmp(argv[3], "sleep") == 0;
    if (argc > 3 && !sleeps &&
        fastmap_global_init(&FASTMAP_CONFIG(.confirm = answer, .confirm_context = argv[3])) != 0)
        return 1;
    for (size_t i = 0; i < SHARED; i++)
        table[i] = 1.0 / (double)(i + 1);
    for (size_t i = 0; in != NULL && i < n; i++)
        in[i] = (struct input){.x = (double)i,
                               .seconds = sleeps ? 0 : milliseconds * 1e-3,
                               .sleeps = sleeps ? milliseconds * 1e-3 : 0};
    const int rc = fastmap_run(&FASTMAP_MAP(.func = element, .in = in, .in_size = sizeof *in,
                                            .out = out, .out_size = sizeof *out, .n = n,
                                            .shared = table, .shared_size = sizeof table,
                                            .element_seconds = sleeps ? milliseconds * 1e-3 : 0),
                               &report);
    if (rc != 0)
        fprintf(stderr, "%s\n", fastmap_last_error());
    fwrite(out, sizeof *out, n, stdout);
    fprintf(stderr, "cloud=%zu of=%zu away=%zu ranks=%d dollars=%.9f seconds=%.2f asked=%d\n",
            report.cloud, report.elements, report.away, report.ranks, report.dollars,
            report.seconds, asked);
    free(in);
    free(out);
    return rc != 0 || fastmap_global_finalize() != 0;
}
