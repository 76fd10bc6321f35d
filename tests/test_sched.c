/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scheduler's decisions as properties over many offers, drawn from a fixed seed: a grant is never
 * worse than its neighbours or than none, and nothing that a clock can produce leaves the range that
 * callers rely on.
 */
#include <math.h>
#include <stdint.h>

#include "sched/course.h"
#include "sched/share.h"
#include "sched/split.h"
#include "sched/spread.h"
#include "test.h"
#include "tier/course.h"

#define SIZE_MOST ((size_t)-1)

/* ---- Offers ------------------------------------------------------------------------------------ */

static uint64_t state = 20260101;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Log-uniform over [10^low, 10^high). */
static double draw_time(double low, double high)
{
    const double u = (double)(draw() >> 11) / 9007199254740992.0;
    return pow(10, low + u * (high - low));
}

static struct fm_sched_offer draw_offer(void)
{
    return (struct fm_sched_offer){
        .left = draw() % ((size_t)1 << draw() % 40) + draw() % 4,
        .begun = (double)(draw() % 3) * 0.5,
        .owner_ns = draw_time(-1, 9),
        .thief_ns = draw_time(-1, 9),
        .transport_ns = draw() % 2 ? 0 : draw_time(-1, 7),
        .latency_ns = draw() % 4 ? draw_time(0, 10) : 0,
    };
}

#define OFFER_FORMAT "left %zu, begun %g, owner %g, thief %g, transport %g, latency %g: grant %zu"
#define OFFER_VALUES(o, grant) \
    (o).left, (o).begun, (o).owner_ns, (o).thief_ns, (o).transport_ns, (o).latency_ns, (grant)

/* ---- The split equation ------------------------------------------------------------------------ */

TEST(a_grant_is_never_worse_than_its_neighbours_or_than_none)
{
    for (int i = 0; i < 200000; i++) {
        const struct fm_sched_offer o = draw_offer();
        const size_t x = fm_sched_split(&o);
        if (!CHECK_TRUE(x <= o.left, OFFER_FORMAT, OFFER_VALUES(o, x)))
            return;
        const double with = fm_sched_makespan_ns(&o, x) * (1 - 1e-12);
        bool best = with <= fm_sched_makespan_ns(&o, 0);
        if (x > 0)
            best = best && with <= fm_sched_makespan_ns(&o, x - 1);
        if (x < o.left)
            best = best && with <= fm_sched_makespan_ns(&o, x + 1);
        if (!CHECK_TRUE(best, OFFER_FORMAT, OFFER_VALUES(o, x)))
            return;
    }
}

TEST(a_longer_latency_never_gets_a_larger_grant)
{
    for (int i = 0; i < 50000; i++) {
        struct fm_sched_offer o = draw_offer();
        const size_t before = fm_sched_split(&o);
        o.latency_ns += draw_time(0, 9);
        const size_t after = fm_sched_split(&o);
        if (!CHECK_TRUE(after <= before, OFFER_FORMAT ", with less latency %zu",
                        OFFER_VALUES(o, after), before))
            return;
    }
}

TEST(of_two_long_elements_the_thief_gets_one)
{
    const struct fm_sched_offer o = {
        .left = 2, .owner_ns = 1e9, .thief_ns = 1e9, .latency_ns = 1e4};
    CHECK_EQ_SIZE(fm_sched_split(&o), 1);
}

TEST(the_one_element_behind_a_long_one_that_runs_is_given_away)
{
    const struct fm_sched_offer o = {
        .left = 1, .begun = 0.5, .owner_ns = 1e9, .thief_ns = 1e9, .latency_ns = 1e4};
    CHECK_EQ_SIZE(fm_sched_split(&o), 1);
}

TEST(a_thief_that_comes_after_the_end_gets_nothing)
{
    const struct fm_sched_offer o = {
        .left = 1000, .owner_ns = 10, .thief_ns = 1, .latency_ns = 10001};
    CHECK_EQ_SIZE(fm_sched_split(&o), 0);
}

TEST(equal_sides_without_latency_share_evenly)
{
    struct fm_sched_offer o = {.left = 1000, .owner_ns = 5, .thief_ns = 5};
    CHECK_EQ_SIZE(fm_sched_split(&o), 500);
    o.thief_ns = 15; /* a third of the owner's speed: a quarter of the work */
    CHECK_EQ_SIZE(fm_sched_split(&o), 250);
    o.thief_ns = 5;
    o.transport_ns = 10; /* moving it counts like computing it */
    CHECK_EQ_SIZE(fm_sched_split(&o), 250);
}

TEST(the_owners_last_element_is_only_taken_where_that_ends_earlier)
{
    struct fm_sched_offer o = {.left = 1, .owner_ns = 100, .thief_ns = 100, .latency_ns = 1};
    CHECK_EQ_SIZE(fm_sched_split(&o), 0);
    o.thief_ns = 10;
    CHECK_EQ_SIZE(fm_sched_split(&o), 1);
}

TEST(no_offer_however_strange_gets_more_than_there_is)
{
    const double strange[] = {0, -1, 5e-324, 1, 1e300, INFINITY, -INFINITY, NAN};
    const size_t lefts[] = {0, 1, 2, 1000, SIZE_MOST / 2, SIZE_MOST - 1, SIZE_MOST};
    enum { STRANGE = sizeof strange / sizeof *strange, LEFTS = sizeof lefts / sizeof *lefts };
    for (int i = 0; i < STRANGE * STRANGE * STRANGE * LEFTS; i++) {
        const struct fm_sched_offer o = {
            .left = lefts[i % LEFTS],
            .owner_ns = strange[i / LEFTS % STRANGE],
            .thief_ns = strange[i / LEFTS / STRANGE % STRANGE],
            .latency_ns = strange[i / LEFTS / STRANGE / STRANGE],
        };
        const size_t x = fm_sched_split(&o);
        if (!CHECK_TRUE(x <= o.left, OFFER_FORMAT, OFFER_VALUES(o, x)))
            return;
    }
}

TEST(what_costs_nothing_or_is_not_known_is_not_given_away)
{
    struct fm_sched_offer o = {.left = 100};
    CHECK_EQ_SIZE(fm_sched_split(&o), 0);
    o.owner_ns = NAN;
    o.thief_ns = 1;
    CHECK_EQ_SIZE(fm_sched_split(&o), 0);
    o.owner_ns = 1;
    o.thief_ns = INFINITY;
    CHECK_EQ_SIZE(fm_sched_split(&o), 0);
}

/* ---- Batches and blocks ------------------------------------------------------------------------ */

TEST(an_unknown_cost_means_one_element)
{
    const double unknown[] = {0, -1, NAN};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ_SIZE(fm_sched_batch(unknown[i], 1000, 1000000), 1);
        CHECK_EQ_SIZE(fm_sched_block(unknown[i], 1000000), 1);
    }
}

TEST(a_batch_is_never_empty_and_grows_by_at_most_a_factor)
{
    for (int i = 0; i < 50000; i++) {
        const double cost_ns = draw_time(-3, 10);
        const double target_ns = draw_time(2, 6);
        const size_t done = draw() % ((size_t)1 << draw() % 34);
        const size_t batch = fm_sched_batch(cost_ns, target_ns, done);
        const bool fits = batch == 1 || (double)batch * cost_ns <= target_ns * (1 + 1e-9);
        const bool careful = batch <= 8 * (done + 1);
        if (!CHECK_TRUE(batch >= 1 && fits && careful,
                        "cost %g ns, target %g ns, done %zu: batch %zu", cost_ns, target_ns, done,
                        batch))
            return;
    }
}

TEST(a_batch_of_elements_that_cost_nothing_measurable_stays_bounded)
{
    CHECK_EQ_SIZE(fm_sched_batch(5e-324, 1e6, 0), 8);
    CHECK_EQ_SIZE(fm_sched_batch(5e-324, 1e6, 100), 512);
    CHECK_EQ_SIZE(fm_sched_batch(5e-324, 1e6, 100000), 100000);
    CHECK_EQ_SIZE(fm_sched_batch(INFINITY, 1e6, 100000), 1);
}

TEST(a_block_lasts_long_enough_to_hide_its_call_and_short_enough_to_share)
{
    for (int i = 0; i < 50000; i++) {
        const double cost_ns = draw_time(-2, 8);
        const size_t left = draw() % ((size_t)1 << draw() % 40);
        const size_t block = fm_sched_block(cost_ns, left);
        const double ns = (double)block * cost_ns;
        const bool short_enough = block == 1 || ns <= 50000.0 * (1 + 1e-9);
        const bool long_enough = ns > 1000.0 - cost_ns;
        if (!CHECK_TRUE(block >= 1 && short_enough && long_enough,
                        "cost %g ns, left %zu: block %zu", cost_ns, left, block))
            return;
    }
}

TEST(blocks_taper_off_towards_the_end)
{
    size_t before = fm_sched_block(10, 1000000);
    for (size_t left = 1000000; left > 0; left -= 1 + left / 16) {
        const size_t block = fm_sched_block(10, left);
        if (!CHECK_TRUE(block <= before, "left %zu: block %zu after %zu", left, block, before))
            return;
        before = block;
    }
    CHECK_EQ_SIZE(before, 100);
}

/* ---- Waking ------------------------------------------------------------------------------------ */

static const struct fm_sched_wake wake = {.caller_ns = 10000, .latency_ns = 50000};

TEST(a_parcel_is_worth_its_way_and_shrinks_towards_the_end)
{
    const double cost_ns = 1000;
    CHECK_EQ_SIZE(fm_sched_parcel(0, 1000000, 8), 1);   /* unknown */
    CHECK_EQ_SIZE(fm_sched_parcel(1e8, 1000000, 8), 1); /* long */
    size_t before = SIZE_MAX;
    for (size_t left = 100000; left > 0; left = left * 7 / 8) {
        const size_t parcel = fm_sched_parcel(cost_ns, left, 8);
        CHECK_TRUE((double)parcel * cost_ns >= FM_SCHED_PARCEL_NS, "%zu elements", parcel);
        CHECK_TRUE((double)parcel * cost_ns <= 4 * FM_SCHED_PARCEL_NS, "%zu elements", parcel);
        CHECK_TRUE(parcel <= before, "%zu after %zu", parcel, before);
        before = parcel;
    }
}

TEST(a_parcel_of_large_elements_is_small)
{
    CHECK_EQ_SIZE(fm_sched_parcel(1, 1000000, (size_t)1 << 20), 16);
    CHECK_EQ_SIZE(fm_sched_parcel(1, 1000000, (size_t)1 << 30), 1);
    CHECK_TRUE(fm_sched_parcel(1, 1000000, 0) > 100000, "without bytes nothing limits it");
}

TEST(asking_for_help_pays_only_for_work_that_outlasts_it)
{
    const struct {
        size_t left;
        double begun;
        double cost_ns;
        bool pays;
    } cases[] = {
        {0, 0, 1e9, false},   {1, 0, 1e9, false},    {1, 0.5, 1e9, true},
        {1, 0.5, 1e4, false}, {2, 0, 1e6, true},     {1000, 0, 1, false},
        {1000, 0, 60, false}, {1000, 0, 200, true},  {1000000, 0, 1, true},
        {1000, 0, 0, false},  {1000, 0, NAN, false}, {1000, 0, INFINITY, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double gain =
            fm_sched_gain_ns(cases[i].left, cases[i].begun, cases[i].cost_ns, &wake);
        CHECK_TRUE((gain > 0) == cases[i].pays, "%zu + %g elements of %g ns: gain %g ns",
                   cases[i].left, cases[i].begun, cases[i].cost_ns, gain);
    }
}

TEST(a_gain_is_never_more_than_half_the_work)
{
    for (int i = 0; i < 50000; i++) {
        const size_t left = draw() % ((size_t)1 << draw() % 40);
        const double cost_ns = draw_time(-1, 8);
        const struct fm_sched_wake price = {draw_time(1, 5), draw_time(1, 6)};
        const double gain = fm_sched_gain_ns(left, 0, cost_ns, &price);
        if (!CHECK_TRUE(gain >= 0 && gain <= 0.5 * (double)left * cost_ns,
                        "%zu elements of %g ns, wake %g and %g ns: gain %g ns", left, cost_ns,
                        price.caller_ns, price.latency_ns, gain))
            return;
    }
}

TEST(missed_gains_pay_for_a_wake_once_they_reach_its_price)
{
    struct fm_sched_rental rental = {0};
    for (int map = 1; map <= 13; map++) {
        fm_sched_rental_gap(&rental, 1000);
        const bool due = fm_sched_rental_due(&rental, 5000, &wake);
        CHECK_TRUE(due == (map == 12), "map %d: due %d, missed %g ns", map, due, rental.missed_ns);
    }
}

TEST(gains_missed_before_a_long_pause_do_not_count)
{
    struct fm_sched_rental rental = {0};
    for (int map = 0; map < 100; map++) {
        fm_sched_rental_gap(&rental, 1e9);
        CHECK_TRUE(!fm_sched_rental_due(&rental, 5000, &wake), "map %d: missed %g ns", map,
                   rental.missed_ns);
    }
}

TEST(the_cost_seen_in_a_short_shared_map_is_believed_only_if_it_is_less_than_expected)
{
    CHECK_TRUE(fm_sched_believes(false, 1e3, 10, 5), "alone, dearer");
    CHECK_TRUE(fm_sched_believes(false, 1e3, 5, 10), "alone, cheaper");
    CHECK_TRUE(!fm_sched_believes(true, 1e3, 10, 5), "shared, short, dearer");
    CHECK_TRUE(!fm_sched_believes(true, 1e3, 10, 10), "shared, short, as expected");
    CHECK_TRUE(fm_sched_believes(true, 1e3, 5, 10), "shared, short, cheaper");
    CHECK_TRUE(fm_sched_believes(true, 2 * FM_SCHED_SHORT_NS, 10, 5), "shared, long, dearer");
}

TEST(idle_threads_spin_longer_while_maps_come_often_but_not_for_the_out_of_reach)
{
    struct fm_sched_rental rental = {0};
    const double price = fm_sched_spin_ns(&rental);
    for (int map = 0; map < 100; map++)
        fm_sched_rental_gap(&rental, 500000);
    const double often = fm_sched_spin_ns(&rental);
    CHECK_TRUE(often > 500000 && often < 5000000, "maps every 500000 ns: spin %g ns", often);
    for (int map = 0; map < 100; map++)
        fm_sched_rental_gap(&rental, 1e9);
    const double rarely = fm_sched_spin_ns(&rental);
    CHECK_TRUE(rarely == price, "maps every second: spin %g ns, not %g", rarely, price);
    CHECK_TRUE(price >= wake.latency_ns, "spin %g ns, a wake takes %g", price, wake.latency_ns);
}

/* ---- What costs to come may be ------------------------------------------------------------------ */

static double draw_unit(void)
{
    return ((double)(draw() >> 11) + 0.5) / 9007199254740992.0;
}

static double draw_normal(void)
{
    const double radius = sqrt(-2 * log(draw_unit()));
    return radius * cos(2 * acos(-1) * draw_unit());
}

static const char *const shape_names[] = {"equal",     "uniform",        "exponential",
                                          "lognormal", "one in ten x10", "power law"};
#define SHAPES (sizeof shape_names / sizeof *shape_names)

static double draw_cost(size_t shape)
{
    switch (shape) {
    case 0: return 1;
    case 1: return 2 * draw_unit();
    case 2: return -log(draw_unit());
    case 3: return exp(draw_normal());
    case 4: return draw_unit() < 0.1 ? 10 : 1;
    default: return pow(draw_unit(), -1 / 2.5);
    }
}

static double draw_sum(size_t shape, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += draw_cost(shape);
    return sum;
}

/* Elements one by one, as where they are long, or in batches that grow, as where they are short. */
static struct fm_sched_spread see(size_t shape, size_t seen, bool batches)
{
    struct fm_sched_spread spread = {0};
    while (spread.elements < (double)seen) {
        const size_t count = batches ? (size_t)spread.elements / 16 + 1 : 1;
        fm_sched_spread_note(&spread, count, draw_sum(shape, count));
    }
    return spread;
}

#define TRIALS 400
#define TO_COME 1000

TEST(the_range_of_an_estimate_holds_in_nine_of_ten_maps_whatever_their_costs_look_like)
{
    static const size_t seen[] = {3, 10, 30, 300};
    for (size_t kind = 0; kind < 2 * SHAPES * 4; kind++) {
        const size_t shape = kind / 8;
        const size_t n = seen[kind % 4];
        int held = 0;
        double width = 0;
        for (int trial = 0; trial < TRIALS; trial++) {
            const struct fm_sched_spread spread = see(shape, n, kind / 4 % 2);
            const double factor = fm_sched_spread_factor(&spread, TO_COME);
            const double estimate = TO_COME * spread.mean_ns;
            const double sum = draw_sum(shape, TO_COME);
            held += sum >= estimate / factor * (1 - 1e-9) && sum <= estimate * factor * (1 + 1e-9);
            width += factor / TRIALS;
        }
        CHECK_TRUE(held >= TRIALS * 9 / 10, "%s, %zu seen: held in %d of %d, factor %.2f",
                   shape_names[shape], n, held, TRIALS, width);
        CHECK_TRUE(n < 300 || width < 1.25, "%s, %zu seen: factor %.2f", shape_names[shape], n,
                   width);
    }
}

TEST(a_range_narrows_with_what_is_seen_and_is_wide_where_nothing_is)
{
    struct fm_sched_spread spread = {0};
    CHECK_TRUE(fm_sched_spread_factor(&spread, 100) == 2, "%g",
               fm_sched_spread_factor(&spread, 100));
    double last = INFINITY;
    for (int i = 0; i < 1000; i++) {
        fm_sched_spread_note(&spread, 1, 5);
        const double factor = fm_sched_spread_factor(&spread, SIZE_MOST);
        CHECK_TRUE(factor >= 1 && factor <= last, "%g after %g", factor, last);
        last = factor;
    }
    CHECK_TRUE(last < 1.02, "%g for a thousand equal ones", last);
    fm_sched_spread_note(&spread, 0, 5);
    CHECK_EQ_SIZE(spread.samples, 1000);
    CHECK_TRUE(fm_sched_spread_factor(&spread, 0) == 1, "nothing to come costs something");
}

/* ---- Courses ---- */

#define COURSE 500

static void draw_costs(float *cost_ns, size_t n, size_t seed)
{
    for (size_t i = 0; i < n; i++)
        cost_ns[i] = (float)(1e5 * exp(2 * sin((double)(i * 7919 + seed))));
}

TEST(a_course_is_ascending_and_has_each_element_once)
{
    static float cost_ns[COURSE];
    static struct fm_sched_costed elements[COURSE];
    bool seen[COURSE] = {false};
    draw_costs(cost_ns, COURSE, 1);
    cost_ns[3] = cost_ns[4] = cost_ns[400];
    for (size_t i = 0; i < COURSE; i++)
        elements[i] = (struct fm_sched_costed){.cost_ns = cost_ns[i], .index = (uint32_t)i};
    fm_sched_course_sort(elements, COURSE);
    for (size_t i = 0; i < COURSE; i++) {
        CHECK_TRUE(!seen[elements[i].index], "%u twice", elements[i].index);
        seen[elements[i].index] = true;
        CHECK_TRUE(i == 0 || elements[i - 1].cost_ns < elements[i].cost_ns ||
                       (elements[i - 1].cost_ns == elements[i].cost_ns &&
                        elements[i - 1].index < elements[i].index),
                   "%zu is out of order", i);
    }
}

TEST(as_many_elements_are_cut_off_a_course_as_come_nearest_to_the_work)
{
    static uint32_t place[COURSE];
    static double before[COURSE + 1];
    static float cost_ns[COURSE];
    draw_costs(cost_ns, COURSE, 2);
    for (size_t i = 0; i < COURSE; i++)
        before[i + 1] = before[i] + cost_ns[i] * 1e-5;
    const struct fm_tier_course course = {.place = place, .before = before};
    for (size_t i = 0; i < 2000; i++) {
        const size_t first = i * 37 % COURSE;
        const size_t end = first + 1 + i * 101 % (COURSE - first);
        const double work = (before[end] - before[first]) * (double)(i % 11) / 10;
        const size_t low = fm_tier_course_lowest(&course, first, end, work);
        const size_t high = fm_tier_course_highest(&course, first, end, work);
        CHECK_TRUE(low >= 1 && low <= end - first && high >= 1 && high <= end - first,
                   "%zu and %zu of %zu", low, high, end - first);
        for (int more = -1; more <= 1; more += 2) {
            const size_t lower = low + (size_t)more, higher = high + (size_t)more;
            const double low_off = fabs(before[first + low] - before[first] - work);
            const double high_off = fabs(before[end] - before[end - high] - work);
            if (lower >= 1 && lower <= end - first)
                CHECK_TRUE(low_off <= fabs(before[first + lower] - before[first] - work) + 1e-9,
                           "%zu of [%zu, %zu) is nearer than %zu", lower, first, end, low);
            if (higher >= 1 && higher <= end - first)
                CHECK_TRUE(high_off <= fabs(before[end] - before[end - higher] - work) + 1e-9,
                           "%zu of [%zu, %zu) is nearer than %zu", higher, first, end, high);
        }
    }
    CHECK_EQ_SIZE(fm_tier_course_lowest(&course, 5, 5, 1), 0);
    CHECK_EQ_SIZE(fm_tier_course_highest(NULL, 5, 5, 1), 0);
    CHECK_EQ_SIZE(fm_tier_course_lowest(NULL, 5, 9, 3), 3);
    CHECK_EQ_SIZE(fm_tier_course_highest(NULL, 5, 9, 1e30), 4);
    CHECK_EQ_SIZE(fm_tier_course_highest(NULL, 5, 9, 0.2), 1);
}

TEST(costs_persist_where_they_are_predicted_better_than_by_their_mean)
{
    static float last[COURSE], now[COURSE];
    draw_costs(last, COURSE, 3);
    for (size_t i = 0; i < COURSE; i++)
        now[i] = last[i] * (i % 2 == 0 ? 2.4F : 2.0F); /* a slower machine, and some noise */
    CHECK_TRUE(fm_sched_course_persists(last, now, COURSE), "20%% of noise");
    for (size_t i = 0; i < COURSE; i += 3)
        last[i] = 0;
    for (size_t i = 0; i < COURSE; i += 5)
        now[i] = 0;
    CHECK_TRUE(fm_sched_course_persists(last, now, COURSE), "though some are unknown");
    draw_costs(now, COURSE, 77);
    CHECK_TRUE(!fm_sched_course_persists(last, now, COURSE), "drawn anew");
    for (size_t i = 4; i < COURSE; i++)
        now[i] = 0;
    CHECK_TRUE(fm_sched_course_persists(last, now, COURSE), "four elements say nothing");
}

TEST(what_is_unknown_of_a_course_is_the_mean_and_noise_is_no_order)
{
    float cost_ns[] = {0, 100, 0, 300};
    float nothing[] = {0, 0};
    CHECK_TRUE(fm_sched_course_fill(cost_ns, 4), "nothing known of 2");
    CHECK_TRUE(cost_ns[0] == 200 && cost_ns[2] == 200 && cost_ns[3] == 300, "%g", cost_ns[0]);
    CHECK_TRUE(!fm_sched_course_fill(nothing, 2), "something known of nothing");
    CHECK_TRUE(!fm_sched_course_is_flat(cost_ns, 4), "1 to 3 is flat");
    const float alike[] = {100, 105, 98, 101};
    CHECK_TRUE(fm_sched_course_is_flat(alike, 4), "5%% of noise");
}

/* ---- Plans ---- */

#define MOST_ELEMENTS 200
#define MOST_WORKERS 12
#define MACHINES 5000

/* A plan, and what it was made for. */
struct planned {
    struct fm_sched_machine machine;
    struct fm_sched_costed elements[MOST_ELEMENTS];
    struct fm_sched_costed order[MOST_ELEMENTS];
    uint32_t owner[MOST_ELEMENTS];
    size_t n, border;
};

static struct fm_sched_machine draw_machine(void)
{
    return (struct fm_sched_machine){
        .here = 1 + (int)(draw() % MOST_WORKERS),
        .there = 1 + (int)(draw() % MOST_WORKERS),
        .latency_ns = draw() % 4 ? draw_time(3, 10) : 0,
        .transport_ns = draw() % 4 ? draw_time(0, 7) : 0,
    };
}

static void draw_elements(struct planned *p)
{
    const size_t shape = draw() % SHAPES;
    const double mean_ns = draw_time(5, 9);
    p->n = draw() % (MOST_ELEMENTS + 1);
    for (size_t i = 0; i < p->n; i++)
        p->elements[i] = (struct fm_sched_costed){.cost_ns = (float)(mean_ns * draw_cost(shape)),
                                                  .index = (uint32_t)i};
    fm_sched_course_sort(p->elements, p->n);
}

static void plan(struct planned *p)
{
    struct fm_sched_worker workers[2 * MOST_WORKERS];
    p->border = fm_sched_course_plan(&p->machine, p->elements, p->n, p->owner, workers, p->order);
}

#define PLAN_FORMAT "%zu elements, %d here, %d there, transport %g, latency %g: border %zu"
#define PLAN_VALUES(p)                                                        \
    (p)->n, (p)->machine.here, (p)->machine.there, (p)->machine.transport_ns, \
        (p)->machine.latency_ns, (p)->border

static bool has_each_once(const struct planned *p)
{
    bool seen[MOST_ELEMENTS] = {false};
    for (size_t i = 0; i < p->n; i++) {
        const uint32_t index = p->order[i].index;
        if (index >= p->n || seen[index])
            return false;
        seen[index] = true;
    }
    return true;
}

static bool is_earlier(const struct fm_sched_costed *a, const struct fm_sched_costed *b)
{
    return a->cost_ns < b->cost_ns || (a->cost_ns == b->cost_ns && a->index < b->index);
}

/* Each worker's elements are a stretch, one after the other in the order of the workers, and fall; those that
   go there rise. */
static bool is_in_stretches(const struct planned *p)
{
    uint32_t owner[MOST_ELEMENTS];
    for (size_t i = 0; i < p->n; i++)
        owner[p->elements[i].index] = p->owner[i];
    for (size_t i = 0; i < p->n; i++) {
        const uint32_t who = owner[p->order[i].index];
        if (who > (uint32_t)p->machine.here ||
            (who == (uint32_t)p->machine.here) != (i >= p->border))
            return false;
        if (i == 0)
            continue;
        const uint32_t before = owner[p->order[i - 1].index];
        const bool rises = is_earlier(&p->order[i - 1], &p->order[i]);
        if (who < before || (who == before && rises != (i >= p->border)))
            return false;
    }
    return true;
}

static double *first_free(double *free_ns, int workers)
{
    double *first = free_ns;
    for (int i = 1; i < workers; i++)
        if (free_ns[i] < *first)
            first = free_ns + i;
    return first;
}

/* When the last element of those that go there is back: sent one after the other, the last of the order
   first, each to whoever there is free. */
static double there_ns(const struct planned *p)
{
    double free_ns[MOST_WORKERS] = {0};
    double sent_ns = 0, last_ns = 0;
    for (size_t i = p->n; i-- > p->border;) {
        double *first = first_free(free_ns, p->machine.there);
        sent_ns += p->machine.transport_ns;
        *first = fmax(*first, sent_ns + p->machine.latency_ns / 2) + p->order[i].cost_ns;
        last_ns = fmax(last_ns, *first + p->machine.transport_ns + p->machine.latency_ns / 2);
    }
    return last_ns;
}

/* When the plan is done: every worker here does its stretch. */
static double plan_ns(const struct planned *p)
{
    double free_ns[MOST_WORKERS] = {0};
    double last_ns = there_ns(p);
    for (size_t i = 0; i < p->n; i++)
        if (p->owner[i] < (uint32_t)p->machine.here)
            free_ns[p->owner[i]] += p->elements[i].cost_ns;
    for (int i = 0; i < p->machine.here; i++)
        last_ns = fmax(last_ns, free_ns[i]);
    return last_ns;
}

/* When the elements are done where nothing goes there: the dearest first, each to whoever is free. */
static double alone_ns(const struct planned *p)
{
    double free_ns[MOST_WORKERS] = {0};
    double last_ns = 0;
    for (size_t i = p->n; i-- > 0;) {
        double *first = first_free(free_ns, p->machine.here);
        *first += p->elements[i].cost_ns;
        last_ns = fmax(last_ns, *first);
    }
    return last_ns;
}

TEST(a_plan_gives_each_element_once_a_falling_stretch_to_each_worker_and_a_rising_one_away)
{
    for (int i = 0; i < MACHINES; i++) {
        static struct planned p;
        p.machine = draw_machine();
        draw_elements(&p);
        plan(&p);
        if (!CHECK_TRUE(p.border <= p.n && has_each_once(&p), PLAN_FORMAT, PLAN_VALUES(&p)) ||
            !CHECK_TRUE(is_in_stretches(&p), PLAN_FORMAT, PLAN_VALUES(&p)))
            return;
    }
}

/* Sums of the same costs in another order differ in their last digits. */
#define NOT_MORE(a, b) ((a) <= (b) * (1 + 1e-9))

TEST(a_plan_is_never_done_later_than_the_same_elements_here_alone)
{
    int sooner = 0;
    for (int i = 0; i < MACHINES; i++) {
        static struct planned p;
        p.machine = draw_machine();
        draw_elements(&p);
        plan(&p);
        const double ns = plan_ns(&p);
        const double alone = alone_ns(&p);
        if (!CHECK_TRUE(NOT_MORE(ns, alone), PLAN_FORMAT ", %g ns, alone %g", PLAN_VALUES(&p), ns,
                        alone))
            return;
        sooner += ns < 0.9 * alone;
    }
    CHECK_TRUE(sooner > MACHINES / 4, "sooner in %d of %d", sooner, MACHINES);
}

TEST(a_plan_over_a_link_that_costs_nothing_is_as_good_as_one_for_all_workers_in_one_place)
{
    for (int i = 0; i < MACHINES; i++) {
        static struct planned p;
        p.machine = draw_machine();
        p.machine.latency_ns = p.machine.transport_ns = 0;
        draw_elements(&p);
        plan(&p);
        double sum = 0;
        for (size_t k = 0; k < p.n; k++)
            sum += p.elements[k].cost_ns;
        const double workers = p.machine.here + p.machine.there;
        const double dearest = p.n > 0 ? p.elements[p.n - 1].cost_ns : 0;
        const double most = sum / workers + dearest * (1 - 1 / workers); /* Graham's bound */
        const bool some_go = p.n > (size_t)p.machine.here;
        if (!CHECK_TRUE((p.border < p.n) == some_go, PLAN_FORMAT, PLAN_VALUES(&p)) ||
            !CHECK_TRUE(NOT_MORE(plan_ns(&p), most), PLAN_FORMAT ", %g ns, at most %g",
                        PLAN_VALUES(&p), plan_ns(&p), most))
            return;
    }
}

TEST(nothing_goes_there_where_the_way_alone_takes_as_long_as_all_elements_here)
{
    for (int i = 0; i < MACHINES; i++) {
        static struct planned p;
        p.machine = draw_machine();
        draw_elements(&p);
        const double way_ns = alone_ns(&p) * (1 + 1e-6);
        const bool by_latency = i % 2 == 0;
        p.machine.latency_ns = by_latency ? way_ns : 0;
        p.machine.transport_ns = by_latency ? 0 : way_ns / 2;
        plan(&p);
        if (!CHECK_TRUE(p.border == p.n, PLAN_FORMAT, PLAN_VALUES(&p)))
            return;
    }
}

TEST(where_only_one_side_computes_all_elements_are_planned_for_it)
{
    for (int i = 0; i < MACHINES; i++) {
        static struct planned p;
        p.machine = draw_machine();
        const bool here = i % 2 == 0;
        *(here ? &p.machine.there : &p.machine.here) = 0;
        draw_elements(&p);
        plan(&p);
        if (!CHECK_TRUE(p.border == (here ? p.n : 0), PLAN_FORMAT, PLAN_VALUES(&p)) ||
            !CHECK_TRUE(has_each_once(&p) && is_in_stretches(&p), PLAN_FORMAT, PLAN_VALUES(&p)))
            return;
        if (here && !CHECK_TRUE(NOT_MORE(plan_ns(&p), alone_ns(&p)), PLAN_FORMAT ", %g ns, %g",
                                PLAN_VALUES(&p), plan_ns(&p), alone_ns(&p)))
            return;
    }
}
