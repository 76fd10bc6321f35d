/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much processor time this process was given, where no processor mask says so: bandwidth limits of
 * its control groups, and what a batch system put into the environment. Both are only read here; what
 * follows from them for the number of threads is topology.c's to decide.
 *
 * The functions over text are pure; text they cannot make sense of is no limit.
 */
#ifndef FM_LOCAL_QUOTA_H
#define FM_LOCAL_QUOTA_H

#include <stdbool.h>

/* Cores' worth of processor time that the control groups grant this process: the least of all limits on
   the way from its own group up to the mount, in versions 1 and 2. INFINITY: no limit, or none visible.
   `root` goes before /proc and every mount point: "" but in tests. */
double fm_local_quota_cores(const char *root);

/* Logical processors that the batch system says the job has here, and in *variable what says so; 0 and
   NULL: no batch system, or it does not say. `get` is getenv but in tests. */
int fm_local_quota_batch(char *(*get)(const char *name), const char **variable);

/* ---- The formats, for tests ---------------------------------------------------------------------- */

/* Version 2: the text of cpu.max, "max 100000" or "50000 100000" (microseconds in each period). */
double fm_local_quota_v2(const char *cpu_max);

/* Version 1: the texts of cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us. */
double fm_local_quota_v1(const char *quota_us, const char *period_us);

/* Which hierarchy limits processor time; both may exist at once. */
enum fm_local_cgroup { FM_LOCAL_CGROUP_NONE, FM_LOCAL_CGROUP_V1, FM_LOCAL_CGROUP_V2 };

/* A line of /proc/self/cgroup ("0::/a/b", "4:cpu,cpuacct:/a/b"). The line is cut up; *path points into
   it, and is set unless the answer is NONE. */
enum fm_local_cgroup fm_local_quota_membership(char *line, char **path);

/* A line of /proc/self/mountinfo: likewise, with the group that is mounted and where it is. */
enum fm_local_cgroup fm_local_quota_mount(char *line, char **mounted, char **point);

/* The part of a group's path below the mounted group: "" or "/b/c", pointing into path. "" also where the
   group is not below it, as the mount point is then the nearest that can be seen. */
const char *fm_local_quota_below(const char *mounted, const char *path);

#endif
