/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/faults: what a cloud costs that fails in the middle of a map, what a map may cost at most, and what a
 * token costs a map that has nothing to gain. bench/adaptive.sh --faults starts the service.
 *
 * Faults: a map of equal elements that sleep, on two threads and 16 vCPUs behind a link (shape.h). At two
 * fifths of its usual time the link dies, stalls or slows tenfold, or the service's elements take ten times
 * as long. What is left at that moment is known from the elements that this process has done and from the
 * bytes that have come back; the optimum without the cloud from then on is that over the threads here.
 */
#include "clock.h"
#include "shape.h"

#include <fastmap.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#define WORKERS 2
#define VCPUS 16
#define N 1200
#define BYTES 10000
#define COST_S 0.01
#define TRIP_S 0.02
#define BITS_PER_S 1e9
#define AT 0.4       /* of a map's usual time */
#define FRAMED 1.005 /* bytes on the link for one of an element's */
#define EVERY_S 0.02 /* between looks at how far a map is */
#define LOOKS 2000
#define ROUNDS_MOST 15

static int service_port;
static const char *const names[] = {"link dies", "link stalls", "link slows tenfold",
                                    "service slows tenfold", "no fault"};
enum { SERVICE_SLOWS = BENCH_SLOWS + 1, NO_FAULT, FAULTS };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "faults: %s: %s\n", what, why);
    exit(2);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return values[count / 2];
}

/* ---- Elements ---- */

/* A worker has not run main(): there, both are what they are here. */
static bool is_here;
static _Atomic size_t done_here;

struct terms {
    double cost_s;
    double slow_from; /* of bench_now(): elsewhere elements take ten times as long from then on */
};

static int element(const void *in, void *out, const void *shared)
{
    const struct terms *terms = shared;
    const double now = bench_now();
    const double end = now + terms->cost_s * (!is_here && now > terms->slow_from ? 10 : 1);
    const struct timespec until = {(time_t)end, (long)(1e9 * (end - (double)(time_t)end))};
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    memcpy(out, in, BYTES);
    ((char *)out)[BYTES - 1] ^= 0x5a;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
    atomic_fetch_add(&done_here, is_here);
    return 0;
}

static char in[N][BYTES], out[N][BYTES];

/* Bytes that nothing compresses. */
static void fill(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof in / sizeof x; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy((char *)in + i * sizeof x, &x, sizeof x);
    }
}

static bool is_right(void)
{
    for (size_t i = 0; i < N; i++)
        if (memcmp(in[i], out[i], BYTES - 1) != 0 || out[i][BYTES - 1] != (in[i][BYTES - 1] ^ 0x5a))
            return false;
    return true;
}

/* ---- Sessions ---- */

static struct fastmap_session *session_of(int port, const char *max_charge, int vcpus)
{
    char url[64];
    struct fastmap_session *session;
    snprintf(url, sizeof url, "https://127.0.0.1:%d", port);
    if (fastmap_init(&FASTMAP_CONFIG(.cloud_url = url, .max_local_workers = WORKERS,
                                     .max_cloud_workers = vcpus, .max_charge = max_charge,
                                     .exec_policy = vcpus > 0 ? FASTMAP_EXEC_POLICY_ADAPTIVE
                                                              : FASTMAP_EXEC_POLICY_LOCAL,
                                     .confirm_charges = FASTMAP_CONFIRM_OFF),
                     &session) != 0)
        fail("a session", fastmap_last_error());
    return session;
}

static struct fastmap_report run(struct fastmap_session *session, const struct fastmap_map *map)
{
    struct fastmap_report report = FASTMAP_REPORT();
    if (fastmap_session_run(session, map, &report) != 0)
        fail("a map", fastmap_last_error());
    return report;
}

static struct bench_link *link_of(double trip_s, int *port)
{
    struct bench_link *link = bench_link_open(service_port, trip_s / 2, BITS_PER_S / 8, port);
    if (link == NULL)
        fail("the link", "no socket or thread for it");
    return link;
}

/* ---- Looks at how far a map is ---- */

struct look {
    double at, here, back; /* seconds, elements */
};

struct watch {
    pthread_t thread;
    _Atomic bool over;
    struct bench_link *link;
    double begun, fault;
    size_t back_before;
    struct look looks[LOOKS];
    int count;
    double left; /* elements, when it failed */
};

static struct look look_at(struct watch *watch)
{
    const double bytes = (double)(bench_link_back(watch->link) - watch->back_before);
    return (struct look){.at = bench_now() - watch->begun,
                         .here = (double)atomic_load(&done_here),
                         .back = bytes / (BYTES * FRAMED)};
}

static void *look_on(void *argument)
{
    struct watch *watch = argument;
    bool failed = false;
    while (!atomic_load(&watch->over)) {
        const struct look now = look_at(watch);
        if (watch->count < LOOKS)
            watch->looks[watch->count++] = now;
        if (!failed && now.at >= watch->fault) {
            failed = true;
            watch->left = N - now.here - now.back;
        }
        const double next = failed ? EVERY_S : watch->fault - now.at;
        bench_sleep(next > 0 && next < EVERY_S ? next : EVERY_S);
    }
    return NULL;
}

/* ---- A fault ---- */

struct result {
    bool wrong;
    double seconds, fault, left, optimum_s, ratio, dollars;
    size_t cloud;
    char why[1024];
};

static void print_looks(FILE *to, int fault, int round, const struct watch *watch)
{
    for (int i = 0; to != NULL && i < watch->count; i++)
        fprintf(to, "look\t%s\t%d\t%.4f\t%.4f\t%.0f\t%.1f\n", names[fault], round, watch->fault,
                watch->looks[i].at, watch->looks[i].here, watch->looks[i].back);
}

static struct result measure(int fault, int round, double cost_s, FILE *looks)
{
    int port;
    struct bench_link *link = link_of(TRIP_S, &port);
    struct fastmap_session *session = session_of(port, NULL, VCPUS);
    struct terms terms = {.cost_s = COST_S, .slow_from = 1e300};
    const struct fastmap_map map =
        FASTMAP_MAP(.func = element, .in = in, .in_size = BYTES, .out = out, .out_size = BYTES,
                    .n = N, .shared = &terms, .shared_size = sizeof terms);
    (void)run(session, &map);
    const double usual = run(session, &map).seconds;
    bench_sleep(0.3);
    static struct watch watch;
    watch = (struct watch){.link = link, .back_before = bench_link_back(link)};
    watch.fault = AT * usual;
    watch.begun = bench_now();
    atomic_store(&done_here, 0);
    memset(out, 0, sizeof out);
    if (fault == SERVICE_SLOWS)
        terms.slow_from = watch.begun + watch.fault;
    else if (fault != NO_FAULT)
        bench_link_fail(link, (enum bench_fault)fault, watch.begun + watch.fault);
    if (pthread_create(&watch.thread, NULL, look_on, &watch) != 0)
        fail("a map", "no thread to watch it");
    const struct fastmap_report report = run(session, &map);
    atomic_store(&watch.over, true);
    pthread_join(watch.thread, NULL);
    struct result result = {.wrong = !is_right(), .seconds = report.seconds, .fault = watch.fault};
    result.left = watch.left;
    result.optimum_s = watch.left * cost_s / WORKERS;
    result.ratio = (report.seconds - watch.fault) / result.optimum_s;
    result.dollars = report.dollars;
    result.cloud = report.cloud;
    (void)fastmap_explain(&report, result.why, sizeof result.why);
    print_looks(looks, fault, round, &watch);
    fastmap_finalize(session);
    bench_link_close(link);
    return result;
}

static double true_cost(void)
{
    struct fastmap_session *session = session_of(service_port, NULL, 0);
    const struct terms terms = {.cost_s = COST_S, .slow_from = 1e300};
    const struct fastmap_report report =
        run(session,
            &FASTMAP_MAP(.func = element, .in = in, .in_size = BYTES, .out = out, .out_size = BYTES,
                         .n = 100, .shared = &terms, .shared_size = sizeof terms));
    fastmap_finalize(session);
    return report.loop_seconds / 100;
}

static void print_faults(int rounds, FILE *looks)
{
    const double cost_s = true_cost();
    printf("%-22s %5s | %8s %8s %8s | %9s %8s %6s\n", "fault", "round", "at s", "left", "took s",
           "optimum s", "ratio", "cloud");
    for (int fault = 0; fault < FAULTS; fault++) {
        double ratios[ROUNDS_MOST];
        struct result r = {0};
        for (int round = 0; round < rounds; round++) {
            r = measure(fault, round, cost_s, looks);
            ratios[round] = r.ratio;
            printf("%-22s %5d | %8.3f %8.0f %8.3f | %9.3f %8.3f %5.0f%%%s\n", names[fault], round,
                   r.fault, r.left, r.seconds, r.optimum_s, r.ratio, 100.0 * (double)r.cloud / N,
                   r.wrong ? " WRONG RESULTS" : "");
            fflush(stdout);
        }
        printf("%-22s median of %d: %.3f times the optimum without the cloud from then on\n%s\n\n",
               names[fault], rounds, median(ratios, rounds), r.why);
    }
}

/* ---- What a map may cost ---- */

#define BURN 300
#define CHEAP 15 /* elements that cost a hundredth of the others */

static int burn(const void *from, void *to, const void *shared)
{
    const size_t i = fastmap_index();
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    const double begun = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
    double now = begun;
    while (now - begun < (i < CHEAP ? 0.0002 : 0.02)) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        now = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
    }
    (void)from, (void)shared;
    *(size_t *)to = i * 3;
    return 0;
}

static double balance(struct fastmap_session *session, const struct fastmap_map *map)
{
    struct fastmap_forecast forecast = FASTMAP_FORECAST();
    if (fastmap_estimate(session, map, &forecast) != 0)
        fail("an estimate", fastmap_last_error());
    return forecast.balance;
}

static bool print_spending(void)
{
    static const char *const caps[] = {"0.00002", "0.00004", "0.0001"};
    static size_t to[BURN];
    bool ok = true;
    printf("%12s | %12s %12s %6s\n", "max_charge", "reported", "by ledger", "cloud");
    for (size_t c = 0; c < sizeof caps / sizeof *caps; c++) {
        struct fastmap_session *session = session_of(service_port, caps[c], VCPUS);
        const struct fastmap_map map = FASTMAP_MAP(.func = burn, .out = to, .out_size = sizeof *to,
                                                   .n = BURN, .element_seconds = 0.0002 * 50);
        const double before = balance(session, &map);
        double dollars = 0;
        size_t cloud = 0, wrong = 0;
        for (int i = 0; i < 3; i++) {
            memset(to, 0, sizeof to);
            const struct fastmap_report report = run(session, &map);
            dollars += report.dollars;
            cloud += report.cloud;
            for (size_t k = 0; k < BURN; k++)
                wrong += to[k] != k * 3;
        }
        fastmap_finalize(session); /* settles */
        session = session_of(service_port, caps[c], VCPUS);
        const double charged = before - balance(session, &map);
        fastmap_finalize(session);
        const bool held = charged <= strtod(caps[c], NULL) + 1e-12 && wrong == 0;
        ok = ok && held;
        printf("%12s | %12.9f %12.9f %5.0f%%%s\n", caps[c], dollars, charged,
               100.0 * (double)cloud / (3 * BURN), held ? "" : " MORE THAN ALLOWED, OR WRONG");
        fflush(stdout);
    }
    return ok;
}

/* ---- A map that has nothing to gain ---- */

#define TINY 100
#define CALLS 4001

static int tiny(const void *from, void *to, const void *shared)
{
    double x = *(const double *)from;
    (void)shared;
    for (int i = 0; i < 300; i++)
        x = x * 0.999 + 0.001;
    *(double *)to = x;
    return 0;
}

static bool print_tiny(void)
{
    static double from[TINY], to[TINY], times[2][CALLS];
    int port;
    struct bench_link *link = link_of(TRIP_S, &port);
    struct fastmap_session *sessions[] = {session_of(port, NULL, 0), session_of(port, NULL, VCPUS)};
    const struct fastmap_map map = FASTMAP_MAP(.func = tiny, .in = from, .in_size = sizeof *from,
                                               .out = to, .out_size = sizeof *to, .n = TINY);
    for (int call = -100; call < CALLS; call++)
        for (int with = 0; with < 2; with++) {
            const int which = with ^ (call & 1);
            const double begun = bench_now();
            if (fastmap_session_run(sessions[which], &map, NULL) != 0)
                fail("a map", fastmap_last_error());
            if (call >= 0)
                times[which][call] = bench_now() - begun;
        }
    for (int with = 0; with < 2; with++)
        fastmap_finalize(sessions[with]);
    const double without_s = median(times[0], CALLS), with_s = median(times[1], CALLS);
    const int taken = bench_link_taken(link);
    bench_link_close(link);
    printf("a map of %d elements, median of %d calls: %.3f us without a token, %.3f us with one: "
           "%.3f times; connections made: %d\n",
           TINY, CALLS, 1e6 * without_s, 1e6 * with_s, with_s / without_s, taken);
    return taken == 0;
}

int main(int argc, char **argv)
{
    const char *url =
        getenv("FASTMAP_CLOUD_URL"); /* NOLINT(concurrency-mt-unsafe): no thread yet */
    const char *colon = url != NULL ? strrchr(url, ':') : NULL;
    const int rounds = argc > 1 ? atoi(argv[1]) : 3;    /* NOLINT(cert-err34-c): 0 is refused */
    service_port = colon != NULL ? atoi(colon + 1) : 0; /* NOLINT(cert-err34-c): 0 is refused */
    if (service_port <= 0 || rounds < 1 || rounds > ROUNDS_MOST || argc > 3) {
        fputs("usage: faults [ROUNDS [FILE for the looks]]\nbench/adaptive.sh --faults starts the "
              "service.\n",
              stderr);
        return 2;
    }
    is_here = true;
    fill();
    /* The ledger first: what links have cut off stays held for a while. */
    const bool cheap = print_spending();
    const bool free_of_charge = print_tiny();
    FILE *looks = argc > 2 ? fopen(argv[2], "w") : NULL;
    print_faults(rounds, looks);
    if (looks != NULL)
        fclose(looks);
    return cheap && free_of_charge ? 0 : 1;
}
