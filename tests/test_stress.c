/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random maps against the plain loop: results byte for byte, each element computed once, failures
 * counted. What is random comes from the seed that is printed; FM_STRESS_SEED (environment) sets another.
 * What threads do in between is not, which is the point of many rounds.
 */
#include <fastmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "test.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { ROUNDS = 300, CALLERS = 6, ROUNDS_CALLER = 60, CHURN = 40, SCALE = 1 };
#else
enum { ROUNDS = 2000, CALLERS = 8, ROUNDS_CALLER = 200, CHURN = 200, SCALE = 4 };
#endif

enum { N_MOST = 5000, SIZE_MOST = 100, WIDTHS = 5 };

static const int widths[WIDTHS] = {1, 2, 3, 4, 8};

/* ---- Chance ------------------------------------------------------------------------------------ */

static uint64_t seed_of(const char *test)
{
    const char *set = getenv("FM_STRESS_SEED");
    const uint64_t seed = set != NULL ? strtoull(set, NULL, 0) : 1;
    printf("# %s: FM_STRESS_SEED=%llu\n", test, (unsigned long long)seed);
    return seed * 0x9e3779b97f4a7c15u + 1;
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- A map and what it should give ------------------------------------------------------------- */

enum shape { UNIFORM, RAMP_UP, RAMP_DOWN, HEAVY_FRONT, HEAVY_END, SCATTERED, GIANT, SHAPES };

struct plan {
    uint64_t seed;
    size_t n;
    size_t in_size;
    size_t out_size;
    bool in_place;
    bool block;
    bool nested;
    enum shape shape;
    unsigned work;       /* steps of an element of usual cost */
    unsigned fail_every; /* every such element fails, in a block its first; 0: none */
    double hint_s;
    _Atomic unsigned char *times; /* computed, by element; NULL in the plain loop */
};

static unsigned steps_of(const struct plan *p, size_t i)
{
    const unsigned heavy = 50 * p->work;
    switch (p->shape) {
    case RAMP_UP: return (unsigned)(2 * p->work * i / p->n);
    case RAMP_DOWN: return (unsigned)(2 * p->work * (p->n - i) / p->n);
    case HEAVY_FRONT: return i < p->n / 16 ? heavy : p->work;
    case HEAVY_END: return i >= p->n - p->n / 16 ? heavy : p->work;
    case SCATTERED: return mix(p->seed + i) % 32 == 0 ? heavy : p->work / 4;
    case GIANT: return i == p->seed % p->n ? 20 * heavy : p->work / 8;
    default: return p->work;
    }
}

static uint64_t spin(uint64_t x, unsigned steps)
{
    while (steps-- > 0)
        x = x * 6364136223846793005u + 1442695040888963407u;
    return x;
}

static bool fails(const struct plan *p, size_t i)
{
    return p->fail_every != 0 && mix(p->seed ^ i) % p->fail_every == 0;
}

static int inner(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    *(uint64_t *)out = mix(fastmap_index());
    return 0;
}

/* A map inside an element; in the plain loop too, where it runs in line. */
static uint64_t nest(uint64_t x)
{
    uint64_t out[5];
    if (fastmap(inner, NULL, 0, out, sizeof *out, 5, NULL, 0) != 0)
        return 0;
    for (int j = 0; j < 5; j++)
        x += out[j];
    return x;
}

static int compute(const struct plan *p, size_t i, const unsigned char *in, unsigned char *out)
{
    uint64_t x = p->seed + i;
    for (size_t j = 0; j < p->in_size; j++)
        x = mix(x + in[j]);
    x = spin(x, steps_of(p, i));
    if (p->nested && i % 16 == 0)
        x = nest(x);
    for (size_t j = 0; j < p->out_size; j++)
        out[j] = (unsigned char)(mix(x + j) >> 56);
    if (p->times != NULL)
        atomic_fetch_add(&p->times[i], 1);
    return fails(p, i) ? (int)(i % 1000) + 1 : 0;
}

static int element(const void *in, void *out, const void *shared)
{
    return compute(shared, fastmap_index(), in, out);
}

static int block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    const struct plan *p = shared;
    const unsigned char *from = in;
    unsigned char *to = out;
    if (fastmap_index() != first)
        return -1;
    for (size_t k = 0; k < count; k++)
        (void)compute(p, first + k, in == NULL ? NULL : from + k * p->in_size,
                      out == NULL ? NULL : to + k * p->out_size);
    return 0;
}

static struct plan draw_plan(uint64_t *state)
{
    struct plan p = {.seed = draw(state)};
    p.n = draw(state) % ((size_t)1 << draw(state) % 13) % (N_MOST + 1);
    p.in_size = draw(state) % 8 == 0 ? 0 : 1 + draw(state) % SIZE_MOST;
    p.out_size = draw(state) % 16 == 0 ? 0 : 1 + draw(state) % SIZE_MOST;
    p.in_place = p.in_size > 0 && draw(state) % 4 == 0;
    if (p.in_place)
        p.out_size = p.in_size;
    p.block = draw(state) % 3 == 0;
    p.nested = draw(state) % 8 == 0;
    p.shape = draw(state) % SHAPES;
    p.work = (unsigned)(draw(state) % (1u << draw(state) % 10)) * SCALE;
    p.fail_every = draw(state) % 4 == 0 ? 1 + (unsigned)(draw(state) % 64) : 0;
    if (p.block)
        p.fail_every = 0;
    p.hint_s = draw(state) % 2 ? 0 : 1e-9 * (double)(1 + draw(state) % 100000);
    return p;
}

/* Everything a round compares. */
struct round {
    unsigned char in[N_MOST * SIZE_MOST];
    unsigned char expected[N_MOST * SIZE_MOST];
    unsigned char out[N_MOST * SIZE_MOST];
    _Atomic unsigned char times[N_MOST];
};

static size_t loop(const struct plan *plan, struct round *r)
{
    struct plan p = *plan;
    size_t failed = 0;
    p.times = NULL;
    for (size_t i = 0; i < p.n; i++)
        failed += compute(&p, i, r->in + i * p.in_size, r->expected + i * p.out_size) != 0;
    return failed;
}

static bool check_failures(const struct plan *p, const struct fastmap_report *report)
{
    size_t i = 0;
    for (size_t k = 0; k < report->failures_listed; k++, i++) {
        while (i < p->n && !fails(p, i))
            i++;
        if (!CHECK_EQ_SIZE(report->failures[k].index, i) ||
            !CHECK_EQ_INT(report->failures[k].code, (int)(i % 1000) + 1))
            return false;
    }
    const size_t listed =
        report->failed < FASTMAP_REPORT_FAILURES ? report->failed : FASTMAP_REPORT_FAILURES;
    return CHECK_EQ_SIZE(report->failures_listed, listed);
}

static bool check_once(const struct plan *p, const struct round *r)
{
    for (size_t i = 0; i < p->n; i++)
        if (atomic_load(&r->times[i]) != 1)
            return CHECK_TRUE(false, "element %zu of %zu was computed %d times", i, p->n,
                              atomic_load(&r->times[i]));
    return true;
}

static bool run_round(uint64_t *state, struct round *r, struct fastmap_session *session, int width)
{
    struct plan p = draw_plan(state);
    for (size_t i = 0; i < p.n * p.in_size; i++)
        r->in[i] = (unsigned char)(mix(p.seed + i) >> 48);
    memset(r->times, 0, sizeof r->times);
    const size_t failed = loop(&p, r);
    unsigned char *out = p.in_place ? r->in : r->out;
    p.times = r->times;
    const struct fastmap_map map =
        FASTMAP_MAP(.func = p.block ? NULL : element, .block = p.block ? block : NULL,
                    .in = p.in_size > 0 ? r->in : NULL, .in_size = p.in_size,
                    .out = p.out_size > 0 ? out : NULL, .out_size = p.out_size, .n = p.n,
                    .shared = &p, .element_seconds = p.hint_s);
    struct fastmap_report report = FASTMAP_REPORT();
    const int error = fastmap_session_run(session, &map, &report);
    bool good = CHECK_EQ_INT(error, failed > 0 ? FASTMAP_ERR_ELEMENT : 0);
    good = CHECK_EQ_SIZE(report.elements, p.n) && good;
    good = CHECK_EQ_SIZE(report.failed, failed) && good;
    good = CHECK_TRUE(report.workers <= width, "%d workers of %d", report.workers, width) && good;
    good = check_failures(&p, &report) && good;
    good = check_once(&p, r) && good;
    good = CHECK_EQ_MEM(out, r->expected, p.n * p.out_size) && good;
    if (!good)
        printf(
            "# plan: n %zu, in %zu, out %zu, in place %d, block %d, nested %d, shape %d, work %u, "
            "fails 1/%u, hint %g s, width %d\n",
            p.n, p.in_size, p.out_size, p.in_place, p.block, p.nested, p.shape, p.work,
            p.fail_every, p.hint_s, width);
    return good;
}

/* ---- Sessions ---------------------------------------------------------------------------------- */

static struct fastmap_session *sessions[WIDTHS];

static void open_sessions(void)
{
    for (int i = 0; i < WIDTHS; i++)
        sessions[i] = session_of(widths[i]);
}

static void close_sessions(void)
{
    for (int i = 0; i < WIDTHS; i++)
        CHECK_EQ_INT(fastmap_finalize(sessions[i]), 0);
}

static bool run_rounds(uint64_t state, int rounds)
{
    struct round *r = malloc(sizeof *r);
    bool good = r != NULL;
    for (int i = 0; i < rounds && good; i++) {
        const int w = (int)(draw(&state) % WIDTHS);
        good = run_round(&state, r, sessions[w], widths[w]);
        if (!good)
            printf("# round %d\n", i);
    }
    free(r);
    return good;
}

/* ---- Tests ------------------------------------------------------------------------------------- */

TEST(random_maps_of_one_thread_give_what_the_loop_gives)
{
    const uint64_t seed = seed_of("one thread");
    open_sessions();
    run_rounds(seed, ROUNDS);
    close_sessions();
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

static void *caller_main(void *argument)
{
    run_rounds(*(uint64_t *)argument, ROUNDS_CALLER);
    return NULL;
}

TEST(random_maps_of_many_threads_give_what_the_loop_gives)
{
    const uint64_t seed = seed_of("many threads");
    pthread_t callers[CALLERS];
    uint64_t seeds[CALLERS];
    open_sessions();
    for (int i = 0; i < CALLERS; i++) {
        seeds[i] = mix(seed + (uint64_t)i);
        pthread_create(&callers[i], NULL, caller_main, &seeds[i]);
    }
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    close_sessions();
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

static void *churn_main(void *argument)
{
    uint64_t state = *(uint64_t *)argument;
    struct round *r = malloc(sizeof *r);
    for (int i = 0; r != NULL && i < CHURN; i++) {
        const int width = widths[draw(&state) % WIDTHS];
        struct fastmap_session *session = session_of(width);
        const bool good = run_round(&state, r, session, width);
        if (!CHECK_EQ_INT(fastmap_finalize(session), 0) || !good)
            break;
    }
    free(r);
    return NULL;
}

/* The process-wide session, which nested maps use, goes on existing. */
TEST(sessions_may_come_and_go_while_others_compute)
{
    const uint64_t seed = seed_of("sessions");
    pthread_t callers[3];
    uint64_t seeds[3];
    for (int i = 0; i < 3; i++) {
        seeds[i] = mix(seed + 100 + (uint64_t)i);
        pthread_create(&callers[i], NULL, churn_main, &seeds[i]);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(callers[i], NULL);
    CHECK_EQ_INT(fastmap_global_finalize(), 0);
}

/* No session is left between two rounds: keeper and pool end and are made again each time. */
TEST(the_pool_may_end_and_begin_again_and_again)
{
    uint64_t state = seed_of("pool");
    struct round *r = malloc(sizeof *r);
    for (int i = 0; r != NULL && i < CHURN; i++) {
        struct fastmap_session *session = session_of(4);
        const bool good = run_round(&state, r, session, 4);
        CHECK_EQ_INT(fastmap_finalize(session), 0);
        CHECK_EQ_INT(fastmap_global_finalize(), 0);
        if (!good)
            break;
    }
    free(r);
}
