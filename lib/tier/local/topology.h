/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan: which core each worker thread is bound to, who is near whom, and how many workers a process
 * should have. A plan is made once, when a map is first worth more than one thread, and never changes;
 * every function on a `const` plan may be called from any thread.
 *
 * core     physical core with at least one processor (hardware thread, PU) that the process may use;
 *          numbered from 0 in the order in which workers are laid out: worker w has core w % cores
 * domain   what shares memory bandwidth: the smaller of NUMA domain and package
 */
#ifndef FM_LOCAL_TOPOLOGY_H
#define FM_LOCAL_TOPOLOGY_H

#include <stddef.h>

struct fm_local_plan;

/* Limits on the number of workers that no processor mask shows: see quota.h. */
struct fm_local_limits {
    double quota_cores;         /* INFINITY: none */
    int batch_processors;       /* 0: none */
    const char *batch_variable; /* where batch_processors comes from; a constant, or NULL */
};

/* Processors in the calling thread's affinity mask, at least 1: one system call, no hwloc. An upper bound
   for the cores of a plan, unless other threads of the process have wider masks. */
int fm_local_allowed_cpus(void);

/* Plans for this process and its limits. The cores are those that any of its threads may use now, so it
   is called before there are workers. Loading the topology takes some milliseconds. Where hwloc does not
   know the machine: a plan that binds nothing, for as many cores as the affinity mask has processors;
   describe says why. 0, or MEMORY (then *plan is untouched). */
int fm_local_plan_make(struct fm_local_plan **plan);

/* The same for a given machine and limits. synthetic: a description as in HWLOC_SYNTHETIC; NULL: this
   machine, or what hwloc's environment variables say. allowed: list of processors ("0-3,8") that the
   process may use of those it may anyway; NULL: all. */
int fm_local_plan_make_from(const char *synthetic, const char *allowed,
                            const struct fm_local_limits *limits, struct fm_local_plan **plan);

void fm_local_plan_free(struct fm_local_plan *plan); /* NULL is allowed */

int fm_local_plan_cores(const struct fm_local_plan *plan);

/* Threads to use where the user does not say: one a core, but no more than the limits allow (a quota is
   rounded up), at least 1. */
int fm_local_plan_default(const struct fm_local_plan *plan);

/* Binds the calling thread to all allowed processors of the worker's core. -1 where the system refuses
   (the thread keeps its mask). Does nothing, with success, for a topology that is not this system's. */
int fm_local_plan_bind(const struct fm_local_plan *plan, int worker);

/* The core that has processor `cpu` (the operating system's number), also where only another processor of
   that core is allowed; -1: none of the plan. A table look-up. */
int fm_local_plan_core_of_cpu(const struct fm_local_plan *plan, int cpu);

/* Fills order[0 .. workers - 2] with the other workers, those first that share the most with `worker` (a
   core, then caches, then the domain, ...), and returns how many of them are in its domain. Equals begin
   after the worker's own number and wrap around, so that thieves do not all attack the same victim.
   0 <= worker < workers. */
int fm_local_plan_order(const struct fm_local_plan *plan, int worker, int workers, int *order);

/* One line for people, such as "2 packages, 4 NUMA domains, 128 cores (SMT 2), quota 3.5 cores ->
   4 workers; worker 0: core 0 (PUs 0,64), worker 1: core 64 (PUs 32,96), ...", with cores and PUs as
   lstopo numbers them (logical and physical). Cut to size; returns the length that it would have
   uncut, as snprintf does. */
int fm_local_plan_describe(const struct fm_local_plan *plan, char *text, size_t size);

#endif
