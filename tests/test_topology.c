/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pins the pinning plan on described machines (hwloc's synthetic topologies) and on this one, and the
 * reading of control groups and batch systems on text, on a made-up root, and on mutated text.
 */
#include <errno.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "test.h"
#include "tier/local/quota.h"
#include "tier/local/topology.h"

enum { CORES_MAX = 256, TEXT_BYTES = 8192, NOT_TRIED = 1 };

static const struct fm_local_limits no_limits = {.quota_cores = INFINITY};

/* ---- Described machines ------------------------------------------------------------------------ */

/* In a synthetic topology processors are numbered from 0 in topological order. Memory is always named:
   hwloc 2.9 reads uninitialised bytes where it has to add it by itself. */
struct machine {
    const char *synthetic;
    int cores;
    int smt;
    int domains;
};

static const struct machine machines[] = {
    {"[numa] package:2 core:8 pu:1", 16, 1, 2},
    {"package:2 numa:2 core:4 pu:2", 16, 2, 4},
    {"numa:4 package:1 l3:2 core:4 pu:1", 32, 1, 4},
    {"package:2 numa:2 l3:4 core:8 pu:2", 128, 2, 4},
    {"package:3 numa:2 core:5 pu:4", 30, 4, 6},
    {"[numa] package:1 core:1 pu:1", 1, 1, 1},
    {"[numa] package:1 core:1 pu:2", 1, 2, 1},
    {"[numa] pu:6", 6, 1, 1},
};

#define FOR_EACH_MACHINE(m)                                                                       \
    for (const struct machine *m = machines; m < machines + sizeof machines / sizeof machines[0]; \
         m++)

static struct fm_local_plan *plan_of(const char *synthetic, const char *allowed,
                                     const struct fm_local_limits *limits)
{
    struct fm_local_plan *plan = NULL;
    if (fm_local_plan_make_from(synthetic, allowed, limits, &plan) != 0)
        abort();
    return plan;
}

/* The plan as a process finds it where hwloc's environment variables describe the machine. */
static struct fm_local_plan *plan_with(const char *variable, const char *value)
{
    struct fm_local_plan *plan = NULL;
    setenv(variable, value, 1);
    const int rc = fm_local_plan_make(&plan);
    unsetenv(variable);
    if (rc != 0)
        abort();
    return plan;
}

/* The lowest processor of a core. */
static int cpu_of_core(const struct fm_local_plan *plan, int core, int cpus)
{
    for (int cpu = 0; cpu < cpus; cpu++)
        if (fm_local_plan_core_of_cpu(plan, cpu) == core)
            return cpu;
    return -1;
}

static int cpus_of(const struct machine *m)
{
    return m->cores * m->smt;
}

static int domain_of(const struct machine *m, const struct fm_local_plan *plan, int core)
{
    return cpu_of_core(plan, core, cpus_of(m)) / (cpus_of(m) / m->domains);
}

TEST(each_core_of_a_described_machine_is_in_the_plan_once)
{
    FOR_EACH_MACHINE(m)
    {
        struct fm_local_plan *plan = plan_with("HWLOC_SYNTHETIC", m->synthetic);
        int seen[CORES_MAX] = {0};
        CHECK_EQ_INT(fm_local_plan_cores(plan), m->cores);
        for (int cpu = 0; cpu < cpus_of(m); cpu++) {
            const int core = fm_local_plan_core_of_cpu(plan, cpu);
            if (CHECK_TRUE(core >= 0 && core < m->cores, "%s: PU %d has core %d", m->synthetic, cpu,
                           core))
                seen[core]++;
            CHECK_EQ_INT(core, fm_local_plan_core_of_cpu(plan, cpu - cpu % m->smt));
        }
        for (int core = 0; core < m->cores; core++)
            CHECK_TRUE(seen[core] == m->smt, "%s: core %d has %d PUs", m->synthetic, core,
                       seen[core]);
        CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, -1), -1);
        CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, cpus_of(m)), -1);
        fm_local_plan_free(plan);
    }
}

TEST(any_number_of_workers_is_even_over_domains)
{
    FOR_EACH_MACHINE(m)
    {
        struct fm_local_plan *plan = plan_of(m->synthetic, NULL, &no_limits);
        int load[CORES_MAX] = {0};
        for (int worker = 0; worker < m->cores; worker++) {
            const int before = load[domain_of(m, plan, worker)]++;
            for (int domain = 0; domain < m->domains; domain++)
                CHECK_TRUE(before <= load[domain],
                           "%s: worker %d is number %d of its domain, %d has %d", m->synthetic,
                           worker, before + 1, domain, load[domain]);
        }
        fm_local_plan_free(plan);
    }
}

/* As "0 4 8", the lowest processors of the first `count` workers. */
static const char *layout(const struct fm_local_plan *plan, int count, int cpus,
                          char text[TEXT_BYTES])
{
    int length = 0;
    text[0] = '\0';
    for (int worker = 0; worker < count; worker++)
        length += snprintf(text + length, (size_t)(TEXT_BYTES - length), "%s%d",
                           worker > 0 ? " " : "", cpu_of_core(plan, worker, cpus));
    return text;
}

TEST(neighbouring_workers_are_in_other_packages_then_other_domains_then_other_caches)
{
    char text[TEXT_BYTES];
    struct fm_local_plan *plan = plan_of("package:2 numa:2 l3:2 core:2 pu:1", NULL, &no_limits);
    CHECK_EQ_STR(layout(plan, 16, 16, text), "0 8 4 12 2 10 6 14 1 9 5 13 3 11 7 15");
    fm_local_plan_free(plan);
}

TEST(a_small_domain_fills_and_the_others_go_on)
{
    char text[TEXT_BYTES];
    struct fm_local_plan *plan = plan_of("numa:2 core:8 pu:1", "0-1,8-13", &no_limits);
    CHECK_EQ_STR(layout(plan, 8, 16, text), "0 8 1 9 10 11 12 13");
    fm_local_plan_free(plan);
}

TEST(a_package_with_one_domain_gets_no_more_than_each_domain_of_the_other)
{
    char text[TEXT_BYTES];
    struct fm_local_plan *plan = plan_of("package:2 numa:2 core:4 pu:1", "0-7,12-15", &no_limits);
    CHECK_EQ_STR(layout(plan, 6, 16, text), "0 12 4 13 1 5");
    fm_local_plan_free(plan);
}

/* ---- Masks ------------------------------------------------------------------------------------- */

TEST(cores_count_that_have_at_least_one_allowed_processor)
{
    struct fm_local_plan *plan = plan_of("[numa] package:2 core:4 pu:2", "0-3,5,6,14", &no_limits);
    char text[TEXT_BYTES];
    CHECK_EQ_INT(fm_local_plan_cores(plan), 5);
    CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, 0), fm_local_plan_core_of_cpu(plan, 1));
    /* The sibling of an allowed processor is on that core; a caller may run there. */
    CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, 15), fm_local_plan_core_of_cpu(plan, 14));
    CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, 8), -1);
    fm_local_plan_describe(plan, text, sizeof text);
    CHECK_CONTAINS(text, "2 packages, 1 NUMA domain, 5 of 8 cores (SMT 2)");
    CHECK_CONTAINS(text, "worker 0: core 0 (PUs 0-1), worker 1: core 7 (PU 14), ");
    CHECK_CONTAINS(text, "(PU 5)");
    CHECK_CONTAINS(text, "(PU 6)");
    fm_local_plan_free(plan);
}

TEST(a_mask_that_leaves_nothing_gives_a_plan_that_binds_nothing_and_says_so)
{
    struct fm_local_plan *plan = plan_of("[numa] core:4 pu:1", "17", &no_limits);
    char text[TEXT_BYTES];
    int order[CORES_MAX];
    CHECK_EQ_INT(fm_local_plan_cores(plan), fm_local_allowed_cpus());
    CHECK_EQ_INT(fm_local_plan_bind(plan, 0), 0);
    CHECK_EQ_INT(fm_local_plan_core_of_cpu(plan, 0), -1);
    CHECK_EQ_INT(fm_local_plan_order(plan, 2, 4, order), 3);
    CHECK_EQ_INT(order[0], 3);
    CHECK_EQ_INT(order[1], 0);
    CHECK_EQ_INT(order[2], 1);
    fm_local_plan_describe(plan, text, sizeof text);
    CHECK_CONTAINS(text,
                   "in the affinity mask; hwloc finds no processor that this process may use: "
                   "nothing is bound -> ");
    fm_local_plan_free(plan);
}

TEST(a_machine_unknown_to_hwloc_gives_a_plan_that_binds_nothing)
{
    struct fm_local_plan *plan = plan_with("HWLOC_COMPONENTS", "stop");
    char text[TEXT_BYTES];
    CHECK_EQ_INT(fm_local_plan_cores(plan), fm_local_allowed_cpus());
    CHECK_EQ_INT(fm_local_plan_bind(plan, 0), 0);
    fm_local_plan_describe(plan, text, sizeof text);
    CHECK_CONTAINS(text, "nothing is bound");
    fm_local_plan_free(plan);
}

TEST(processors_stand_for_cores_where_hwloc_sees_none)
{
    struct fm_local_plan *plan = plan_with("HWLOC_COMPONENTS", "-linux");
    CHECK_EQ_INT(fm_local_plan_cores(plan), fm_local_allowed_cpus());
    CHECK_EQ_INT(fm_local_plan_bind(plan, 0), 0);
    fm_local_plan_free(plan);
}

/* Two slow cores before two fast ones, as hybrid processors have it. */
static void write_hybrid_machine(FILE *xml)
{
    static const char sets[] = "complete_cpuset=\"%#x\" nodeset=\"1\" complete_nodeset=\"1\"";
    fprintf(xml, "<?xml version=\"1.0\"?><topology version=\"2.0\"><object type=\"Machine\" "
                 "allowed_cpuset=\"0xf\" allowed_nodeset=\"1\" gp_index=\"1\" cpuset=\"0xf\" ");
    fprintf(xml, sets, 0xfu);
    fprintf(xml, "><object type=\"NUMANode\" os_index=\"0\" gp_index=\"2\" cpuset=\"0xf\" ");
    fprintf(xml, sets, 0xfu);
    fprintf(xml, "/>");
    for (unsigned i = 0; i < 4; i++)
        for (unsigned is_pu = 0; is_pu < 2; is_pu++) {
            fprintf(xml, "<object type=\"%s\" os_index=\"%u\" gp_index=\"%u\" cpuset=\"%#x\" ",
                    is_pu ? "PU" : "Core", i, 3 + 2 * i + is_pu, 1u << i);
            fprintf(xml, sets, 1u << i);
            fprintf(xml, is_pu ? "/></object>" : ">");
        }
    fprintf(xml, "</object><cpukind cpuset=\"0x3\" forced_efficiency=\"0\"/>"
                 "<cpukind cpuset=\"0xc\" forced_efficiency=\"1\"/></topology>");
}

TEST(fast_cores_come_before_slow_ones)
{
    char path[] = "/tmp/test_topology-XXXXXX";
    char text[TEXT_BYTES];
    const int fd = mkstemp(path);
    FILE *xml = fd < 0 ? NULL : fdopen(fd, "w");
    if (!CHECK_TRUE(xml != NULL, "%s: %s", path, strerror(errno)))
        return;
    write_hybrid_machine(xml);
    fclose(xml);
    struct fm_local_plan *plan = plan_with("HWLOC_XMLFILE", path);
    unlink(path);
    CHECK_EQ_STR(layout(plan, fm_local_plan_cores(plan), 4, text), "2 3 0 1");
    fm_local_plan_free(plan);
}

/* ---- Who is near whom -------------------------------------------------------------------------- */

static void check_order(const struct machine *m, const struct fm_local_plan *plan, int worker,
                        int workers)
{
    int order[2 * CORES_MAX];
    bool seen[2 * CORES_MAX] = {false};
    const int home = domain_of(m, plan, worker % m->cores);
    const int near = fm_local_plan_order(plan, worker, workers, order);
    for (int i = 0; i < workers - 1; i++) {
        const int victim = order[i];
        if (!CHECK_TRUE(victim >= 0 && victim < workers && victim != worker && !seen[victim],
                        "%s: worker %d of %d has victim %d", m->synthetic, worker, workers, victim))
            return;
        seen[victim] = true;
        const int domain = domain_of(m, plan, victim % m->cores);
        CHECK_TRUE((domain == home) == (i < near), "%s: worker %d of %d: victim %d at %d, %d near",
                   m->synthetic, worker, workers, victim, i, near);
    }
}

TEST(an_order_has_every_other_worker_once_and_those_of_the_own_domain_first)
{
    FOR_EACH_MACHINE(m)
    {
        struct fm_local_plan *plan = plan_of(m->synthetic, NULL, &no_limits);
        const int counts[] = {1, 2, 3, m->cores / 2 + 1, m->cores, m->cores + 3};
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
            for (int worker = 0; worker < counts[i]; worker++)
                check_order(m, plan, worker, counts[i]);
        fm_local_plan_free(plan);
    }
}

/* The order as "3 | 1 2", near before far. */
static const char *order_text(const struct fm_local_plan *plan, int worker, int workers,
                              char text[TEXT_BYTES])
{
    int order[CORES_MAX];
    int length = 0;
    const int near = fm_local_plan_order(plan, worker, workers, order);
    text[0] = '\0';
    for (int i = 0; i < workers - 1; i++)
        length += snprintf(text + length, (size_t)(TEXT_BYTES - length), "%s%s%d", i > 0 ? " " : "",
                           i == near ? "| " : "", order[i]);
    return text;
}

TEST(equals_begin_after_the_worker_itself)
{
    char text[TEXT_BYTES];
    struct fm_local_plan *plan = plan_of("[numa] package:1 core:5 pu:1", NULL, &no_limits);
    CHECK_EQ_STR(order_text(plan, 0, 5, text), "1 2 3 4");
    CHECK_EQ_STR(order_text(plan, 3, 5, text), "4 0 1 2");
    fm_local_plan_free(plan);
}

TEST(victims_come_by_core_then_cache_then_domain_then_package)
{
    char text[TEXT_BYTES];
    /* Workers 0 to 15 are on processors 0 8 4 12 2 10 6 14 1 9 5 13 3 11 7 15; 16 shares worker 0's. */
    struct fm_local_plan *plan = plan_of("package:2 numa:2 l3:2 core:2 pu:1", NULL, &no_limits);
    CHECK_EQ_STR(order_text(plan, 0, 17, text), "16 8 4 12 | 2 6 10 14 1 3 5 7 9 11 13 15");
    CHECK_EQ_STR(order_text(plan, 14, 16, text), "6 2 10 | 0 4 8 12 15 1 3 5 7 9 11 13");
    CHECK_EQ_STR(order_text(plan, 1, 4, text), "| 3 2 0");
    fm_local_plan_free(plan);
}

/* ---- No memory --------------------------------------------------------------------------------- */

/* The program is linked with --wrap=calloc, which sees the library's own calls. The call that fails, with
   the next being 1; 0: none. */
static int failing_calloc;

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    if (failing_calloc > 0 && --failing_calloc == 0)
        return NULL;
    return __real_calloc(count, bytes);
}

TEST(a_plan_without_memory_is_an_error_and_leaves_nothing_behind)
{
    int failures = 0;
    int rc;
    do {
        struct fm_local_plan *plan = NULL;
        failing_calloc = failures + 1;
        rc = fm_local_plan_make_from("[numa] core:4 pu:1", NULL, &no_limits, &plan);
        failing_calloc = 0;
        CHECK_TRUE((plan == NULL) == (rc != 0), "rc %d, plan %p", rc, (void *)plan);
        fm_local_plan_free(plan);
        if (rc == 0)
            break;
        failures++;
        CHECK_EQ_INT(rc, FASTMAP_ERR_MEMORY);
        CHECK_CONTAINS(fm_base_last_error(), "no memory for the plan");
    } while (failures < 100);
    CHECK_EQ_INT(failures, 4);
}

/* ---- Default and description ------------------------------------------------------------------- */

static int default_with(double quota_cores, int batch_processors)
{
    const struct fm_local_limits limits = {quota_cores, batch_processors, "NSLOTS"};
    struct fm_local_plan *plan = plan_of("[numa] package:2 core:4 pu:2", NULL, &limits);
    const int workers = fm_local_plan_default(plan);
    fm_local_plan_free(plan);
    return workers;
}

TEST(the_default_is_a_worker_a_core_within_quota_and_batch_limit)
{
    CHECK_EQ_INT(default_with(INFINITY, 0), 8);
    CHECK_EQ_INT(default_with(100, 100), 8);
    CHECK_EQ_INT(default_with(3.5, 0), 4);
    CHECK_EQ_INT(default_with(4, 0), 4);
    CHECK_EQ_INT(default_with(0.01, 0), 1);
    CHECK_EQ_INT(default_with(INFINITY, 3), 3);
    CHECK_EQ_INT(default_with(2.5, 5), 3);
    CHECK_EQ_INT(default_with(6, 2), 2);
}

TEST(the_description_names_machine_limits_and_who_is_where)
{
    const struct fm_local_limits limits = {3.5, 6, "SLURM_CPUS_PER_TASK"};
    struct fm_local_plan *plan =
        plan_of("package:2 numa:2 core:32 pu:2(indexes=2*128:1*2)", NULL, &limits);
    char text[TEXT_BYTES];
    const int length = fm_local_plan_describe(plan, text, sizeof text);
    CHECK_EQ_INT((int)strlen(text), length);
    CHECK_EQ_STR(text,
                 "2 packages, 4 NUMA domains, 128 cores (SMT 2), not this system's: nothing is "
                 "bound, quota 3.5 cores, SLURM_CPUS_PER_TASK=6 -> 4 workers; "
                 "worker 0: core 0 (PUs 0,128), worker 1: core 64 (PUs 64,192), "
                 "worker 2: core 32 (PUs 32,160), worker 3: core 96 (PUs 96,224)");
    fm_local_plan_free(plan);
}

TEST(a_description_is_cut_to_the_room_there_is)
{
    struct fm_local_plan *plan = plan_of("[numa] package:1 core:1 pu:1", NULL, &no_limits);
    char whole[TEXT_BYTES];
    const int length = fm_local_plan_describe(plan, whole, sizeof whole);
    for (size_t size = 0; size <= (size_t)length + 1; size++) {
        char *text = malloc(size + 1);
        if (text == NULL)
            abort();
        text[size] = '#';
        CHECK_EQ_INT(fm_local_plan_describe(plan, text, size), length);
        CHECK_EQ_INT(text[size], '#');
        if (size > 0)
            CHECK_TRUE(strncmp(text, whole, size - 1) == 0 && text[size - 1] == '\0', "%s", text);
        free(text);
    }
    fm_local_plan_free(plan);
}

/* ---- This machine ------------------------------------------------------------------------------ */

struct binding {
    const struct fm_local_plan *plan;
    int worker;
    int rc;
    cpu_set_t before;
    cpu_set_t after;
};

static void *bind_here(void *argument)
{
    struct binding *binding = argument;
    sched_getaffinity(0, sizeof binding->before, &binding->before);
    binding->rc = fm_local_plan_bind(binding->plan, binding->worker);
    sched_getaffinity(0, sizeof binding->after, &binding->after);
    return NULL;
}

/* In a thread of its own, so that the test keeps its mask. */
static struct binding bind_in_thread(void *(*how)(void *), const struct fm_local_plan *plan,
                                     int worker)
{
    struct binding binding = {.plan = plan, .worker = worker, .rc = NOT_TRIED};
    pthread_t thread;
    if (pthread_create(&thread, NULL, how, &binding) != 0)
        abort();
    pthread_join(thread, NULL);
    return binding;
}

TEST(workers_are_bound_to_the_allowed_processors_of_their_core)
{
    struct fm_local_plan *plan = plan_of(NULL, NULL, &no_limits);
    const int cores = fm_local_plan_cores(plan);
    CHECK_TRUE(cores <= fm_local_allowed_cpus(), "%d cores, %d processors", cores,
               fm_local_allowed_cpus());
    for (int worker = 0; worker < cores + 1; worker++) {
        const struct binding binding = bind_in_thread(bind_here, plan, worker);
        CHECK_EQ_INT(binding.rc, 0);
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
            const bool is_expected = CPU_ISSET(cpu, &binding.before) &&
                                     fm_local_plan_core_of_cpu(plan, cpu) == worker % cores;
            CHECK_TRUE((CPU_ISSET(cpu, &binding.after) != 0) == is_expected,
                       "worker %d, processor %d: in the mask %d", worker, cpu,
                       CPU_ISSET(cpu, &binding.after) != 0);
        }
    }
    fm_local_plan_free(plan);
}

TEST(a_plan_for_another_machine_binds_nothing)
{
    struct fm_local_plan *plan = plan_of("[numa] package:2 core:8 pu:1", NULL, &no_limits);
    const struct binding binding = bind_in_thread(bind_here, plan, 5);
    CHECK_EQ_INT(binding.rc, 0);
    CHECK_TRUE(CPU_EQUAL(&binding.before, &binding.after), "the mask changed to %d processors",
               CPU_COUNT(&binding.after));
    fm_local_plan_free(plan);
}

/* From now on the system refuses this thread, and no other, to change a mask. */
static bool forbid_binding(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_setaffinity, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *bind_where_forbidden(void *argument)
{
    return forbid_binding() ? bind_here(argument) : NULL;
}

TEST(a_refused_binding_is_told_and_leaves_the_mask)
{
    struct fm_local_plan *plan = plan_of(NULL, NULL, &no_limits);
    const struct binding binding = bind_in_thread(bind_where_forbidden, plan, 0);
    fm_local_plan_free(plan);
    if (binding.rc == NOT_TRIED)
        SKIP("seccomp is not to be had here");
    CHECK_EQ_INT(binding.rc, -1);
    CHECK_TRUE(CPU_EQUAL(&binding.before, &binding.after), "the mask changed to %d processors",
               CPU_COUNT(&binding.after));
}

struct restricted {
    int allowed_cpus;
    int cores;
    int workers;
    int core_of_cpu;
    int is_bound;
    char text[TEXT_BYTES];
};

static void plan_on_one_cpu(int cpu, struct restricted *found)
{
    struct fm_local_plan *plan = NULL;
    cpu_set_t one;
    cpu_set_t after;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0 || fm_local_plan_make(&plan) != 0)
        return;
    found->allowed_cpus = fm_local_allowed_cpus();
    found->cores = fm_local_plan_cores(plan);
    found->workers = fm_local_plan_default(plan);
    found->core_of_cpu = fm_local_plan_core_of_cpu(plan, cpu);
    found->is_bound = fm_local_plan_bind(plan, 0) == 0 &&
                      sched_getaffinity(0, sizeof after, &after) == 0 && CPU_EQUAL(&one, &after);
    fm_local_plan_describe(plan, found->text, sizeof found->text);
    fm_local_plan_free(plan);
}

TEST(a_process_confined_to_one_processor_plans_for_its_core_alone)
{
    struct restricted *found =
        mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cpu_set_t mask;
    int cpu = CPU_SETSIZE - 1;
    sched_getaffinity(0, sizeof mask, &mask);
    while (cpu > 0 && !CPU_ISSET(cpu, &mask)) /* the last: more telling than 0 */
        cpu--;
    const pid_t child = fork();
    if (child == 0) {
        plan_on_one_cpu(cpu, found);
        _exit(0);
    }
    CHECK_EQ_INT(waitpid(child, NULL, 0), child);
    CHECK_EQ_INT(found->allowed_cpus, 1);
    CHECK_EQ_INT(found->cores, 1);
    CHECK_EQ_INT(found->workers, 1);
    CHECK_EQ_INT(found->core_of_cpu, 0);
    CHECK_EQ_INT(found->is_bound, 1);
    CHECK_CONTAINS(found->text, "worker 0: core ");
    CHECK_CONTAINS(found->text, "(PU ");
    munmap(found, sizeof *found);
}

/* ---- Control groups: text ---------------------------------------------------------------------- */

static void check_cores(double found, double expected, const char *of)
{
    CHECK_TRUE(found == expected, "%s: found %g, not %g", of, found, expected);
}

TEST(a_bandwidth_limit_is_quota_over_period)
{
    check_cores(fm_local_quota_v2("50000 100000\n"), 0.5, "v2");
    check_cores(fm_local_quota_v2("350000 100000"), 3.5, "v2 without newline");
    check_cores(fm_local_quota_v1("150000\n", "50000\n"), 3, "v1");
}

TEST(what_is_no_bandwidth_limit_limits_nothing)
{
    static const char *const texts[] = {"max 100000\n",
                                        "",
                                        "\n",
                                        "100000\n",
                                        "0 100000\n",
                                        "5 0\n",
                                        "-1 5",
                                        "5 -1",
                                        "5  1",
                                        " 5 1",
                                        "5 1 1",
                                        "5 1\n\n",
                                        "5 1x",
                                        "0x5 1",
                                        "99999999999999999999 1",
                                        "1 99999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_cores(fm_local_quota_v2(texts[i]), INFINITY, texts[i]);
    check_cores(fm_local_quota_v1("-1\n", "100000\n"), INFINITY, "-1");
    check_cores(fm_local_quota_v1("100000\n", ""), INFINITY, "no period");
    check_cores(fm_local_quota_v1("100000\n", "0\n"), INFINITY, "period 0");
    check_cores(fm_local_quota_v1("1 1\n", "1\n"), INFINITY, "two numbers");
}

static void check_membership(const char *text, enum fm_local_cgroup version, const char *expected)
{
    char line[256];
    char *path = NULL;
    snprintf(line, sizeof line, "%s", text);
    CHECK_TRUE(fm_local_quota_membership(line, &path) == version, "%s", text);
    CHECK_EQ_STR(path, expected);
}

TEST(the_own_group_is_found_in_both_versions)
{
    check_membership("0::/user.slice/a:b c\n", FM_LOCAL_CGROUP_V2, "/user.slice/a:b c");
    check_membership("4:cpu,cpuacct:/docker/12\n", FM_LOCAL_CGROUP_V1, "/docker/12");
    check_membership("4:cpuacct,cpu:/", FM_LOCAL_CGROUP_V1, "/");
}

TEST(groups_of_other_controllers_do_not_count)
{
    static const char *const lines[] = {"", "\n", "0", "0:", "0::", "0::a", "3:cpu", "3:cpu:x"};
    char *path;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[32];
        snprintf(line, sizeof line, "%s", lines[i]);
        CHECK_TRUE(fm_local_quota_membership(line, &path) == FM_LOCAL_CGROUP_NONE, "%s", lines[i]);
    }
    char cpuset[] = "3:cpuset,cpuacct:/a";
    CHECK_EQ_INT(fm_local_quota_membership(cpuset, &path), FM_LOCAL_CGROUP_NONE);
    char named[] = "9:name=systemd:/a";
    CHECK_EQ_INT(fm_local_quota_membership(named, &path), FM_LOCAL_CGROUP_NONE);
}

static void check_mount(const char *text, enum fm_local_cgroup version,
                        const char *mounted_expected, const char *point_expected)
{
    char line[256];
    char *mounted = NULL;
    char *point = NULL;
    snprintf(line, sizeof line, "%s", text);
    if (!CHECK_TRUE(fm_local_quota_mount(line, &mounted, &point) == version, "%s", text) ||
        version == FM_LOCAL_CGROUP_NONE)
        return;
    CHECK_EQ_STR(mounted, mounted_expected);
    CHECK_EQ_STR(point, point_expected);
}

TEST(mounts_of_both_versions_are_found)
{
    check_mount(
        "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        FM_LOCAL_CGROUP_V2, "/", "/sys/fs/cgroup");
    check_mount("32 31 0:29 /docker/1 /sys/fs/cgroup/cpu rw master:1 shared:2 - cgroup none rw,cpu",
                FM_LOCAL_CGROUP_V1, "/docker/1", "/sys/fs/cgroup/cpu");
    check_mount("32 31 0:29 / /a\\040b\\134c rw - cgroup2 x rw", FM_LOCAL_CGROUP_V2, "/",
                "/a b\\c");
    check_mount("33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct",
                FM_LOCAL_CGROUP_NONE, NULL, NULL);
    check_mount("22 27 0:21 / /proc rw,relatime - proc proc rw,cpu", FM_LOCAL_CGROUP_NONE, NULL,
                NULL);
    check_mount("31 23 0:28 / /sys/fs/cgroup rw,relatime", FM_LOCAL_CGROUP_NONE, NULL, NULL);
    check_mount("31 23 0:28 / /sys/fs/cgroup rw - cgroup2", FM_LOCAL_CGROUP_NONE, NULL, NULL);
    check_mount("31 23 0:28", FM_LOCAL_CGROUP_NONE, NULL, NULL);
    check_mount("", FM_LOCAL_CGROUP_NONE, NULL, NULL);
}

TEST(a_group_is_looked_for_below_what_is_mounted)
{
    CHECK_EQ_STR(fm_local_quota_below("/", "/a/b"), "/a/b");
    CHECK_EQ_STR(fm_local_quota_below("/", "/"), "");
    CHECK_EQ_STR(fm_local_quota_below("/docker/1", "/docker/1/x"), "/x");
    CHECK_EQ_STR(fm_local_quota_below("/docker/1", "/docker/1"), "");
    CHECK_EQ_STR(fm_local_quota_below("/docker/1", "/docker/12"), "");
    CHECK_EQ_STR(fm_local_quota_below("/docker/1", "/"), "");
    CHECK_EQ_STR(fm_local_quota_below("/", "/../a"), "");
    CHECK_EQ_STR(fm_local_quota_below("/", "/a/.."), "");
    CHECK_EQ_STR(fm_local_quota_below("/", "/..a/b"), "/..a/b");
}

/* ---- Control groups: files --------------------------------------------------------------------- */

/* A root of its own for /proc and what is mounted. */
static char made_root[64];

static void make_root(void)
{
    snprintf(made_root, sizeof made_root, "/tmp/test_topology-XXXXXX");
    if (mkdtemp(made_root) == NULL)
        abort();
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_root(void)
{
    CHECK_EQ_INT(nftw(made_root, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", made_root, path);
    for (char *slash = whole + strlen(made_root); (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        mkdir(whole, 0755);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    if (!CHECK_TRUE(file != NULL, "%s: %s", whole, strerror(errno)))
        return;
    fputs(text, file);
    fclose(file);
}

static void check_root(double expected, const char *of)
{
    check_cores(fm_local_quota_cores(made_root), expected, of);
}

TEST(the_smallest_limit_on_the_way_up_counts)
{
    make_root();
    check_root(INFINITY, "no /proc");
    put("/proc/self/cgroup", "0::/a/b\n");
    check_root(INFINITY, "no mounts");
    put("/proc/self/mountinfo", "1 0 0:1 / / rw - ext4 /dev/sda rw\n"
                                "2 1 0:2 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    check_root(INFINITY, "no limits");
    put("/sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    check_root(8, "own group");
    put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
    check_root(2.5, "the group above is tighter");
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    check_root(1, "a container's root is tighter still");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "1000 100000\n");
    check_root(1, "a group below is somebody else's");
    remove_root();
}

TEST(version_1_counts_beside_version_2_and_inside_a_container)
{
    make_root();
    put("/proc/self/cgroup", "5:cpuset:/docker/1\n4:cpu,cpuacct:/docker/1/x\n0::/docker/1\n");
    put("/proc/self/mountinfo", "2 1 0:2 /docker/1 /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                                "3 1 0:3 /docker/1 /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
                                "4 1 0:4 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    put("/cg/cpuset/cpu.cfs_quota_us", "1\n");
    put("/cg/cpuset/cpu.cfs_period_us", "1\n");
    put("/cg/cpu/x/cpu.cfs_quota_us", "-1\n");
    put("/cg/cpu/x/cpu.cfs_period_us", "100000\n");
    put("/cg/cpu/cpu.cfs_quota_us", "600000\n");
    put("/cg/cpu/cpu.cfs_period_us", "100000\n");
    check_root(6, "version 1");
    put("/cg/unified/docker/1/cpu.max", "500000 100000\n");
    check_root(5, "version 2");
    remove_root();
}

/* ---- Batch systems ----------------------------------------------------------------------------- */

/* Pairs of name and value, ended by NULL. */
static const char *const *environment;

static char *get(const char *name)
{
    static char value[64];
    for (const char *const *entry = environment; *entry != NULL; entry += 2)
        if (strcmp(entry[0], name) == 0) {
            snprintf(value, sizeof value, "%s", entry[1]);
            return value;
        }
    return NULL;
}

#define CHECK_BATCH(processors, name, ...)                              \
    do {                                                                \
        const char *variable = "?";                                     \
        environment = (const char *const[]){__VA_ARGS__, NULL};         \
        CHECK_EQ_INT(fm_local_quota_batch(get, &variable), processors); \
        CHECK_EQ_STR(variable, name);                                   \
    } while (0)

TEST(a_batch_job_is_held_to_what_it_was_given)
{
    CHECK_BATCH(4, "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "16", "SLURM_JOB_ID", "7",
                "SLURM_CPUS_PER_TASK", "4");
    CHECK_BATCH(16, "SLURM_CPUS_ON_NODE", "SLURM_CPUS_ON_NODE", "16", "SLURM_JOB_ID", "7");
    CHECK_BATCH(8, "PBS_NUM_PPN", "PBS_JOBID", "1.host", "PBS_NUM_PPN", "8");
    CHECK_BATCH(12, "NCPUS", "PBS_JOBID", "1.host", "NCPUS", "12");
    CHECK_BATCH(5, "LSB_DJOB_NUMPROC", "LSB_JOBID", "3", "LSB_DJOB_NUMPROC", "5");
    CHECK_BATCH(2, "NSLOTS", "JOB_ID", "3", "NSLOTS", "2");
}

TEST(without_a_job_or_a_readable_number_a_batch_system_limits_nothing)
{
    CHECK_BATCH(0, NULL, "NSLOTS", "2", "NCPUS", "3", "SLURM_CPUS_PER_TASK", "4");
    CHECK_BATCH(0, NULL, "OMP_NUM_THREADS", "1");
    CHECK_BATCH(0, NULL, "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "");
    CHECK_BATCH(0, NULL, "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "0");
    CHECK_BATCH(0, NULL, "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "-3");
    CHECK_BATCH(0, NULL, "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "4(x2)");
    CHECK_BATCH(0, NULL, "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "5000000000");
    CHECK_BATCH(6, "SLURM_CPUS_ON_NODE", "SLURM_JOB_ID", "7", "SLURM_CPUS_PER_TASK", "many",
                "SLURM_CPUS_ON_NODE", "6");
}

/* ---- Mutated text ------------------------------------------------------------------------------ */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* An exact copy, so that a step too far is seen by the sanitizers, with up to 7 bytes replaced. */
static char *mutated(const char *text, uint32_t *state)
{
    static const char likely[] = " :/,-\\\n.0123456789\t\x7f\xff";
    char *copy = strdup(text);
    if (copy == NULL)
        abort();
    const size_t length = strlen(copy);
    for (uint32_t left = next_random(state) % 8; left > 0; left--)
        copy[next_random(state) % length] = likely[next_random(state) % (sizeof likely)];
    return copy;
}

static void parse_mutated(const char *text, uint32_t *state)
{
    char *path = NULL;
    char *point = NULL;
    char *copy = mutated(text, state);
    const double cores = fm_local_quota_v2(copy);
    CHECK_TRUE(cores > 0 && !isnan(cores), "%s: %g cores", copy, cores);
    if (fm_local_quota_membership(copy, &path) != FM_LOCAL_CGROUP_NONE)
        CHECK_TRUE(path[0] == '/', "%s", path);
    free(copy);
    copy = mutated(text, state);
    if (fm_local_quota_mount(copy, &path, &point) != FM_LOCAL_CGROUP_NONE) {
        const char *below = fm_local_quota_below(path, point);
        CHECK_TRUE(path[0] == '/' && (below[0] == '/' || below[0] == '\0'), "%s %s", path, point);
    }
    free(copy);
}

TEST(mutated_text_is_read_or_ignored)
{
    uint32_t state = 20240917;
    for (int i = 0; i < 5000; i++) {
        parse_mutated("350000 100000\n", &state);
        parse_mutated("4:cpu,cpuacct:/docker/1/x\n", &state);
        parse_mutated("2 1 0:2 /do\\040r/1 /cg/c\\134u rw a:1 - cgroup cgroup rw,cpu,cpuacct\n",
                      &state);
    }
}
