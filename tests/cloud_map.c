/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program for tests/cloud*.sh: cloud_map N MILLISECONDS [yes|no|sleep] maps N elements that keep a
 * processor busy for so long, with inputs and a shared block, by the settings of the environment. The
 * outputs go to standard output as they lie in memory; standard error gets the share of the cloud and what
 * it cost. With yes or no a callback answers so where charges are to be confirmed, and how often it did is
 * told, too. With sleep the elements sleep, and the map says beforehand for how long.
 *
 * cloud_map N MILLISECONDS again: elements that sleep for so long, every 16th for twenty times as long, in
 * map after map over the same function: with inputs, over indices, and in place with many that fail.
 * Element 0 is one of the long ones, and fails. A line each says where it was computed first, and where
 * last: maps go on until that is the cloud.
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

/* ---- The same map again and again ---- */

#define DEAR_EVERY 16
#define DEAR_TIMES 20
#define MAPS_LEAST 4
#define MAPS_MOST 20

static double value_of(size_t index, const double *table)
{
    return (double)index / 3 + table[index * 7 % SHARED];
}

static bool fails_often(size_t index)
{
    return index % 5 == 0;
}

/* Of the other maps element 0 alone fails. */
static int code_of(size_t index, bool often)
{
    return index == 0 || (often && fails_often(index)) ? 1000 + (int)index : 0;
}

static int compute_unequal(size_t index, void *out, const double *table, bool often)
{
    const double ms = table[SHARED - 1] * (index % DEAR_EVERY == 0 ? DEAR_TIMES : 1);
    nanosleep(&(struct timespec){.tv_nsec = (long)(ms * 1e6)}, NULL);
    *(double *)out = value_of(index, table);
    return fastmap_index() == index ? code_of(index, often) : -1;
}

static int by_input(const void *in, void *out, const void *shared)
{
    return compute_unequal((size_t) * (const double *)in, out, shared, false);
}

static int by_index(const void *in, void *out, const void *shared)
{
    return in != NULL ? -2 : compute_unequal(fastmap_index(), out, shared, false);
}

static int in_place(const void *in, void *out, const void *shared)
{
    return compute_unequal((size_t) * (const double *)in, out, shared, true);
}

static const struct kind {
    const char *name;
    fastmap_func *func;
    bool has_in, is_in_place;
} kinds[] = {{"inputs", by_input, true, false},
             {"indices", by_index, false, false},
             {"in place", in_place, true, true}};

/* Failures that are not what the plain loop would list: the lowest of all that fail. */
static size_t wrong_failures(const struct fastmap_report *report, size_t n, bool often)
{
    size_t all = 0, wrong = 0;
    for (size_t i = 0; i < n; i++) {
        const int code = code_of(i, often);
        if (code != 0 && all < FASTMAP_REPORT_FAILURES)
            wrong += report->failures[all].index != i || report->failures[all].code != code;
        all += code != 0;
    }
    return wrong + (report->failed != all) + (report->elements != n);
}

struct outcome {
    size_t outputs, failures; /* that were wrong */
    int maps;
    enum fastmap_tier first, last; /* where element 0 was computed */
};

/* One map; what the plain loop has is `expected`. */
static void map_once(const struct kind *kind, size_t n, const double *table, double *in,
                     const double *expected, struct outcome *outcome)
{
    double *out = kind->is_in_place ? in : calloc(n, sizeof *out);
    struct fastmap_report report = FASTMAP_REPORT();
    for (size_t i = 0; i < n; i++)
        in[i] = (double)i;
    const int rc = fastmap_run(&FASTMAP_MAP(.func = kind->func, .in = kind->has_in ? in : NULL,
                                            .in_size = kind->has_in ? sizeof *in : 0, .out = out,
                                            .out_size = sizeof *out, .n = n, .shared = table,
                                            .shared_size = SHARED * sizeof *table),
                               &report);
    outcome->outputs += memcmp(out, expected, n * sizeof *out) != 0;
    outcome->failures +=
        rc != FASTMAP_ERR_ELEMENT || wrong_failures(&report, n, kind->is_in_place) > 0;
    outcome->last = report.failures[0].tier;
    if (outcome->maps++ == 0)
        outcome->first = outcome->last;
    if (!kind->is_in_place)
        free(out);
}

static int map_again(size_t n, double *table)
{
    double *in = calloc(n, sizeof *in);
    double *expected = calloc(n, sizeof *expected);
    table[SHARED - 1] = milliseconds;
    for (size_t i = 0; i < n; i++)
        expected[i] = value_of(i, table);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct outcome outcome = {0};
        while (outcome.maps < MAPS_LEAST ||
               (outcome.last != FASTMAP_TIER_CLOUD && outcome.maps < MAPS_MOST))
            map_once(&kinds[k], n, table, in, expected, &outcome);
        printf("%s: %zu wrong outputs, %zu wrong failures, %s then %s\n", kinds[k].name,
               outcome.outputs, outcome.failures,
               outcome.first == FASTMAP_TIER_CLOUD ? "cloud" : "here",
               outcome.last == FASTMAP_TIER_CLOUD ? "cloud" : "here");
        fprintf(stderr, "%s: %d maps\n", kinds[k].name, outcome.maps);
    }
    free(in);
    free(expected);
    return fastmap_global_finalize();
}

int main(int argc, char **argv)
{
    const size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
    static double table[SHARED];
    struct fastmap_report report = FASTMAP_REPORT();
    milliseconds = argc > 2 ? strtod(argv[2], NULL) : 1;
    const bool sleeps = argc > 3 && strcmp(argv[3], "sleep") == 0;
    for (size_t i = 0; i < SHARED; i++)
        table[i] = 1.0 / (double)(i + 1);
    if (argc > 3 && strcmp(argv[3], "again") == 0)
        return map_again(n, table) != 0;
    struct input *in = calloc(n, sizeof *in);
    double *out = calloc(n, sizeof *out);
    if (argc > 3 && !sleeps &&
        fastmap_global_init(&FASTMAP_CONFIG(.confirm = answer, .confirm_context = argv[3])) != 0)
        return 1;
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
