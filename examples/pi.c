/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pi: Gauss's circle problem as a map over indices, with a block function.
 *
 * A circle of radius r around the origin holds N(r) points with integer coordinates, and N(r) / r^2 tends
 * to pi. By symmetry N(r) = 1 + 4 (r + sum of floor(sqrt(r^2 - x^2)) over x = 1 ... r). An element is a band
 * of 1024 columns x. Counting is exact, so the answer has the same bits on any number of threads, and
 * N(10) = 317, N(100) = 31417, N(1000) = 3141549 (OEIS A000328) can be checked.
 *
 * A block function suits elements that are short, or that vectorise across each other. The loop to beat is
 * then one call of that function for all elements.
 */
#include <fastmap.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t band_columns = 1024;
static const uint64_t radius_max = 1000000000; /* 4 r^2 fits 64 bits with room to spare */
static const double pi = 3.14159265358979323846;

/* Points (x, y) with first <= x <= last and 0 < y <= sqrt(r^2 - x^2). */
static uint64_t count_columns(uint64_t first, uint64_t last, uint64_t radius)
{
    uint64_t points = 0;
    for (uint64_t x = first; x <= last; x++) {
        int64_t square = (int64_t)((radius - x) * (radius + x));
        int64_t y = (int64_t)sqrt((double)square);
        y -= y * y > square; /* above 2^53 the square was rounded on its way to double, */
        y += (y + 1) * (y + 1) <= square; /* and its root may be off by one either way */
        points += (uint64_t)y;
    }
    return points;
}

static int count_bands(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)in;
    uint64_t radius = *(const uint64_t *)shared;
    uint64_t *points = out;
    for (size_t k = 0; k < count; k++) {
        uint64_t before = (first + k) * band_columns;
        uint64_t last = before + band_columns;
        points[k] = count_columns(before + 1, last < radius ? last : radius, radius);
    }
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void print_pi(const uint64_t *points, size_t bands, uint64_t radius)
{
    uint64_t quarter = radius;
    for (size_t i = 0; i < bands; i++)
        quarter += points[i];
    uint64_t total = 1 + 4 * quarter;
    double estimate = (double)total / ((double)radius * (double)radius);
    printf("points in the circle of radius %" PRIu64 ": %" PRIu64 "\n", radius, total);
    printf("pi = %.15f   error %.1e\n", estimate, estimate - pi);
}

/* Runs the loop and the map on the same bands, and says whether they agree. */
static int compare(uint64_t radius)
{
    size_t bands = (radius + band_columns - 1) / band_columns;
    uint64_t *by_loop = calloc(bands, sizeof *by_loop);
    uint64_t *by_map = calloc(bands, sizeof *by_map);
    struct fastmap_report report = FASTMAP_REPORT();
    int status = EXIT_FAILURE;
    if (!by_loop || !by_map) {
        fprintf(stderr, "pi: no memory for %zu bands; give a smaller --radius\n", bands);
        goto free_bands;
    }

    double start = seconds_now();
    count_bands(NULL, by_loop, 0, bands, &radius);
    double loop_seconds = seconds_now() - start;

    if (fastmap_run(&FASTMAP_MAP(.block = count_bands, .out = by_map, .out_size = sizeof *by_map,
                                 .n = bands, .shared = &radius, .shared_size = sizeof radius,
                                 .label = "pi"),
                    &report)) {
        fprintf(stderr, "pi: %s\n", fastmap_last_error());
        goto free_bands;
    }
    int identical = memcmp(by_loop, by_map, bands * sizeof *by_map) == 0;
    print_pi(by_map, bands, radius);
    printf("loop %.3f s, fastmap %.3f s, threads: %d, speed-up %.2f, results identical: %s\n",
           loop_seconds, report.seconds, report.workers, loop_seconds / report.seconds,
           identical ? "yes" : "no");
    status = identical ? EXIT_SUCCESS : EXIT_FAILURE;

free_bands:
    free(by_map);
    free(by_loop);
    return status;
}

static void print_help(void)
{
    printf("usage: pi [--radius R]\n"
           "Counts the integer points in a circle of radius R, and so pi; loop against fastmap.\n\n"
           "  -r, --radius R   whole number from 1 to %" PRIu64 " (default 300000000)\n"
           "      --help       print this and end\n\n"
           "Exit code: 0 success, 1 failure, 2 usage.\n",
           radius_max);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"radius", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'H'}, {0}};
    uint64_t radius = 300000000;
    for (int option; (option = getopt_long(argc, argv, "r:", options, NULL)) != -1;) {
        char *end = NULL;
        switch (option) {
        case 'r':
            radius = strtoull(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end || radius < 1 || radius > radius_max) {
                fprintf(stderr, "pi: --radius '%s' is no whole number from 1 to %" PRIu64 "\n",
                        optarg, radius_max);
                return 2;
            }
            break;
        case 'H': print_help(); return EXIT_SUCCESS;
        default: fprintf(stderr, "pi: see pi --help\n"); return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "pi: unexpected argument '%s'; see pi --help\n", argv[optind]);
        return 2;
    }
    return compare(radius);
}
