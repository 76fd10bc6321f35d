/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The claim-and-limit protocol, step by step: an owner is held inside one of its elements while the test
 * takes from its frame, so that each interleaving happens on purpose and in both claim modes. What the
 * host would decide (how much a thief gets, when to stop) is the test's to say.
 *
 * The linker routes the library's pthread_create(), calloc() and aligned_alloc() through here, so that
 * any one call can fail.
 */
#include <errno.h>
#include <fastmap.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "engine/policy.h"
#include "session.h"
#include "test.h"
#include "tier/local/frame.h"
#include "tier/local/local.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"

/* ---- What runs out ----------------------------------------------------------------------------- */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

static _Atomic int threads_left = INT_MAX;
static _Thread_local int callocs_left = INT_MAX;
static _Thread_local int aligned_left = INT_MAX;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    if (atomic_load(&threads_left) <= 0 || atomic_fetch_sub(&threads_left, 1) <= 0)
        return EAGAIN;
    return __real_pthread_create(thread, attributes, start, argument);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return callocs_left-- > 0 ? __real_calloc(count, bytes) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return aligned_left-- > 0 ? __real_aligned_alloc(alignment, bytes) : NULL;
}

/* ---- A host that does as it is told ------------------------------------------------------------ */

enum { GIVE_NONE, GIVE_HALF, GIVE_ALL };

static struct {
    int give;
    size_t block;
    bool stop_on_failure;
    _Atomic size_t failed;
} orders;

static size_t grant(size_t left, double cost_ns, double latency_ns)
{
    (void)cost_ns;
    (void)latency_ns;
    return orders.give == GIVE_NONE ? 0 : orders.give == GIVE_ALL ? left : (left + 1) / 2;
}

static size_t block_length(void *map, double cost_ns, size_t left)
{
    (void)map;
    (void)cost_ns;
    (void)left;
    return orders.block;
}

static double spin_ns(void)
{
    return 0;
}

static bool failed(void *map, size_t first, size_t count, int code)
{
    (void)map;
    (void)first;
    (void)code;
    atomic_fetch_add(&orders.failed, count);
    return orders.stop_on_failure;
}

static const struct fm_tier_host host = {
    .grant = grant, .block = block_length, .spin_ns = spin_ns, .failed = failed};

static void give(int how_much)
{
    fm_local_init(&host);
    orders.give = how_much;
    orders.block = 10;
    orders.stop_on_failure = false;
    atomic_store(&orders.failed, 0);
}

/* ---- Memory that runs out. First, while no thread has left a record that could be used again ------ */

static void check_memory_error(int error)
{
    CHECK_EQ_INT(error, FASTMAP_ERR_MEMORY);
    CHECK_CONTAINS(fastmap_last_error(), "memory");
}

TEST(a_session_that_gets_no_memory_says_so_and_is_not_made)
{
    struct fastmap_session *session = (struct fastmap_session *)&session;
    callocs_left = 0;
    check_memory_error(fastmap_init(NULL, &session));
    CHECK_TRUE(session == (struct fastmap_session *)&session, "session is set after a failure");
    callocs_left = INT_MAX;
}

static int indexing_element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    *(size_t *)out = fastmap_index();
    return 0;
}

static int run_indexing(struct fastmap_session *session, size_t out[3])
{
    const struct fastmap_map map =
        FASTMAP_MAP(.func = indexing_element, .out = out, .out_size = sizeof *out, .n = 3);
    out[2] = 77;
    return fastmap_session_run(session, &map, NULL);
}

static int nesting_without_memory(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    size_t inner[3];
    aligned_left = 0;
    check_memory_error(run_indexing((struct fastmap_session *)shared, inner));
    CHECK_EQ_SIZE(inner[2], 77);
    CHECK_EQ_SIZE(fastmap_index(), 1);
    aligned_left = INT_MAX;
    CHECK_EQ_INT(run_indexing((struct fastmap_session *)shared, inner), 0);
    CHECK_EQ_SIZE(inner[2], 2);
    CHECK_EQ_SIZE(fastmap_index(), 1);
    return 0;
}

static int nest_in_second(const void *in, void *out, const void *shared)
{
    return fastmap_index() == 1 ? nesting_without_memory(in, out, shared) : 0;
}

static void *thread_without_memory(void *session)
{
    size_t out[3];
    for (int allowed = 0; allowed < 2; allowed++) { /* the thread's record and its first frame */
        aligned_left = allowed;
        check_memory_error(run_indexing(session, out));
        CHECK_EQ_SIZE(out[2], 77);
    }
    aligned_left = 2;
    CHECK_EQ_INT(run_indexing(session, out), 0);
    CHECK_EQ_SIZE(out[2], 2);
    aligned_left = INT_MAX;
    const struct fastmap_map map = FASTMAP_MAP(.func = nest_in_second, .n = 3, .shared = session);
    CHECK_EQ_INT(fastmap_session_run(session, &map, NULL), 0);
    return NULL;
}

TEST(a_thread_that_gets_no_memory_computes_nothing_and_may_try_again)
{
    struct fastmap_session *session = session_of(1);
    pthread_t thread;
    pthread_create(&thread, NULL, thread_without_memory, session);
    pthread_join(thread, NULL);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}

/* ---- A scene: who computed what, and where somebody waits --------------------------------------- */

enum { N = 100, NOBODY = 0, OWNER = 1, THIEF = 2, SECOND = 3 };

/* Whoever computes the element says that it has begun it and waits to be let go. */
struct gate {
    sem_t begun;
    sem_t go;
    _Atomic bool shut;
};

struct scene {
    _Atomic int times[N];
    _Atomic int by[N];
    struct gate gates[N];
    _Atomic size_t fails; /* element that fails; N: none */
};

static _Thread_local int me = NOBODY;

static struct scene *new_scene(void)
{
    struct scene *scene = malloc(sizeof *scene);
    memset(scene, 0, sizeof *scene);
    for (int i = 0; i < N; i++) {
        sem_init(&scene->gates[i].begun, 0, 0);
        sem_init(&scene->gates[i].go, 0, 0);
    }
    atomic_store(&scene->fails, N);
    return scene;
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

static void shut(struct scene *scene, size_t i)
{
    atomic_store(&scene->gates[i].shut, true);
}

static void open_gate(struct scene *scene, size_t i)
{
    sem_post(&scene->gates[i].go);
}

static void check_frame(void)
{
    struct fm_local_frame *frame = fm_local_self->top;
    fm_local_lock(frame);
    const bool valid = fm_local_frame_is_valid(frame);
    fm_local_unlock(frame);
    CHECK_TRUE(valid, "start %zu, claim %zu, limit %zu, end %zu", atomic_load(&frame->start),
               atomic_load(&frame->claim), atomic_load(&frame->limit), atomic_load(&frame->end));
}

static int compute(struct scene *scene, size_t i)
{
    atomic_fetch_add(&scene->times[i], 1);
    atomic_store(&scene->by[i], me);
    if (atomic_load(&scene->gates[i].shut)) {
        sem_post(&scene->gates[i].begun);
        wait_for(&scene->gates[i].go);
    }
    return i == atomic_load(&scene->fails) ? 7 : 0;
}

static int element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    check_frame();
    return compute((struct scene *)shared, fm_local_index());
}

static int block(const void *in, void *out, size_t first, size_t count, const void *shared)
{
    (void)in;
    (void)out;
    check_frame();
    CHECK_EQ_SIZE(fm_local_index(), first);
    int code = 0;
    for (size_t i = first; i < first + count; i++)
        code |= compute((struct scene *)shared, i);
    return code;
}

/* ---- An owner in a thread of its own ----------------------------------------------------------- */

enum mode { UNFENCED, FENCED };

struct owner {
    struct scene *scene;
    struct fastmap_map work;
    enum mode mode;
    int width;
    bool unshared;
    struct fm_local_frame *frame;
    struct fm_local_result result;
    pthread_t thread;
    sem_t opened;
};

static double cost_of(enum mode mode)
{
    return mode == FENCED ? 2 * FM_LOCAL_FENCED_NS : 1.0;
}

static void *owner_main(void *argument)
{
    struct owner *owner = argument;
    me = OWNER;
    owner->frame = fm_local_open(&owner->work, 0, owner->width, NULL, 0);
    fm_local_set_cost(owner->frame, cost_of(owner->mode), fm_base_ticks() - 1000000);
    if (!owner->unshared)
        fm_local_share(owner->frame);
    sem_post(&owner->opened);
    fm_local_advance_all(owner->frame, cost_of(owner->mode));
    fm_local_finish(owner->frame, &owner->result);
    return NULL;
}

static void start_owner(struct owner *owner)
{
    owner->work.size = sizeof owner->work;
    owner->work.n = N;
    owner->work.shared = owner->scene;
    if (owner->work.block == NULL)
        owner->work.func = element;
    if (owner->width == 0)
        owner->width = 8;
    sem_init(&owner->opened, 0, 0);
    pthread_create(&owner->thread, NULL, owner_main, owner);
    wait_for(&owner->opened);
}

static void start_owner_held_in(struct owner *owner, size_t i)
{
    shut(owner->scene, i);
    start_owner(owner);
    wait_for(&owner->scene->gates[i].begun);
}

static void join_owner(struct owner *owner)
{
    pthread_join(owner->thread, NULL);
    sem_destroy(&owner->opened);
}

static bool steal(struct fm_local_frame *victim, const struct fm_local_map *only)
{
    return fm_local_steal(fm_local_thread_self(), victim, only);
}

/* A second thread, for scenes of three. */
struct thief {
    struct fm_local_frame *victim;
    int name;
    bool stole;
    pthread_t thread;
};

static void *thief_main(void *argument)
{
    struct thief *thief = argument;
    me = thief->name;
    thief->stole = steal(thief->victim, NULL);
    return NULL;
}

static void start_thief(struct thief *thief)
{
    pthread_create(&thief->thread, NULL, thief_main, thief);
}

/* Elements [first, end) were computed once, by the one given. */
static bool check_span(struct scene *scene, size_t first, size_t end, int by)
{
    for (size_t i = first; i < end; i++)
        if (!CHECK_TRUE(atomic_load(&scene->times[i]) == 1 && atomic_load(&scene->by[i]) == by,
                        "element %zu was computed %d times, last by %d, not once by %d", i,
                        atomic_load(&scene->times[i]), atomic_load(&scene->by[i]), by))
            return false;
    return true;
}

static size_t times_in_all(struct scene *scene)
{
    size_t sum = 0;
    for (int i = 0; i < N; i++)
        sum += (size_t)atomic_load(&scene->times[i]);
    return sum;
}

#define FOR_EACH_MODE(mode) for (enum mode mode = UNFENCED; mode <= FENCED; mode++)

/* ---- One owner, one thief ---------------------------------------------------------------------- */

TEST(a_thief_takes_the_upper_half_behind_an_owner_inside_an_element)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_HALF);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        start_owner_held_in(&owner, 9);
        CHECK_TRUE(steal(owner.frame, NULL), "mode %d: nothing stolen", mode);
        check_span(owner.scene, 55, N, THIEF);
        open_gate(owner.scene, 9);
        join_owner(&owner);
        check_span(owner.scene, 0, 55, OWNER);
        CHECK_EQ_SIZE(owner.result.stolen, 1);
        CHECK_EQ_INT(owner.result.workers, 2);
        CHECK_EQ_SIZE(owner.result.skipped, 0);
        free(owner.scene);
    }
}

TEST(a_thief_may_take_all_but_the_element_that_runs)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_ALL);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        start_owner_held_in(&owner, 0);
        CHECK_TRUE(steal(owner.frame, NULL), "mode %d: nothing stolen", mode);
        CHECK_TRUE(!steal(owner.frame, NULL), "mode %d: stolen where nothing was", mode);
        open_gate(owner.scene, 0);
        join_owner(&owner);
        check_span(owner.scene, 0, 1, OWNER);
        check_span(owner.scene, 1, N, THIEF);
        free(owner.scene);
    }
}

TEST(a_thief_that_is_granted_nothing_leaves_no_trace)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_NONE);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        start_owner_held_in(&owner, 3);
        CHECK_TRUE(!steal(owner.frame, NULL), "mode %d: stolen against orders", mode);
        open_gate(owner.scene, 3);
        join_owner(&owner);
        check_span(owner.scene, 0, N, OWNER);
        CHECK_EQ_SIZE(owner.result.stolen, 0);
        CHECK_EQ_INT(owner.result.workers, 1);
        free(owner.scene);
    }
}

TEST(nothing_can_be_taken_from_the_last_element)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_ALL);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        start_owner_held_in(&owner, N - 1);
        CHECK_TRUE(!steal(owner.frame, NULL), "mode %d: stolen where nothing was", mode);
        open_gate(owner.scene, N - 1);
        join_owner(&owner);
        check_span(owner.scene, 0, N, OWNER);
        free(owner.scene);
    }
}

TEST(a_span_is_taken_again_and_again_until_nothing_is_left)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_HALF);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        start_owner_held_in(&owner, 0);
        size_t spans = 0;
        while (steal(owner.frame, NULL))
            spans++;
        open_gate(owner.scene, 0);
        join_owner(&owner);
        check_span(owner.scene, 0, 1, OWNER);
        check_span(owner.scene, 1, N, THIEF);
        CHECK_EQ_SIZE(spans, 7); /* 99: 50, 25, 12, 6, 3, 2, 1 */
        CHECK_EQ_SIZE(owner.result.stolen, spans);
        free(owner.scene);
    }
}

TEST(a_block_that_runs_is_left_whole_and_the_next_is_shortened)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_ALL);
        me = THIEF;
        struct owner owner = {.scene = new_scene(), .mode = mode, .work.block = block};
        start_owner_held_in(&owner, 12);
        CHECK_TRUE(steal(owner.frame, NULL), "mode %d: nothing stolen", mode);
        check_span(owner.scene, 20, N, THIEF);
        open_gate(owner.scene, 12);
        join_owner(&owner);
        check_span(owner.scene, 0, 20, OWNER);
        free(owner.scene);

        give(GIVE_HALF);
        orders.block = 30;
        owner = (struct owner){.scene = new_scene(), .mode = mode, .work.block = block};
        start_owner_held_in(&owner, 29);
        CHECK_TRUE(steal(owner.frame, NULL), "mode %d: nothing stolen", mode);
        CHECK_TRUE(steal(owner.frame, NULL), "mode %d: nothing stolen the second time", mode);
        open_gate(owner.scene, 29);
        join_owner(&owner);
        check_span(owner.scene, 0, 47, OWNER); /* 70 behind it: 35 and 18 are gone */
        check_span(owner.scene, 47, N, THIEF);
        free(owner.scene);
    }
}

/* ---- Who may take ------------------------------------------------------------------------------ */

TEST(a_map_that_is_not_shared_is_left_alone)
{
    give(GIVE_ALL);
    me = THIEF;
    struct owner owner = {.scene = new_scene(), .unshared = true};
    start_owner_held_in(&owner, 0);
    CHECK_TRUE(!steal(owner.frame, NULL), "stolen from a map that is not shared");
    open_gate(owner.scene, 0);
    join_owner(&owner);
    check_span(owner.scene, 0, N, OWNER);
    free(owner.scene);
}

TEST(a_thread_that_waits_for_one_map_takes_nothing_from_another)
{
    give(GIVE_ALL);
    me = THIEF;
    struct fm_local_map another = {0};
    struct owner owner = {.scene = new_scene()};
    start_owner_held_in(&owner, 0);
    CHECK_TRUE(!steal(owner.frame, &another), "stolen from a map of no concern");
    CHECK_TRUE(steal(owner.frame, &owner.frame->own), "nothing stolen from the map itself");
    open_gate(owner.scene, 0);
    join_owner(&owner);
    free(owner.scene);
}

TEST(no_more_threads_compute_than_the_map_is_wide)
{
    for (int width = 2; width <= 3; width++) {
        give(GIVE_HALF);
        me = SECOND;
        struct owner owner = {.scene = new_scene(), .width = width};
        shut(owner.scene, 60);
        start_owner_held_in(&owner, 0);
        struct thief first = {.victim = owner.frame, .name = THIEF}; /* takes [50, 100) */
        start_thief(&first);
        wait_for(&owner.scene->gates[60].begun);
        const bool stole = steal(owner.frame, NULL);
        CHECK_TRUE(stole == (width == 3), "width %d: stole %d", width, stole);
        open_gate(owner.scene, 60);
        pthread_join(first.thread, NULL);
        CHECK_TRUE(steal(owner.frame, NULL), "width %d: no place after one was left", width);
        open_gate(owner.scene, 0);
        join_owner(&owner);
        CHECK_EQ_INT(owner.result.workers, width);
        CHECK_EQ_SIZE(times_in_all(owner.scene), N);
        free(owner.scene);
    }
}

/* The frame in which a thread computes what it stole. */
static struct fm_local_frame *frame_of(size_t at, const struct fm_local_map *map)
{
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL; f = atomic_load(&f->inner))
            if (atomic_load(&f->active) && fm_local_frame_map(f) == map &&
                atomic_load(&f->claim) == at + 1)
                return f;
    return NULL;
}

TEST(what_was_stolen_can_be_stolen_from_the_thief)
{
    give(GIVE_HALF);
    me = SECOND;
    struct owner owner = {.scene = new_scene()};
    shut(owner.scene, 50);
    start_owner_held_in(&owner, 0);
    struct thief first = {.victim = owner.frame, .name = THIEF}; /* takes [50, 100) */
    start_thief(&first);
    wait_for(&owner.scene->gates[50].begun);
    struct fm_local_frame *victim = frame_of(50, &owner.frame->own);
    if (CHECK_TRUE(victim != NULL, "no frame runs element 50"))
        CHECK_TRUE(steal(victim, NULL), "nothing stolen from the thief");
    check_span(owner.scene, 75, N, SECOND);
    open_gate(owner.scene, 0); /* the owner must wait for the thief and help it */
    open_gate(owner.scene, 50);
    pthread_join(first.thread, NULL);
    join_owner(&owner);
    CHECK_EQ_SIZE(times_in_all(owner.scene), N);
    CHECK_EQ_INT(owner.result.workers, 3);
    free(owner.scene);
}

/* The owner is done first and takes back from its helper; then the helper is done and takes from the
   owner: the owner is no helper of its own, so there is a place for it even in a map two wide. */
TEST(an_owner_that_helps_does_not_use_up_a_place)
{
    give(GIVE_HALF);
    me = NOBODY;
    struct owner owner = {.scene = new_scene(), .width = 2};
    shut(owner.scene, 50);
    shut(owner.scene, 75);
    start_owner_held_in(&owner, 0);
    struct thief first = {.victim = owner.frame, .name = THIEF}; /* takes [50, 100) */
    start_thief(&first);
    wait_for(&owner.scene->gates[50].begun);
    open_gate(owner.scene, 0);
    wait_for(&owner.scene->gates[75].begun); /* the owner took [75, 100) */
    CHECK_EQ_INT(atomic_load(&owner.scene->by[75]), OWNER);
    open_gate(owner.scene, 50);
    pthread_join(first.thread, NULL);
    struct fm_local_frame *frame = frame_of(75, &owner.frame->own);
    struct thief again = {.victim = frame, .name = SECOND};
    if (CHECK_TRUE(frame != NULL, "no frame runs element 75")) {
        start_thief(&again);
        pthread_join(again.thread, NULL);
    }
    CHECK_TRUE(again.stole, "the owner's helping took the helper's place");
    open_gate(owner.scene, 75);
    join_owner(&owner);
    CHECK_EQ_SIZE(times_in_all(owner.scene), N);
    CHECK_EQ_INT(owner.result.workers, 2);
    free(owner.scene);
}

/* ---- Stopping ---------------------------------------------------------------------------------- */

TEST(after_a_stop_no_element_is_begun_and_what_is_missing_is_counted)
{
    FOR_EACH_MODE(mode)
    {
        give(GIVE_HALF);
        orders.stop_on_failure = true;
        me = NOBODY;
        struct owner owner = {.scene = new_scene(), .mode = mode};
        atomic_store(&owner.scene->fails, 60);
        shut(owner.scene, 60);
        start_owner_held_in(&owner, 9);
        struct thief first = {.victim = owner.frame, .name = THIEF}; /* takes [55, 100) */
        start_thief(&first);
        wait_for(&owner.scene->gates[60].begun);
        open_gate(owner.scene, 60);
        pthread_join(first.thread, NULL);
        CHECK_TRUE(!steal(owner.frame, NULL), "mode %d: stolen after the stop", mode);
        open_gate(owner.scene, 9);
        join_owner(&owner);
        check_span(owner.scene, 0, 10, OWNER);
        check_span(owner.scene, 55, 61, THIEF);
        CHECK_EQ_SIZE(times_in_all(owner.scene), 16);
        CHECK_EQ_SIZE(owner.result.skipped, N - 16);
        CHECK_EQ_SIZE(atomic_load(&orders.failed), 1);
        free(owner.scene);
    }
}

/* ---- Advancing --------------------------------------------------------------------------------- */

TEST(advancing_computes_as_many_as_asked_and_says_what_is_left)
{
    give(GIVE_NONE);
    me = OWNER;
    struct scene *scene = new_scene();
    const struct fastmap_map work = FASTMAP_MAP(.func = element, .n = N, .shared = scene);
    CHECK_EQ_SIZE(fm_local_index(), SIZE_MAX);
    CHECK_TRUE(!fm_local_inside(), "inside before the map");
    struct fm_local_frame *frame = fm_local_open(&work, 0, 1, NULL, 0);
    CHECK_TRUE(fm_local_inside(), "not inside the map");
    CHECK_EQ_SIZE(fm_local_advance(frame, 1), 99);
    CHECK_EQ_SIZE(fm_local_advance(frame, 9), 90);
    CHECK_EQ_SIZE(times_in_all(scene), 10);
    CHECK_EQ_SIZE(fm_local_advance(frame, 90), 0);
    CHECK_TRUE(!atomic_load(&frame->active), "the frame is open after its last element");
    struct fm_local_result result;
    fm_local_finish(frame, &result);
    check_span(scene, 0, N, OWNER);
    CHECK_EQ_SIZE(result.skipped, 0);
    CHECK_EQ_SIZE(result.stolen, 0);
    CHECK_EQ_INT(result.workers, 1);
    CHECK_TRUE(!fm_local_inside(), "inside after the map");
    free(scene);
}

TEST(advancing_past_the_end_stops_there)
{
    give(GIVE_NONE);
    me = OWNER;
    for (int blocks = 0; blocks < 2; blocks++) {
        struct scene *scene = new_scene();
        struct fastmap_map work = FASTMAP_MAP(.n = N, .shared = scene);
        if (blocks)
            work.block = block;
        else
            work.func = element;
        struct fm_local_frame *frame = fm_local_open(&work, 0, 1, NULL, 0);
        CHECK_EQ_SIZE(fm_local_advance(frame, SIZE_MAX), 0);
        fm_local_finish(frame, NULL);
        check_span(scene, 0, N, OWNER);
        free(scene);
    }
}

TEST(without_expedited_barriers_every_claim_is_fenced)
{
    give(GIVE_HALF);
    fm_local_asymmetric = false;
    me = THIEF;
    struct owner owner = {.scene = new_scene(), .mode = UNFENCED};
    start_owner_held_in(&owner, 9);
    CHECK_TRUE(atomic_load(&owner.frame->fenced), "the frame is not fenced");
    CHECK_TRUE(steal(owner.frame, NULL), "nothing stolen");
    open_gate(owner.scene, 9);
    join_owner(&owner);
    check_span(owner.scene, 0, 55, OWNER);
    check_span(owner.scene, 55, N, THIEF);
    free(owner.scene);
}

/* ---- Races, on purpose not controlled ------------------------------------------------------------ */

enum { RACE_N = 20000, RACE_ROUNDS = 60 };

struct race {
    _Atomic unsigned char times[RACE_N];
    _Atomic(struct fm_local_frame *) frame;
    _Atomic bool over;
    unsigned steps;
};

static int racing_element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct race *race = (struct race *)shared;
    for (volatile unsigned i = 0; i < race->steps; i++)
        ;
    atomic_fetch_add_explicit(&race->times[fm_local_index()], 1, memory_order_relaxed);
    return 0;
}

static void *racing_thief(void *argument)
{
    struct race *race = argument;
    while (!atomic_load(&race->over)) {
        struct fm_local_frame *frame = atomic_load(&race->frame);
        if (frame != NULL)
            (void)steal(frame, NULL);
    }
    return NULL;
}

TEST(each_element_is_computed_once_however_often_thieves_come)
{
    struct race *race = calloc(1, sizeof *race);
    pthread_t thieves[3];
    give(GIVE_HALF);
    for (int i = 0; i < 3; i++)
        pthread_create(&thieves[i], NULL, racing_thief, race);
    for (int round = 0; round < RACE_ROUNDS; round++) {
        race->steps = round % 2 ? 0 : 2000;
        memset(race->times, 0, sizeof race->times);
        const struct fastmap_map work =
            FASTMAP_MAP(.func = racing_element, .n = round % 2 ? RACE_N : RACE_N / 20,
                        .shared = race);
        struct fm_local_frame *frame = fm_local_open(&work, 0, 4, NULL, 0);
        fm_local_set_cost(frame, 1.0, fm_base_ticks());
        fm_local_share(frame);
        atomic_store(&race->frame, frame);
        fm_local_advance_all(frame, round % 4 < 2 ? 1.0 : 2 * FM_LOCAL_FENCED_NS);
        fm_local_finish(frame, NULL);
        bool good = true;
        for (size_t i = 0; i < work.n && good; i++)
            good = CHECK_TRUE(atomic_load(&race->times[i]) == 1,
                              "round %d: element %zu of %zu was computed %d times", round, i,
                              work.n, atomic_load(&race->times[i]));
        if (!good)
            break;
    }
    atomic_store(&race->over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(thieves[i], NULL);
    free(race);
}

/* ---- Nested maps ------------------------------------------------------------------------------- */

struct nest {
    struct scene *inner;
    _Atomic(struct fm_local_map *) map;
    size_t before;
    size_t after;
};

static int nesting_element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    struct nest *nest = (struct nest *)shared;
    if (fm_local_index() != 3)
        return 0;
    const struct fastmap_map work = FASTMAP_MAP(.func = element, .n = N, .shared = nest->inner);
    nest->before = fm_local_index();
    struct fm_local_frame *frame = fm_local_open(&work, 0, 8, NULL, 0);
    fm_local_set_cost(frame, 1.0, fm_base_ticks() - 1000000);
    fm_local_share(frame);
    atomic_store(&nest->map, &frame->own);
    fm_local_advance_all(frame, 1.0);
    fm_local_finish(frame, NULL);
    nest->after = fm_local_index();
    return 0;
}

static void *outer_main(void *argument)
{
    struct nest *nest = argument;
    const struct fastmap_map work = FASTMAP_MAP(.func = nesting_element, .n = 5, .shared = nest);
    me = OWNER;
    struct fm_local_frame *frame = fm_local_open(&work, 0, 8, NULL, 0);
    fm_local_advance_all(frame, 1.0);
    fm_local_finish(frame, NULL);
    return NULL;
}

TEST(elements_of_a_nested_map_can_be_stolen_by_who_waits_for_the_outer_one)
{
    give(GIVE_HALF);
    me = THIEF;
    struct nest nest = {.inner = new_scene()};
    pthread_t outer;
    shut(nest.inner, 0);
    pthread_create(&outer, NULL, outer_main, &nest);
    wait_for(&nest.inner->gates[0].begun);
    const struct fm_local_map *map = atomic_load(&nest.map);
    if (CHECK_TRUE(map->parent != NULL, "the nested map has no parent"))
        CHECK_TRUE(fm_local_steal_from(fm_local_thread_self(), map->owner, map->parent),
                   "nothing stolen from the nested map");
    check_span(nest.inner, 50, N, THIEF);
    open_gate(nest.inner, 0);
    pthread_join(outer, NULL);
    check_span(nest.inner, 0, 50, OWNER);
    CHECK_EQ_SIZE(nest.before, 3);
    CHECK_EQ_SIZE(nest.after, 3);
    free(nest.inner);
}

/* ---- What the keeper sees ------------------------------------------------------------------------ */

static bool note_sight(void *context, const struct fm_local_sight *sight)
{
    struct fm_local_sight *seen = context;
    if (sight->n == N)
        *seen = *sight;
    return false;
}

TEST(the_watch_sees_how_far_a_map_is_and_nothing_after_its_end)
{
    give(GIVE_HALF);
    me = THIEF;
    struct owner owner = {.scene = new_scene()};
    struct fm_local_sight seen = {0};
    start_owner_held_in(&owner, 9);
    CHECK_EQ_INT(fm_local_watch(note_sight, &seen), 1);
    CHECK_EQ_SIZE(seen.done, 10);
    CHECK_EQ_SIZE(seen.unclaimed, 90);
    CHECK_TRUE(seen.shared && !seen.nested, "shared %d, nested %d", seen.shared, seen.nested);
    (void)steal(owner.frame, NULL);
    CHECK_EQ_INT(fm_local_watch(note_sight, &seen), 1);
    CHECK_EQ_SIZE(seen.done, 55);
    CHECK_EQ_SIZE(seen.unclaimed, 45);
    open_gate(owner.scene, 9);
    join_owner(&owner);
    seen.n = 0;
    CHECK_EQ_INT(fm_local_watch(note_sight, &seen), 0);
    CHECK_EQ_SIZE(seen.n, 0);
    free(owner.scene);
}

static bool let_in(void *context, const struct fm_local_sight *sight)
{
    (void)context;
    (void)sight;
    return true;
}

TEST(the_watch_can_let_others_into_a_map_whose_owner_is_inside_an_element)
{
    give(GIVE_HALF);
    me = THIEF;
    struct owner owner = {.scene = new_scene(), .unshared = true};
    start_owner_held_in(&owner, 0);
    CHECK_TRUE(!steal(owner.frame, NULL), "stolen before anybody was let in");
    CHECK_EQ_INT(fm_local_watch(let_in, NULL), 1);
    CHECK_TRUE(steal(owner.frame, NULL), "nothing stolen after that");
    open_gate(owner.scene, 0);
    join_owner(&owner);
    check_span(owner.scene, 0, 50, OWNER);
    check_span(owner.scene, 50, N, THIEF);
    free(owner.scene);
}

/* ---- Elements that leave the process ------------------------------------------------------------ */

static int noting_element(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)out;
    *(size_t *)shared = fm_local_index();
    return 0;
}

TEST(what_is_left_of_a_map_with_a_course_is_counted_within_it_and_taken_by_work_and_number)
{
    enum { FEW = 5 };
    uint32_t *place = malloc(FEW * sizeof *place); /* not a byte more than it needs */
    double *before = malloc((FEW + 1) * sizeof *before);
    size_t index = SIZE_MAX, first = SIZE_MAX;
    const struct fastmap_map work = FASTMAP_MAP(.func = noting_element, .n = FEW, .shared = &index);
    const struct fm_tier_course course = {.place = place, .before = before};
    for (int i = 0; i < FEW; i++) {
        place[i] = (uint32_t)(FEW - 1 - i);
        before[i] = i * 0.25;
    }
    before[FEW] = FEW;
    give(GIVE_NONE);
    struct fm_local_frame *frame = fm_local_open_course(&work, 0, &course, 1, NULL, 1e6);
    CHECK_EQ_SIZE(fm_local_unbegun(frame), FEW);
    CHECK_TRUE(fm_local_unbegun_work(frame) == FEW, "%g", fm_local_unbegun_work(frame));
    /* What can be seen of a frame between two looks at it: this map, and another one's elements. */
    struct fm_local_frame *other = fm_local_frame_push(fm_local_thread_self());
    if (!CHECK_TRUE(other != NULL, "no memory"))
        return;
    fm_local_frame_open(other, &frame->own, 0, 100000, true, memory_order_release);
    CHECK_EQ_SIZE(fm_local_unbegun(frame), FEW);
    CHECK_TRUE(fm_local_unbegun_work(frame) == FEW, "%g", fm_local_unbegun_work(frame));
    atomic_store(&other->active, false);
    fm_local_frame_pop(other);
    CHECK_EQ_SIZE(fm_local_take(frame, 4, 3, &first), 1); /* the dearest is worth it alone */
    CHECK_EQ_SIZE(first, FEW - 1);
    CHECK_EQ_SIZE(fm_local_take(frame, 4, 3, &first), 3); /* of the others all would not be */
    CHECK_EQ_SIZE(first, 1);
    fm_local_complete(frame);
    fm_local_finish(frame, NULL);
    CHECK_EQ_SIZE(index, FEW - 1);
    free(place);
    free(before);
}

/* ---- No threads to be had ---------------------------------------------------------------------- */

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        ;
}

static int sleeping_element(const void *in, void *out, const void *shared)
{
    (void)in;
    sleep_ms(*(const int *)shared);
    *(int *)out = (int)fastmap_index();
    return 0;
}

static int workers_of_sleeping(struct fastmap_session *session, int ms)
{
    int out[8] = {0};
    struct fastmap_report report = FASTMAP_REPORT();
    const struct fastmap_map map =
        FASTMAP_MAP(.func = sleeping_element, .out = out, .out_size = sizeof *out, .n = 8,
                    .shared = &ms, .element_seconds = 1e-3 * ms);
    CHECK_EQ_INT(fastmap_session_run(session, &map, &report), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ_INT(out[i], i);
    return report.workers;
}

TEST(a_process_that_may_have_no_threads_computes_in_line_and_asks_again_later)
{
    fm_local_init(&fm_engine_host);
    struct fastmap_session *session = session_of(4);
    for (int allowed = 0; allowed < 2; allowed++) { /* not even a keeper; a keeper but no worker */
        atomic_store(&threads_left, allowed);
        CHECK_EQ_INT(workers_of_sleeping(session, 10), 1);
        CHECK_EQ_INT(fm_local_pool_size(), 0);
    }
    atomic_store(&threads_left, INT_MAX);
    CHECK_EQ_INT(workers_of_sleeping(session, 100), 4);
    CHECK_EQ_INT(fastmap_finalize(session), 0);
}
