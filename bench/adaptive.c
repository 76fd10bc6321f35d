/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/adaptive: maps on this machine's threads and a fastmapd behind a link of a stated delay and
 * bandwidth (shape.h), over a grid of costs, bytes, links, vCPUs and workers. The elements sleep, so that
 * two cores play many. Each cell is a process: LOCAL, then the map with the cloud twice, of which the second
 * counts, since the first connects, uploads and starts workers. bench/adaptive.sh starts the service; the
 * settings are those of the environment.
 *
 * Every map's outputs are compared with LOCAL's, byte for byte.
 */
#include "clock.h"
#include "optimum.h"
#include "random.h"
#include "shape.h"

#include <fastmap.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOCAL_S 1.2      /* that LOCAL takes, about */
#define BYTES_MOST 200e6 /* of all inputs of a map */
#define NO_HELP 0.98     /* an optimum above so much of LOCAL's: the cloud cannot help */
#define HEAD 16          /* bytes of an element that mean something */
#define SIGMA 1.0        /* of lognormal costs */

/* ---- The grid ---- */

enum axis { COST, BYTES, TRIP, BAND, VCPUS, WORKERS, SHAPE, AXES };

struct values {
    const char *name;
    int count;
    double of[4];
};

static const struct values usual[AXES] = {
    [COST] = {"cost_ms", 3, {1, 10, 100}},   [BYTES] = {"bytes", 2, {16, 1e4}},
    [TRIP] = {"trip_ms", 3, {0.2, 20, 100}}, [BAND] = {"mbit", 2, {1000, 10}},
    [VCPUS] = {"vcpus", 3, {0, 2, 16}},      [WORKERS] = {"workers", 2, {1, 2}},
    [SHAPE] = {"lognormal", 2, {0, 1}},
};

/* Bandwidth 0: unlimited. */
static const struct values whole[AXES] = {
    [COST] = {"cost_ms", 4, {0.1, 1, 10, 100}}, [BYTES] = {"bytes", 3, {16, 1e4, 1e6}},
    [TRIP] = {"trip_ms", 3, {0.2, 20, 100}},    [BAND] = {"mbit", 3, {10, 1000, 0}},
    [VCPUS] = {"vcpus", 4, {0, 2, 16, 64}},     [WORKERS] = {"workers", 3, {1, 2, 8}},
    [SHAPE] = {"lognormal", 2, {0, 1}},
};

struct cell {
    double of[AXES];
};

static int cells_of(const struct values grid[AXES])
{
    int count = 1;
    for (int a = 0; a < AXES; a++)
        count *= grid[a].count;
    return count;
}

static struct cell cell_of(const struct values grid[AXES], int number)
{
    struct cell cell;
    for (int a = 0; a < AXES; a++) {
        cell.of[a] = grid[a].of[number % grid[a].count];
        number /= grid[a].count;
    }
    return cell;
}

/* ---- The elements ---- */

static int element(const void *in, void *out, const void *shared)
{
    struct timespec until;
    double seconds;
    const size_t bytes = *(const size_t *)shared;
    clock_gettime(CLOCK_MONOTONIC, &until);
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    memcpy(&seconds, in, sizeof seconds);
    const double end = (double)until.tv_nsec + 1e9 * seconds;
    until.tv_sec += (time_t)(end / 1e9);
    until.tv_nsec = (long)fmod(end, 1e9);
    memcpy(out, in, bytes);
    ((char *)out)[bytes - 1] ^= 0x5a;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
    return 0;
}

struct work {
    size_t n, bytes;
    double *costs; /* in seconds */
    char *in, *local, *out;
};

static double weight(const struct cell *cell, size_t i)
{
    if (cell->of[SHAPE] <= 0)
        return 1;
    const double u = bench_uniform01((2 * i + 1) * BENCH_GOLDEN);
    const double v = bench_uniform01((2 * i + 2) * BENCH_GOLDEN);
    return exp(SIGMA * sqrt(-2 * log(u)) * cos(2 * acos(-1) * v));
}

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "adaptive: no memory for %zu elements of %zu bytes\n", count, size);
        exit(2);
    }
    return memory;
}

/* Bytes that nothing compresses, and costs of the stated mean. */
static struct work work_of(const struct cell *cell)
{
    const double mean_s = cell->of[COST] * 1e-3;
    const double fit = fmin(LOCAL_S * cell->of[WORKERS] / mean_s, BYTES_MOST / cell->of[BYTES]);
    struct work work = {.n = (size_t)fit, .bytes = (size_t)cell->of[BYTES]};
    double sum = 0;
    work.costs = take(work.n, sizeof *work.costs);
    work.in = take(work.n, work.bytes);
    work.local = take(work.n, work.bytes);
    work.out = take(work.n, work.bytes);
    for (size_t i = 0; i < work.n; i++)
        sum += work.costs[i] = weight(cell, i);
    for (size_t i = 0; i < work.n * work.bytes / sizeof(uint64_t); i++) {
        const double u = bench_uniform01((i + 1) * BENCH_GOLDEN);
        memcpy(work.in + i * sizeof(uint64_t), &u, sizeof u);
    }
    for (size_t i = 0; i < work.n; i++) {
        work.costs[i] *= mean_s * (double)work.n / sum;
        memcpy(work.in + i * work.bytes, &work.costs[i], sizeof *work.costs);
    }
    return work;
}

/* ---- A cell ---- */

struct result {
    bool wrong;
    size_t n;
    double local_s, adaptive_s, blind_s, optimum_s, alone_s; /* alone: without the cloud */
    double share, dollars;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "adaptive: %s: %s\n", what, why);
    exit(2);
}

static struct fastmap_session *session_of(const struct cell *cell, const char *url)
{
    struct fastmap_session *session;
    const bool local = url == NULL || cell->of[VCPUS] <= 0;
    if (fastmap_init(&FASTMAP_CONFIG(.cloud_url = url, .max_local_workers = (int)cell->of[WORKERS],
                                     .max_cloud_workers = (int)cell->of[VCPUS],
                                     .exec_policy = local ? FASTMAP_EXEC_POLICY_LOCAL
                                                          : FASTMAP_EXEC_POLICY_ADAPTIVE,
                                     .confirm_charges = FASTMAP_CONFIRM_OFF),
                     &session) != 0)
        fail("a session", fastmap_last_error());
    return session;
}

static struct fastmap_report run(struct fastmap_session *session, const struct work *work,
                                 char *out)
{
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = element, .in = work->in, .in_size = work->bytes, .out = out,
                    .out_size = work->bytes, .n = work->n, .shared = &work->bytes,
                    .shared_size = sizeof work->bytes);
    memset(out, 0, work->n * work->bytes);
    if (fastmap_session_run(session, &map, &report) != 0)
        fail("a map", fastmap_last_error());
    return report;
}

/* A sleep lasts longer than it should by what the machine needs to wake up: that belongs to an element's
   true cost, as the plain loop would have it. */
static void stretch_costs(const struct work *work, const struct fastmap_report *local)
{
    double sum = 0;
    for (size_t i = 0; i < work->n; i++)
        sum += work->costs[i];
    const double stretch = fmax(1, local->loop_seconds / sum);
    for (size_t i = 0; i < work->n; i++)
        work->costs[i] *= stretch;
}

static struct result measure(const struct cell *cell, int service_port)
{
    const double bytes_per_s = cell->of[BAND] * 1e6 / 8;
    struct work work = work_of(cell);
    char url[64];
    int port;
    struct bench_link *link =
        bench_link_open(service_port, cell->of[TRIP] * 1e-3 / 2, bytes_per_s, &port);
    if (link == NULL)
        fail("the link", "no socket or thread for it");
    snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
    struct fastmap_session *local = session_of(cell, NULL), *adaptive = session_of(cell, url);
    const struct fastmap_report alone = run(local, &work, work.local);
    (void)run(adaptive, &work, work.out);
    bool wrong = memcmp(work.out, work.local, work.n * work.bytes) != 0;
    bench_sleep(0.3); /* the service ends what belongs to the first map */
    const struct fastmap_report with = run(adaptive, &work, work.out);
    wrong |= memcmp(work.out, work.local, work.n * work.bytes) != 0;
    fastmap_finalize(adaptive);
    fastmap_finalize(local);
    bench_link_close(link);
    stretch_costs(&work, &alone);
    struct bench_machine machine = {
        .workers = (int)cell->of[WORKERS],
        .vcpus = (int)cell->of[VCPUS],
        .round_trip_s = cell->of[TRIP] * 1e-3,
        .element_s = bytes_per_s > 0 ? cell->of[BYTES] / bytes_per_s : 0,
    };
    struct result result = {.wrong = wrong,
                            .n = work.n,
                            .local_s = alone.seconds,
                            .adaptive_s = with.seconds,
                            .share = (double)with.cloud / (double)work.n,
                            .dollars = with.dollars,
                            .blind_s = bench_blind(&machine, work.costs, work.n)};
    result.optimum_s = bench_optimum(&machine, work.costs, work.n);
    machine.vcpus = 0;
    result.alone_s = bench_optimum(&machine, work.costs, work.n);
    return result;
}

/* In a process of its own: what a process has learned or opened is in nobody's way. */
static bool measure_apart(const struct cell *cell, int service_port, struct result *result)
{
    int ends[2], status;
    fflush(NULL);
    if (pipe(ends) != 0)
        fail("a cell", "no pipe");
    const pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        const struct result mine = measure(cell, service_port);
        exit(write(ends[1], &mine, sizeof mine) == (ssize_t)sizeof mine ? 0 : 2);
    }
    close(ends[1]);
    const bool got = child > 0 && read(ends[0], result, sizeof *result) == (ssize_t)sizeof *result;
    close(ends[0]);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 && got;
}

/* ---- The table ---- */

struct tally {
    int cells, within_10, within_25;     /* of the optimum, where the cloud can help */
    int idle, idle_within, idle_charged; /* where it cannot: within 1.02 and 2 ms of LOCAL */
    int wrong, lost;
    double worst;
    double logs, blind_logs; /* of the ratios to both optima, summed */
    int blind_within_10, blind_within_25;
};

static void print_head(void)
{
    printf("%8s %8s %8s %6s %5s %7s %5s %6s | %8s %8s %8s | %7s %7s %6s %11s\n", "cost ms", "bytes",
           "trip ms", "Mbit/s", "vCPUs", "workers", "shape", "n", "LOCAL", "ADAPTIVE", "optimum",
           "to opt.", "to LOC.", "cloud", "US$");
}

static void print_row(const struct cell *cell, const struct result *r)
{
    printf("%8g %8g %8g %6g %5g %7g %5s %6zu | %8.4f %8.4f %8.4f | %7.3f %7.3f %5.0f%% %11.9f%s\n",
           cell->of[COST], cell->of[BYTES], cell->of[TRIP], cell->of[BAND], cell->of[VCPUS],
           cell->of[WORKERS], cell->of[SHAPE] > 0 ? "logn" : "unif", r->n, r->local_s,
           r->adaptive_s, r->optimum_s, r->adaptive_s / r->optimum_s, r->adaptive_s / r->local_s,
           100 * r->share, r->dollars, r->wrong ? " WRONG RESULTS" : "");
    fflush(stdout);
}

static void count(struct tally *tally, const struct result *r)
{
    const double ratio = r->adaptive_s / r->optimum_s;
    tally->wrong += r->wrong;
    if (r->optimum_s > NO_HELP * r->alone_s) {
        tally->idle++;
        tally->idle_within += r->adaptive_s <= 1.02 * r->local_s + 0.002;
        tally->idle_charged += r->dollars > 0;
        return;
    }
    tally->cells++;
    tally->within_10 += ratio <= 1.10;
    tally->within_25 += ratio <= 1.25;
    tally->worst = fmax(tally->worst, ratio);
    tally->logs += log(ratio);
    const double blind = r->adaptive_s / r->blind_s;
    tally->blind_within_10 += blind <= 1.10;
    tally->blind_within_25 += blind <= 1.25;
    tally->blind_logs += log(blind);
}

static void print_tally(const struct tally *t)
{
    printf("\nwhere the cloud can help: %d cells; within 1.10 of the optimum %d, within 1.25 %d; "
           "worst %.3f, geometric mean %.3f\n",
           t->cells, t->within_10, t->within_25, t->worst, exp(t->logs / fmax(1, t->cells)));
    printf("of the blind optimum, which knows the mean cost only: within 1.10 %d, within 1.25 %d; "
           "geometric mean %.3f\n",
           t->blind_within_10, t->blind_within_25, exp(t->blind_logs / fmax(1, t->cells)));
    printf("where it cannot: %d cells; within 1.02 of LOCAL and 2 ms %d; charged %d\n", t->idle,
           t->idle_within, t->idle_charged);
    if (t->wrong + t->lost > 0)
        printf("wrong results: %d; cells that did not end well: %d\n", t->wrong, t->lost);
}

static int usage(void)
{
    fputs(
        "usage: adaptive [--all] [--every K] [--first I] [--cell COST_MS,BYTES,TRIP_MS,MBIT,VCPUS,"
        "WORKERS,LOGNORMAL]...\n"
        "Each K-th cell of the grid, from the I-th on; without --all a smaller grid, of which each "
        "11th "
        "is taken.\nbench/adaptive.sh starts the service and passes all this on.\n",
        stderr);
    return 2;
}

static bool parse_cell(const char *text, struct cell *cell)
{
    for (int a = 0; a < AXES; a++) {
        char *end;
        cell->of[a] = strtod(text, &end);
        if (end == text || *end != (a + 1 < AXES ? ',' : '\0'))
            return false;
        text = end + 1;
    }
    return cell->of[COST] > 0 && cell->of[BYTES] >= HEAD && cell->of[WORKERS] >= 1;
}

static void one(const struct cell *cell, int port, struct tally *tally)
{
    struct result result;
    if (!measure_apart(cell, port, &result)) {
        tally->lost++;
        return;
    }
    print_row(cell, &result);
    count(tally, &result);
}

int main(int argc, char **argv)
{
    const char *url =
        getenv("FASTMAP_CLOUD_URL"); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    const char *colon = url != NULL ? strrchr(url, ':') : NULL;
    const int port = colon != NULL ? atoi(colon + 1) : 0; /* NOLINT(cert-err34-c): 0 is refused */
    const struct values *grid = usual;
    struct tally tally = {0};
    struct cell cell;
    int every = 0, first = 0;
    bool given = false;
    if (port <= 0)
        return usage();
    print_head();
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--all") == 0) {
            grid = whole;
            continue;
        }
        if (strcmp(argv[i], "--every") == 0)
            every = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            first = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--cell") == 0 && parse_cell(value, &cell))
            given = true, one(&cell, port, &tally);
        else
            return usage();
        i++;
    }
    if (every <= 0)
        every = grid == usual ? 11 : 1;
    for (int i = first; !given && i < cells_of(grid); i += every) {
        cell = cell_of(grid, i);
        one(&cell, port, &tally);
    }
    print_tally(&tally);
    return tally.wrong + tally.lost > 0;
}
