/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which cores a process computes on and in which order workers get them. How many workers there
 * are in the end (max_local_workers) and whether they are bound at all is up to the pool.
 *
 * Which cores. hwloc leaves out what a cpuset forbids, but shows processors outside the affinity mask
 * (taskset, mpirun, a batch system), and binding can escape that mask without an error. So the cores are
 * those of the topology that have a processor in the union of the masks of the process's threads.
 *
 * Which order. As long as there are as many workers as cores, the order does not matter. With fewer (a
 * quota, max_local_workers) there are two schools: compact, sharing caches, or spread, sharing nothing.
 * Elements do not talk to each other, so nothing is gained from a shared cache, and a neighbour left idle
 * leaves more bandwidth, cache and clock to those that work: workers are spread. Core after core goes to
 *   (1) the domain with the fewest workers so far, so that every number of workers is even over domains
 *       as far as their cores last;
 *   (2) in it, the kind of core that is fastest, where the machine has several kinds;
 *   (3) the package, then the group, cache, ... with the fewest workers so far, from the outside in;
 *   (4) the lowest number.
 * hwloc_distrib() is not used: it is uneven where counts do not divide. Who wants compact workers
 * restricts the mask (taskset, numactl --cpunodebind), which a plan honours. SMT siblings share a worker.
 */
#include "tier/local/topology.h"

#include <hwloc.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "tier/local/quota.h"

struct core {
    hwloc_obj_t object; /* a Core, or a PU where the topology has no cores */
    hwloc_obj_t domain; /* the object around it that is its domain */
    int efficiency;     /* higher is faster; -1 where all cores are of one kind */
    int processors;     /* allowed ones */
};

struct fm_local_plan {
    struct fm_local_limits limits;
    const char *trouble;       /* why nothing is known of the machine; NULL: it is. Then: */
    hwloc_topology_t topology; /* kept for binding, and because cores point into it */
    hwloc_bitmap_t allowed;    /* processors, by the operating system's numbers */
    struct core *cores;        /* core_count of them, as laid out */
    int core_count;            /* also where there is trouble */
    int *core_of_cpu;          /* cpu_count of them, -1: none */
    int cpu_count;
};

int fm_local_allowed_cpus(void)
{
    cpu_set_t sets[8]; /* 8192 processors, Linux's own limit on x86 */
    if (sched_getaffinity(0, sizeof sets, sets) == 0)
        return CPU_COUNT_S(sizeof sets, sets);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* ---- Loading ----------------------------------------------------------------------------------- */

static int fail_for_memory(void)
{
    return fm_base_fail(FASTMAP_ERR_MEMORY,
                        "no memory for the plan of which thread gets which core; "
                        "free some, or set max_local_workers = 1");
}

/* Only what groups cores: I/O and misc objects are off by default. hwloc's x86 component is left out as
   it would move the calling thread over all processors to ask each for its CPUID. */
static bool load(hwloc_topology_t topology, const char *synthetic)
{
    return hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST,
                                         "x86") == 0 &&
           hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_STRUCTURE) == 0 &&
           (synthetic == NULL || hwloc_topology_set_synthetic(topology, synthetic) == 0) &&
           hwloc_topology_load(topology) == 0;
}

/* What the process may use. Without /proc only the calling thread can be asked. */
static bool get_allowed(hwloc_topology_t topology, const char *list, hwloc_bitmap_t allowed)
{
    if (hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_PROCESS) != 0 &&
        hwloc_get_cpubind(topology, allowed, HWLOC_CPUBIND_THREAD) != 0)
        return false;
    if (hwloc_bitmap_and(allowed, allowed, hwloc_topology_get_allowed_cpuset(topology)) != 0)
        return false;
    if (list == NULL)
        return true;
    hwloc_bitmap_t listed = hwloc_bitmap_alloc();
    const bool is_known = listed != NULL && hwloc_bitmap_list_sscanf(listed, list) == 0 &&
                          hwloc_bitmap_and(allowed, allowed, listed) == 0;
    hwloc_bitmap_free(listed);
    return is_known;
}

/* NULL, or why there is no topology to plan with. */
static const char *learn_machine(struct fm_local_plan *plan, const char *synthetic,
                                 const char *allowed)
{
    plan->allowed = hwloc_bitmap_alloc();
    if (plan->allowed == NULL || hwloc_topology_init(&plan->topology) != 0) {
        plan->topology = NULL;
        return "hwloc does not start";
    }
    if (!load(plan->topology, synthetic))
        return "hwloc cannot load the topology";
    if (!get_allowed(plan->topology, allowed, plan->allowed))
        return "hwloc cannot say which processors this process may use";
    if (hwloc_bitmap_iszero(plan->allowed))
        return "hwloc finds no processor that this process may use";
    return NULL;
}

/* ---- Cores ------------------------------------------------------------------------------------- */

/* The smallest object around a core that is a package or has memory of its own; else the machine. */
static hwloc_obj_t domain_around(hwloc_obj_t object)
{
    while (object->parent != NULL && object->type != HWLOC_OBJ_PACKAGE && object->memory_arity == 0)
        object = object->parent;
    return object;
}

static int efficiency_of(hwloc_topology_t topology, hwloc_obj_t object)
{
    int efficiency = -1;
    const int kind = hwloc_cpukinds_get_by_cpuset(topology, object->cpuset, 0);
    if (kind >= 0)
        (void)hwloc_cpukinds_get_info(topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0);
    return efficiency;
}

/* Processors come in topological order: those of one core follow each other. */
static void collect_cores(struct fm_local_plan *plan)
{
    hwloc_topology_t topology = plan->topology;
    hwloc_obj_t pu = NULL;
    while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != NULL) {
        if (!hwloc_bitmap_isset(plan->allowed, pu->os_index))
            continue;
        hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
        if (object == NULL)
            object = pu;
        if (plan->core_count == 0 || plan->cores[plan->core_count - 1].object != object)
            plan->cores[plan->core_count++] = (struct core){
                .object = object,
                .domain = domain_around(object),
                .efficiency = efficiency_of(topology, object),
            };
        plan->cores[plan->core_count - 1].processors++;
    }
}

static void index_cores(struct fm_local_plan *plan)
{
    for (int cpu = 0; cpu < plan->cpu_count; cpu++)
        plan->core_of_cpu[cpu] = -1;
    for (int core = 0; core < plan->core_count; core++) {
        hwloc_const_bitmap_t cpus = plan->cores[core].object->cpuset;
        for (int cpu = hwloc_bitmap_first(cpus); cpu >= 0; cpu = hwloc_bitmap_next(cpus, cpu))
            plan->core_of_cpu[cpu] = core;
    }
}

/* ---- The order --------------------------------------------------------------------------------- */

/* How many workers each object of the topology has so far. */
struct loads {
    int *first; /* by depth: where the objects of that depth begin in `of` */
    int *of;
};

static bool loads_make(hwloc_topology_t topology, struct loads *loads)
{
    const int depths = hwloc_topology_get_depth(topology);
    size_t objects = 0;
    for (int depth = 0; depth < depths; depth++)
        objects += hwloc_get_nbobjs_by_depth(topology, depth);
    loads->first = calloc((size_t)depths + objects, sizeof *loads->first);
    if (loads->first == NULL)
        return false;
    loads->of = loads->first + depths;
    for (int depth = 1; depth < depths; depth++)
        loads->first[depth] =
            loads->first[depth - 1] + (int)hwloc_get_nbobjs_by_depth(topology, depth - 1);
    return true;
}

static int *load_of(const struct loads *loads, hwloc_obj_t object)
{
    return &loads->of[loads->first[object->depth] + (int)object->logical_index];
}

/* Rule (3): negative where a's surroundings are emptier, looking from the outside in. */
static int compare_surroundings(const struct loads *loads, hwloc_obj_t a, hwloc_obj_t b)
{
    if (a == b)
        return 0;
    const int outside = compare_surroundings(loads, a->depth >= b->depth ? a->parent : a,
                                             b->depth >= a->depth ? b->parent : b);
    return outside != 0 ? outside : *load_of(loads, a) - *load_of(loads, b);
}

/* Rules (1) to (4) for what is left. */
static bool comes_before(const struct loads *loads, const struct core *a, const struct core *b)
{
    const int domain_a = *load_of(loads, a->domain);
    const int domain_b = *load_of(loads, b->domain);
    if (domain_a != domain_b)
        return domain_a < domain_b;
    if (a->efficiency != b->efficiency)
        return a->efficiency > b->efficiency;
    const int surroundings = compare_surroundings(loads, a->object, b->object);
    return surroundings != 0 ? surroundings < 0
                             : a->object->logical_index < b->object->logical_index;
}

static void spread_cores(struct core *cores, int count, const struct loads *loads)
{
    for (int next = 0; next < count; next++) {
        int best = next;
        for (int i = next + 1; i < count; i++)
            if (comes_before(loads, &cores[i], &cores[best]))
                best = i;
        const struct core chosen = cores[best];
        cores[best] = cores[next];
        cores[next] = chosen;
        for (hwloc_obj_t object = chosen.object; object != NULL; object = object->parent)
            ++*load_of(loads, object);
    }
}

/* ---- Making ------------------------------------------------------------------------------------ */

static int lay_out(struct fm_local_plan *plan)
{
    struct loads loads;
    const int most_cores = hwloc_bitmap_weight(plan->allowed);
    plan->cpu_count = hwloc_bitmap_last(hwloc_topology_get_topology_cpuset(plan->topology)) + 1;
    plan->cores = calloc((size_t)most_cores, sizeof *plan->cores);
    plan->core_of_cpu = calloc((size_t)plan->cpu_count, sizeof *plan->core_of_cpu);
    if (plan->cores == NULL || plan->core_of_cpu == NULL || !loads_make(plan->topology, &loads))
        return fail_for_memory();
    collect_cores(plan);
    spread_cores(plan->cores, plan->core_count, &loads);
    index_cores(plan);
    free(loads.first);
    return 0;
}

int fm_local_plan_make_from(const char *synthetic, const char *allowed,
                            const struct fm_local_limits *limits, struct fm_local_plan **plan)
{
    struct fm_local_plan *made = calloc(1, sizeof *made);
    if (made == NULL)
        return fail_for_memory();
    made->limits = *limits;
    made->trouble = learn_machine(made, synthetic, allowed);
    if (made->trouble != NULL) {
        made->core_count = fm_local_allowed_cpus();
    } else if (lay_out(made) != 0) {
        fm_local_plan_free(made);
        return FASTMAP_ERR_MEMORY;
    }
    *plan = made;
    return 0;
}

int fm_local_plan_make(struct fm_local_plan **plan)
{
    struct fm_local_limits limits = {.quota_cores = fm_local_quota_cores("")};
    limits.batch_processors = fm_local_quota_batch(getenv, &limits.batch_variable);
    return fm_local_plan_make_from(NULL, NULL, &limits, plan);
}

void fm_local_plan_free(struct fm_local_plan *plan)
{
    if (plan == NULL)
        return;
    if (plan->topology != NULL)
        hwloc_topology_destroy(plan->topology);
    hwloc_bitmap_free(plan->allowed);
    free(plan->cores);
    free(plan->core_of_cpu);
    free(plan);
}

/* ---- Asking ------------------------------------------------------------------------------------ */

int fm_local_plan_cores(const struct fm_local_plan *plan)
{
    return plan->core_count;
}

int fm_local_plan_default(const struct fm_local_plan *plan)
{
    const struct fm_local_limits *limits = &plan->limits;
    int workers = plan->core_count;
    if (limits->quota_cores < workers)
        workers = (int)ceil(limits->quota_cores);
    if (limits->batch_processors > 0 && limits->batch_processors < workers)
        workers = limits->batch_processors;
    return workers > 0 ? workers : 1;
}

static const struct core *core_of_worker(const struct fm_local_plan *plan, int worker)
{
    return &plan->cores[worker % plan->core_count];
}

static hwloc_bitmap_t processors_of_worker(const struct fm_local_plan *plan, int worker)
{
    hwloc_bitmap_t processors = hwloc_bitmap_dup(core_of_worker(plan, worker)->object->cpuset);
    if (processors != NULL && hwloc_bitmap_and(processors, processors, plan->allowed) != 0) {
        hwloc_bitmap_free(processors);
        return NULL;
    }
    return processors;
}

int fm_local_plan_bind(const struct fm_local_plan *plan, int worker)
{
    if (plan->trouble != NULL)
        return 0;
    hwloc_bitmap_t processors = processors_of_worker(plan, worker);
    int rc = -1;
    if (processors != NULL)
        rc = hwloc_set_cpubind(plan->topology, processors, HWLOC_CPUBIND_THREAD);
    hwloc_bitmap_free(processors);
    return rc;
}

int fm_local_plan_core_of_cpu(const struct fm_local_plan *plan, int cpu)
{
    return cpu >= 0 && cpu < plan->cpu_count ? plan->core_of_cpu[cpu] : -1;
}

/* How much two workers share: the depth of the smallest object that has both. */
static int nearness(const struct fm_local_plan *plan, int a, int b)
{
    if (plan->trouble != NULL)
        return 0;
    return hwloc_get_common_ancestor_obj(plan->topology, core_of_worker(plan, a)->object,
                                         core_of_worker(plan, b)->object)
        ->depth;
}

int fm_local_plan_order(const struct fm_local_plan *plan, int worker, int workers, int *order)
{
    const bool is_known = plan->trouble == NULL;
    const int domain_depth = is_known ? core_of_worker(plan, worker)->domain->depth : 0;
    int listed = 0;
    int near = 0;
    for (int depth = nearness(plan, worker, worker); depth >= 0; depth--) {
        for (int step = 1; step < workers; step++) {
            const int victim = (worker + step) % workers;
            if (nearness(plan, worker, victim) == depth)
                order[listed++] = victim;
        }
        if (depth >= domain_depth)
            near = listed;
    }
    return near;
}

/* ---- Describing -------------------------------------------------------------------------------- */

struct line {
    char *text;
    size_t size;
    size_t length; /* that it would have uncut */
};

static void add(struct line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *fmt, ...)
{
    const size_t at = line->length < line->size ? line->length : line->size;
    va_list args;
    va_start(args, fmt);
    const int wanted = vsnprintf(line->text + at, line->size - at, fmt, args);
    va_end(args);
    line->length += wanted > 0 ? (size_t)wanted : 0;
}

static void add_count(struct line *line, int count, const char *what)
{
    add(line, "%d %s%s", count, what, count == 1 ? "" : "s");
}

/* Objects of a type that have an allowed processor. */
static int count_used(const struct fm_local_plan *plan, hwloc_obj_type_t type)
{
    int used = 0;
    hwloc_obj_t object = NULL;
    while ((object = hwloc_get_next_obj_by_type(plan->topology, type, object)) != NULL)
        used += hwloc_bitmap_intersects(object->cpuset, plan->allowed) != 0;
    return used;
}

static void add_machine(struct line *line, const struct fm_local_plan *plan)
{
    const int packages = count_used(plan, HWLOC_OBJ_PACKAGE);
    const int all_cores = hwloc_get_nbobjs_by_depth(plan->topology, plan->cores[0].object->depth);
    int smt = 1;
    for (int core = 0; core < plan->core_count; core++)
        if (plan->cores[core].processors > smt)
            smt = plan->cores[core].processors;
    if (packages > 0) {
        add_count(line, packages, "package");
        add(line, ", ");
    }
    add_count(line, count_used(plan, HWLOC_OBJ_NUMANODE), "NUMA domain");
    add(line, ", ");
    if (plan->core_count < all_cores)
        add(line, "%d of ", plan->core_count);
    add_count(line, all_cores, "core");
    if (smt > 1)
        add(line, " (SMT %d)", smt);
    if (!hwloc_topology_is_thissystem(plan->topology))
        add(line, ", not this system's: nothing is bound");
}

static void add_limits(struct line *line, const struct fm_local_plan *plan)
{
    const struct fm_local_limits *limits = &plan->limits;
    if (limits->quota_cores < INFINITY)
        add(line, ", quota %.3g cores", limits->quota_cores);
    if (limits->batch_processors > 0)
        add(line, ", %s=%d", limits->batch_variable, limits->batch_processors);
    add(line, " -> ");
    add_count(line, fm_local_plan_default(plan), "worker");
}

static void add_worker(struct line *line, const struct fm_local_plan *plan, int worker)
{
    const struct core *core = core_of_worker(plan, worker);
    char list[128] = "?";
    hwloc_bitmap_t processors = processors_of_worker(plan, worker);
    if (processors != NULL)
        (void)hwloc_bitmap_list_snprintf(list, sizeof list, processors);
    hwloc_bitmap_free(processors);
    add(line, "%s worker %d: core %u (PU%s %s)", worker == 0 ? ";" : ",", worker,
        core->object->logical_index, core->processors == 1 ? "" : "s", list);
}

int fm_local_plan_describe(const struct fm_local_plan *plan, char *text, size_t size)
{
    struct line line = {text, size, 0};
    if (plan->trouble != NULL) {
        add_count(&line, plan->core_count, "processor");
        add(&line, " in the affinity mask; %s: nothing is bound", plan->trouble);
        add_limits(&line, plan);
        return (int)line.length;
    }
    add_machine(&line, plan);
    add_limits(&line, plan);
    for (int worker = 0; worker < fm_local_plan_default(plan); worker++)
        add_worker(&line, plan, worker);
    return (int)line.length;
}
