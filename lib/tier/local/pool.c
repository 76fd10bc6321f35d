/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The worker threads: one for each core that the process may use, bound to it, made when a map first
 * needs them and shared by all maps, sessions and application threads.
 *
 * Who computes
 * ------------
 * There is a worker for every core, also for the one on which the caller runs; that worker leaves its
 * core to the caller (yields_core). So wherever the application's threads are, each core has one
 * computing thread. In addition, each caller at work keeps one worker idle (has_room), so that the two
 * together are never more than the pool has threads.
 *
 * The first worker is made before the topology has been read, which takes milliseconds: it helps
 * meanwhile, wherever the system runs it, and is bound when it is idle next.
 *
 * Sleeping and waking
 * -------------------
 * An idle worker spins on `state`, whose upper half every call for help increments, then sleeps on its
 * own word:
 *
 *     worker:  asleep = 1;  if (the calls are still those it knows) futex_wait(asleep, 1)
 *     caller:  state+CALL;  if (asleep) { asleep = 0; futex_wake(asleep) }
 *
 * All four accesses are sequentially consistent: at least one side sees the other, no call is lost. A
 * call wakes one sleeper, and none where somebody spins; a thief whose prize is worth sharing wakes the
 * next (fm_local_pool_begin), so the caller pays for one wake however many join.
 *
 * `mutex` protects growth, stop and fork. Everything else is atomic counters that decide only whether a
 * thread tries to help, never who owns an element: they are relaxed.
 */
#include "tier/local/pool.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/thread.h"
#include "tier/local/futex.h"
#include "tier/local/local.h"
#include "tier/local/run.h"
#include "tier/local/steal.h"
#include "tier/local/thread.h"
#include "tier/local/topology.h"

#define SEVERAL (-2)
#define WORKERS_MOST 4096
#define SHORT_NS 20000.0 /* shorter spans are not noted: see is_noted */
#define FIRST_SCAN_NS 1000.0
#define LAST_SCAN_NS 50000.0
#define FIRST_WAKE_CALLER_NS 10000.0 /* guesses until one has been measured */
#define FIRST_WAKE_LATENCY_NS 50000.0
#define MAKE_CALLER_NS 60000.0 /* to make the keeper make the pool */
#define MAKE_LATENCY_NS 200000.0

struct worker {
    alignas(FM_LOCAL_LINE) _Atomic uint32_t asleep;
    _Atomic bool spins;           /* counted in pool.spinning */
    _Atomic uint64_t woken_ticks; /* when it was last woken, 0 once noted */
    int index;
    int near;    /* victims of `order` that are near */
    int *order;  /* the other workers, nearest first; NULL: by index */
    int ordered; /* workers that `order` covers, this one included */
    pthread_t thread;
    _Atomic(struct fm_local_thread *) record;
};

static struct {
    pthread_mutex_t mutex;
    _Atomic(struct fm_local_plan *) plan; /* NULL until the pool is made */
    enum fastmap_bind bind;
    _Atomic(struct worker *) workers[WORKERS_MOST];
    _Atomic int core_callers[WORKERS_MOST]; /* by core of the plan */
    _Atomic int count;
    _Atomic int cores; /* 0: no plan yet */
    _Atomic int default_width;
    _Atomic bool stopping;
    _Atomic double wake_caller_ns;
    _Atomic double wake_latency_ns;
    /* Written by callers, all in one go: calls for help, callers, shared maps. Spinning workers watch it. */
    alignas(FM_LOCAL_LINE) _Atomic uint64_t state;
    _Atomic int caller_cpu; /* of the only one, -1 unknown; else SEVERAL: see core_callers */

    /* Written by workers. Those that neither spin nor sleep compute, or look for work. */
    alignas(FM_LOCAL_LINE) _Atomic int spinning;
    _Atomic int sleeping;
} pool = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .wake_caller_ns = FIRST_WAKE_CALLER_NS,
    .wake_latency_ns = FIRST_WAKE_LATENCY_NS,
};

/* The parts of `state`: 32 bits of calls, 16 of application threads that compute shared maps, 16 of maps
   that are shared. */
#define CALL ((uint64_t)1 << 32)
#define CALLER ((uint64_t)1 << 16)
#define MAP ((uint64_t)1)

static uint32_t calls_in(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static int callers_in(uint64_t state)
{
    return (int)(state >> 16 & 0xffff);
}

static int maps_in(uint64_t state)
{
    return (int)(state & 0xffff);
}

#define LOAD(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
#define ADD(counter, by) ((void)atomic_fetch_add_explicit(&(counter), (by), memory_order_relaxed))

static struct worker *worker_at(int index)
{
    return atomic_load_explicit(&pool.workers[index], memory_order_acquire);
}

static int worker_count(void)
{
    return atomic_load_explicit(&pool.count, memory_order_acquire);
}

/* An estimate of what is usual. On a busy machine single wakes take a hundred times as long as others: if
   they counted in full, no map would seem worth a wake, and nothing would be measured again. */
static void smooth(_Atomic double *usual, double value)
{
    const double old = LOAD(*usual);
    const double step = value < old ? (value - old) / 4 : fmin(value - old, old) / 16;
    atomic_store_explicit(usual, old + step, memory_order_relaxed);
}

static void count_spinning(struct worker *worker, bool spins)
{
    atomic_store_explicit(&worker->spins, spins, memory_order_relaxed);
    ADD(pool.spinning, spins ? 1 : -1);
}

/* ---- Waking ---- */

/* The core of the plan that holds the processor; -1: unknown. */
static int core_of(int cpu)
{
    const struct fm_local_plan *plan = atomic_load_explicit(&pool.plan, memory_order_acquire);
    const int core = plan != NULL ? fm_local_plan_core_of_cpu(plan, cpu) : -1;
    return core < WORKERS_MOST ? core : -1;
}

/* The worker on a core where an application thread computes stays out of its way, as long as there is
   a core for everybody. */
static bool yields_core(int index)
{
    if (callers_in(LOAD(pool.state)) == 0 || worker_count() > LOAD(pool.cores))
        return false;
    const int cpu = LOAD(pool.caller_cpu);
    if (cpu == SEVERAL)
        return LOAD(pool.core_callers[index]) > 0;
    return core_of(cpu) == index;
}

/* Whether one more worker may compute: each caller takes the place of one. Without a plan there is only
   the first worker, and it was made for this. */
static bool has_room(void)
{
    const int idle = LOAD(pool.spinning) + LOAD(pool.sleeping);
    return idle > callers_in(LOAD(pool.state)) - (LOAD(pool.cores) == 0 ? 1 : 0);
}

static bool wake(struct worker *worker)
{
    uint32_t asleep = 1;
    if (!atomic_compare_exchange_strong(&worker->asleep, &asleep, 0))
        return false;
    const uint64_t begun = fm_base_ticks();
    atomic_store_explicit(&worker->woken_ticks, begun, memory_order_relaxed);
    fm_local_futex_wake(&worker->asleep, 1);
    smooth(&pool.wake_caller_ns, fm_base_ticks_to_ns(fm_base_ticks() - begun));
    return true;
}

/* Wakes one sleeper, beginning behind the given core: callers on different cores wake different ones. */
static void wake_one(int core)
{
    const int count = worker_count();
    if (count == 0 || LOAD(pool.sleeping) == 0 || !has_room())
        return;
    for (int i = 1; i <= count; i++) {
        const int index = (core + i) % count;
        if (!yields_core(index) && wake(worker_at(index)))
            return;
    }
}

/* Whether a worker spins that could help a caller on that core. The one that is bound to the same core
   could not: it leaves it to the caller, and may not even be running. */
static bool spins_elsewhere(int core)
{
    const int spinning = LOAD(pool.spinning);
    if (spinning != 1 || core < 0 || core >= worker_count() || pool.bind == FASTMAP_BIND_NONE)
        return spinning > 0;
    return !LOAD(worker_at(core)->spins);
}

void fm_local_pool_call(void)
{
    const int core = core_of(sched_getcpu());
    if (!spins_elsewhere(core))
        wake_one(core < 0 ? 0 : core);
}

void fm_local_pool_nudge(void)
{
    if (maps_in(LOAD(pool.state)) == 0)
        return;
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        for (struct fm_local_frame *f = t->base; f != NULL;
             f = atomic_load_explicit(&f->inner, memory_order_acquire))
            if (LOAD(f->active) && fm_local_unclaimed(f) > 0) {
                (void)atomic_fetch_add(&pool.state, CALL);
                wake_one(0);
                return;
            }
}

/* ---- Callers ---- */

/* `more` is what else to add to the state in the same step. */
static void occupy(struct fm_local_thread *owner, uint64_t more)
{
    const int cpu = owner == fm_local_self ? sched_getcpu() : -1;
    const int core = core_of(cpu);
    atomic_store_explicit(&owner->core, core, memory_order_relaxed);
    if (core >= 0)
        ADD(pool.core_callers[core], 1);
    if (callers_in(LOAD(pool.state)) == 0)
        atomic_store_explicit(&pool.caller_cpu, cpu, memory_order_relaxed);
    if (callers_in(atomic_fetch_add(&pool.state, CALLER + more)) > 0)
        atomic_store_explicit(&pool.caller_cpu, SEVERAL, memory_order_relaxed);
}

static void vacate(struct fm_local_thread *owner, uint64_t more)
{
    const int core = LOAD(owner->core);
    if (core >= 0)
        ADD(pool.core_callers[core], -1);
    if (callers_in(atomic_fetch_sub(&pool.state, CALLER + more)) > 1)
        atomic_store_explicit(&pool.caller_cpu, SEVERAL, memory_order_relaxed);
}

void fm_local_pool_admit(struct fm_local_map *map)
{
    struct fm_local_thread *owner = map->owner;
    if (atomic_exchange(&map->shared, true))
        return;
    if (owner->worker < 0 && atomic_fetch_add(&owner->counted, 1) == 0)
        occupy(owner, CALL + MAP);
    else
        (void)atomic_fetch_add(&pool.state, CALL + MAP);
}

void fm_local_pool_dismiss(struct fm_local_map *map)
{
    struct fm_local_thread *owner = map->owner;
    atomic_store_explicit(&map->shared, false, memory_order_relaxed);
    if (owner->worker < 0 && atomic_fetch_sub(&owner->counted, 1) == 1)
        vacate(owner, MAP);
    else
        (void)atomic_fetch_sub(&pool.state, MAP);
}

void fm_local_pool_caller_rests(struct fm_local_thread *owner, bool rests)
{
    if (owner->worker >= 0)
        ADD(pool.sleeping, rests ? 1 : -1);
    else if (rests)
        vacate(owner, 0);
    else
        occupy(owner, 0);
}

/* ---- A worker's life ---- */

static bool steal_from_worker(struct worker *worker, int index)
{
    struct worker *other = worker_at(index);
    struct fm_local_thread *victim = atomic_load_explicit(&other->record, memory_order_acquire);
    return victim != NULL && other != worker && fm_local_steal_from(fm_local_self, victim, NULL);
}

/* called: somebody has just asked for help. */
static bool steal_from_callers(bool called)
{
    for (struct fm_local_thread *t = fm_local_thread_first(); called && t != NULL; t = t->next)
        if (t->worker < 0)
            fm_local_fetch(t);
    for (struct fm_local_thread *t = fm_local_thread_first(); t != NULL; t = t->next)
        if (t->worker < 0 && fm_local_steal_from(fm_local_self, t, NULL))
            return true;
    return false;
}

/* Near workers, then the application's threads, then the others; who has just called comes first. */
static bool look_everywhere(struct worker *worker, bool called)
{
    const int others = worker->ordered - 1;
    if (called && steal_from_callers(called))
        return true;
    for (int i = 0; i < worker->near; i++)
        if (steal_from_worker(worker, worker->order[i]))
            return true;
    if (!called && steal_from_callers(called))
        return true;
    for (int i = worker->near; i < others; i++)
        if (steal_from_worker(worker, worker->order[i]))
            return true;
    return false;
}

/* Takes the worker's place in the plan: when there is one, and again when the pool has grown. */
static void settle(struct worker *worker)
{
    const struct fm_local_plan *plan = atomic_load_explicit(&pool.plan, memory_order_acquire);
    const int count = worker_count();
    if (plan == NULL || count == worker->ordered)
        return;
    if (worker->ordered == 0 && pool.bind != FASTMAP_BIND_NONE)
        (void)fm_local_plan_bind(plan, worker->index);
    int *order = realloc(worker->order, (size_t)count * sizeof *order);
    if (order == NULL)
        return;
    worker->order = order;
    worker->near = fm_local_plan_order(plan, worker->index, count, order);
    worker->ordered = count;
}

static bool look_for_work(struct worker *worker, bool called)
{
    if (maps_in(LOAD(pool.state)) == 0 || yields_core(worker->index) || !has_room())
        return false;
    return look_everywhere(worker, called);
}

/* A worker that is busy for less than it takes to wake another counts as idle all the while: the note
   would cost more than it could tell. */
static bool is_noted(const struct fm_local_frame *frame, double work_ns)
{
    return frame->outer == NULL && LOAD(frame->thread->worker) >= 0 && work_ns > SHORT_NS;
}

void fm_local_pool_begin(const struct fm_local_frame *frame, double work_ns)
{
    if (!is_noted(frame, work_ns))
        return;
    const int index = LOAD(frame->thread->worker);
    count_spinning(worker_at(index), false);
    if (LOAD(pool.sleeping) > 0 && LOAD(pool.spinning) == 0 &&
        work_ns > 2 * (LOAD(pool.wake_caller_ns) + LOAD(pool.wake_latency_ns)))
        wake_one(index);
}

void fm_local_pool_end(const struct fm_local_frame *frame, double work_ns)
{
    if (is_noted(frame, work_ns))
        count_spinning(worker_at(LOAD(frame->thread->worker)), true);
}

static void note_wake_latency(struct worker *worker)
{
    const uint64_t woken = LOAD(worker->woken_ticks);
    if (woken == 0)
        return;
    atomic_store_explicit(&worker->woken_ticks, 0, memory_order_relaxed);
    const uint64_t now = fm_base_ticks();
    if (now > woken)
        smooth(&pool.wake_latency_ns, fm_base_ticks_to_ns(now - woken));
}

static void sleep_until_called(struct worker *worker, uint32_t calls)
{
    ADD(pool.sleeping, 1);
    count_spinning(worker, false);
    atomic_store(&worker->asleep, 1);
    while (calls_in(atomic_load(&pool.state)) == calls && !atomic_load(&pool.stopping) &&
           atomic_load(&worker->asleep) == 1)
        fm_local_futex_wait(&worker->asleep, 1, 0);
    atomic_store(&worker->asleep, 0);
    count_spinning(worker, true);
    ADD(pool.sleeping, -1);
    note_wake_latency(worker);
}

/* Why a worker stopped spinning. */
enum turn {
    TURN_CALLED, /* somebody asked for help */
    TURN_AGAIN,  /* what had not been worth taking may be by now */
    TURN_TIRED   /* nobody came */
};

/* Spins until then. idle_since: when the worker last had or was offered something; scan_ticks: the pause
   before looking again while maps are shared. */
static enum turn spin_for_call(const struct worker *worker, uint32_t calls, uint64_t idle_since,
                               uint64_t scan_ticks)
{
    const uint64_t begun = fm_base_ticks();
    const uint64_t spin = fm_base_ns_to_ticks(fm_local_host->spin_ns());
    for (;;) {
        const uint64_t state = atomic_load_explicit(&pool.state, memory_order_acquire);
        if (yields_core(worker->index))
            return TURN_TIRED;
        if (calls_in(state) != calls)
            return TURN_CALLED;
        const uint64_t now = fm_base_ticks();
        if (now - idle_since > spin)
            return TURN_TIRED;
        if (maps_in(state) > 0 && now - begun > scan_ticks)
            return TURN_AGAIN;
        fm_base_relax();
    }
}

/* A caller saw this worker spin and woke nobody; but it leaves its core to the caller. */
static void hand_on_call(const struct worker *worker)
{
    if (maps_in(LOAD(pool.state)) > 0 && yields_core(worker->index) && LOAD(pool.spinning) <= 1)
        wake_one(worker->index);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct fm_local_thread *self = fm_local_thread_self();
    if (self == NULL)
        return NULL;
    self->worker = worker->index;
    atomic_store_explicit(&worker->record, self, memory_order_release);
    const uint64_t first_scan = fm_base_ns_to_ticks(FIRST_SCAN_NS);
    const uint64_t last_scan = fm_base_ns_to_ticks(LAST_SCAN_NS);
    uint64_t scan = first_scan;
    uint64_t idle_since = fm_base_ticks();
    enum turn turn = TURN_CALLED;
    count_spinning(worker, true);
    while (!atomic_load_explicit(&pool.stopping, memory_order_relaxed)) {
        const uint32_t calls = calls_in(atomic_load_explicit(&pool.state, memory_order_acquire));
        settle(worker);
        const bool found = look_for_work(worker, turn == TURN_CALLED);
        if (found || turn == TURN_CALLED)
            idle_since = fm_base_ticks();
        scan = found || turn == TURN_CALLED ? first_scan : scan < last_scan ? 2 * scan : last_scan;
        turn = found ? TURN_AGAIN : spin_for_call(worker, calls, idle_since, scan);
        if (turn == TURN_TIRED) {
            hand_on_call(worker);
            sleep_until_called(worker, calls);
            turn = TURN_CALLED;
        }
    }
    count_spinning(worker, false);
    fm_local_thread_release();
    return NULL;
}

/* ---- Growth and end ---- */

static bool start_worker(int index)
{
    struct worker *worker = aligned_alloc(FM_LOCAL_LINE, sizeof *worker);
    if (worker == NULL)
        return false;
    *worker = (struct worker){.index = index};
    atomic_store_explicit(&pool.workers[index], worker, memory_order_release);
    char name[16];
    (void)snprintf(name, sizeof name, "fastmap-%hu", (unsigned short)index);
    if (!fm_base_thread_start(&worker->thread, worker_main, worker, name)) {
        atomic_store_explicit(&pool.workers[index], NULL, memory_order_relaxed);
        free(worker);
        return false;
    }
    return true;
}

static int make_plan(enum fastmap_bind bind)
{
    struct fm_local_plan *plan;
    const int error = fm_local_plan_make(&plan);
    if (error != 0)
        return error;
    pool.bind = bind;
    atomic_store_explicit(&pool.cores, fm_local_plan_cores(plan), memory_order_relaxed);
    atomic_store_explicit(&pool.default_width, fm_local_plan_default(plan), memory_order_relaxed);
    atomic_store_explicit(&pool.plan, plan, memory_order_release);
    return 0;
}

/*
 * A new thread inherits where its maker may run. So the maker goes to the worker's core for the moment of
 * making it: otherwise the worker might first have to wait for a core that is taken, in order to leave it.
 * (Where a mask does not fit a cpu_set_t, workers go to their cores by themselves.)
 */
static void grow_to(int width)
{
    const struct fm_local_plan *plan = atomic_load_explicit(&pool.plan, memory_order_relaxed);
    cpu_set_t own;
    const bool move = plan != NULL && pool.bind != FASTMAP_BIND_NONE &&
                      sched_getaffinity(0, sizeof own, &own) == 0;
    int count = worker_count();
    while (count < width && count < WORKERS_MOST) {
        if (move)
            (void)fm_local_plan_bind(plan, count);
        if (!start_worker(count))
            break;
        atomic_store_explicit(&pool.count, ++count, memory_order_release);
    }
    if (move)
        (void)sched_setaffinity(0, sizeof own, &own);
    (void)atomic_fetch_add(&pool.state, CALL);
}

int fm_local_pool_grow(int width, enum fastmap_bind bind)
{
    pthread_mutex_lock(&pool.mutex);
    int error = 0;
    if (atomic_load_explicit(&pool.plan, memory_order_relaxed) == NULL) {
        grow_to(1);
        error = make_plan(bind);
    }
    if (error == 0)
        grow_to(width > 0 ? width : LOAD(pool.default_width));
    pthread_mutex_unlock(&pool.mutex);
    return error;
}

int fm_local_pool_size(void)
{
    return worker_count();
}

int fm_local_default_width(void)
{
    int width = LOAD(pool.default_width);
    if (width == 0) {
        width = fm_local_allowed_cpus();
        int unknown = 0; /* the plan may have come meanwhile */
        atomic_compare_exchange_strong(&pool.default_width, &unknown, width);
    }
    return width;
}

enum fm_local_readiness fm_local_pool_readiness(struct fm_local_price *price)
{
    if (worker_count() == 0) {
        *price = (struct fm_local_price){MAKE_CALLER_NS, MAKE_LATENCY_NS};
        return FM_LOCAL_NONE;
    }
    if (spins_elsewhere(core_of(sched_getcpu()))) {
        *price = fm_local_price_awake;
        return FM_LOCAL_AWAKE;
    }
    *price = (struct fm_local_price){LOAD(pool.wake_caller_ns), LOAD(pool.wake_latency_ns)};
    return FM_LOCAL_ASLEEP;
}

/* No thread of the pool exists (any more). */
static void forget(void)
{
    for (int i = 0; i < WORKERS_MOST; i++) {
        atomic_store_explicit(&pool.workers[i], NULL, memory_order_relaxed);
        atomic_store_explicit(&pool.core_callers[i], 0, memory_order_relaxed);
    }
    fm_local_plan_free(atomic_load_explicit(&pool.plan, memory_order_relaxed));
    atomic_store_explicit(&pool.plan, NULL, memory_order_relaxed);
    _Atomic int *const counters[] = {&pool.count, &pool.cores, &pool.default_width, &pool.spinning,
                                     &pool.sleeping};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        atomic_store_explicit(counters[i], 0, memory_order_relaxed);
}

void fm_local_pool_stop(void)
{
    pthread_mutex_lock(&pool.mutex);
    const int count = worker_count();
    atomic_store(&pool.stopping, true);
    (void)atomic_fetch_add(&pool.state, CALL);
    for (int i = 0; i < count; i++)
        (void)wake(worker_at(i));
    for (int i = 0; i < count; i++)
        pthread_join(worker_at(i)->thread, NULL);
    for (int i = 0; i < count; i++) { /* only now: until then they looked at each other */
        free(worker_at(i)->order);
        free(worker_at(i));
    }
    forget();
    atomic_store(&pool.stopping, false);
    pthread_mutex_unlock(&pool.mutex);
}

void fm_local_before_fork(void)
{
    pthread_mutex_lock(&pool.mutex);
}

void fm_local_after_fork_parent(void)
{
    pthread_mutex_unlock(&pool.mutex);
}

void fm_local_after_fork(void)
{
    pthread_mutex_init(&pool.mutex, NULL);
    for (int i = 0; i < worker_count(); i++)
        free(worker_at(i));
    forget();
    atomic_store_explicit(&pool.state, 0, memory_order_relaxed);
    fm_local_thread_after_fork();
    fm_local_barrier_register();
}
