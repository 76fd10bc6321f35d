/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Control groups: /proc/self/cgroup names the groups of this process, /proc/self/mountinfo where their
 * hierarchies can be seen. A limit on a group holds for all below it, so every folder from the group's
 * own up to the mount point is asked, and the smallest answer counts. In a container the mount often
 * begins at the container's own group; limits further up cannot be seen from inside.
 *
 * Batch systems: most confine a job with a cpuset or an affinity mask, and then the mask is all that
 * counts. Some sites do not, and a job that was given 4 processors of a shared node must still not take
 * 128. So the variables in the table below cap the default number of threads. They count only beside
 * the variable that shows a job of that system, as names such as NSLOTS and NCPUS are anybody's.
 *
 * OMP_NUM_THREADS is left out on purpose: people set it to 1 to keep libraries inside an element (BLAS)
 * serial because a map around them is parallel, and would get a serial map for it.
 */
#include "tier/local/quota.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_BYTES = 64 }; /* two 64-bit numbers in decimal fit */

/* ---- Numbers ----------------------------------------------------------------------------------- */

/* Takes a whole decimal number above 0 off *text; false, with *text unchanged, where there is none. */
static bool take_positive(const char **text, long long *value)
{
    if (**text < '0' || **text > '9') /* strtoll would take blanks and signs */
        return false;
    char *end;
    errno = 0;
    *value = strtoll(*text, &end, 10);
    if (errno != 0 || *value <= 0)
        return false;
    *text = end;
    return true;
}

static bool is_end(const char *text)
{
    return *text == '\0' || (*text == '\n' && text[1] == '\0');
}

double fm_local_quota_v2(const char *cpu_max)
{
    long long quota_us;
    long long period_us;
    if (!take_positive(&cpu_max, &quota_us) || *cpu_max != ' ')
        return INFINITY;
    cpu_max++;
    if (!take_positive(&cpu_max, &period_us) || !is_end(cpu_max))
        return INFINITY;
    return (double)quota_us / (double)period_us;
}

double fm_local_quota_v1(const char *quota_us, const char *period_us)
{
    long long quota;
    long long period;
    if (!take_positive(&quota_us, &quota) || !is_end(quota_us))
        return INFINITY;
    if (!take_positive(&period_us, &period) || !is_end(period_us))
        return INFINITY;
    return (double)quota / (double)period;
}

/* ---- Lines of /proc ---------------------------------------------------------------------------- */

/* Whether a comma-separated list has the word. */
static bool has_word(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static void cut_newline(char *line)
{
    line[strcspn(line, "\n")] = '\0';
}

enum fm_local_cgroup fm_local_quota_membership(char *line, char **path)
{
    cut_newline(line);
    const char *number = strsep(&line, ":");
    const char *controllers = line == NULL ? NULL : strsep(&line, ":");
    if (line == NULL || line[0] != '/')
        return FM_LOCAL_CGROUP_NONE;
    *path = line;
    if (strcmp(number, "0") == 0 && controllers[0] == '\0')
        return FM_LOCAL_CGROUP_V2;
    return has_word(controllers, "cpu") ? FM_LOCAL_CGROUP_V1 : FM_LOCAL_CGROUP_NONE;
}

static bool is_octal(char c, char highest)
{
    return c >= '0' && c <= highest;
}

/* In place: mountinfo writes blanks, backslashes and '#' as a backslash and three octal digits. */
static void unescape(char *text)
{
    char *to = text;
    while (*text != '\0') {
        if (text[0] == '\\' && is_octal(text[1], '3') && is_octal(text[2], '7') &&
            is_octal(text[3], '7')) {
            *to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

/* Fields: id, parent, device, mounted folder, mount point, options, any number of tags, "-", type,
   source, the file system's own options (for version 1, its controllers). */
enum fm_local_cgroup fm_local_quota_mount(char *line, char **mounted, char **point)
{
    enum { MOUNTED = 3, POINT = 4, FIXED = 6 };
    char *field[FIXED];
    cut_newline(line);
    for (int i = 0; i < FIXED; i++)
        if ((field[i] = strsep(&line, " ")) == NULL)
            return FM_LOCAL_CGROUP_NONE;
    const char *tag;
    do
        tag = strsep(&line, " ");
    while (tag != NULL && strcmp(tag, "-") != 0);
    const char *type = strsep(&line, " ");
    const char *source = strsep(&line, " ");
    if (source == NULL || line == NULL || field[MOUNTED][0] != '/' || field[POINT][0] != '/')
        return FM_LOCAL_CGROUP_NONE;
    *mounted = field[MOUNTED];
    *point = field[POINT];
    unescape(*mounted);
    unescape(*point);
    if (strcmp(type, "cgroup2") == 0)
        return FM_LOCAL_CGROUP_V2;
    return strcmp(type, "cgroup") == 0 && has_word(line, "cpu") ? FM_LOCAL_CGROUP_V1
                                                                : FM_LOCAL_CGROUP_NONE;
}

static bool goes_up(const char *path)
{
    for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 1, "/.."))
        if (at[3] == '/' || at[3] == '\0')
            return true;
    return false;
}

const char *fm_local_quota_below(const char *mounted, const char *path)
{
    const size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    const bool below = strncmp(path, mounted, length) == 0 && path[length] == '/';
    return below && !goes_up(path) && path[length + 1] != '\0' ? path + length : "";
}

/* ---- Files ------------------------------------------------------------------------------------- */

static FILE *open_below(const char *folder, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return NULL;
    FILE *file = fopen(path, "re");
    free(path);
    return file;
}

/* The file's first line; "" where there is none. */
static const char *read_line(const char *folder, const char *name, char text[LIMIT_BYTES])
{
    FILE *file = open_below(folder, name);
    if (file == NULL || fgets(text, LIMIT_BYTES, file) == NULL)
        text[0] = '\0';
    if (file != NULL)
        (void)fclose(file);
    return text;
}

static double limit_of_folder(enum fm_local_cgroup version, const char *folder)
{
    char quota[LIMIT_BYTES];
    char period[LIMIT_BYTES];
    if (version == FM_LOCAL_CGROUP_V2)
        return fm_local_quota_v2(read_line(folder, "cpu.max", quota));
    return fm_local_quota_v1(read_line(folder, "cpu.cfs_quota_us", quota),
                             read_line(folder, "cpu.cfs_period_us", period));
}

/* The least limit from the group `below` a mount point up to the mount point itself. */
static double limit_of_path(enum fm_local_cgroup version, const char *root, const char *point,
                            const char *below)
{
    char *folder;
    const int length = asprintf(&folder, "%s%s%s", root, point, below);
    if (length < 0)
        return INFINITY;
    char *const top = folder + length - strlen(below);
    double cores = limit_of_folder(version, folder);
    while (*top != '\0') {
        *strrchr(top, '/') = '\0'; /* there is one: `below` begins with it */
        cores = fmin(cores, limit_of_folder(version, folder));
    }
    free(folder);
    return cores;
}

/* The process's group in a hierarchy, as /proc/self/cgroup has it; NULL: none. To be freed. */
static char *own_group(const char *proc, enum fm_local_cgroup version)
{
    FILE *file = open_below(proc, "cgroup");
    if (file == NULL)
        return NULL;
    char *line = NULL;
    char *group = NULL;
    size_t room = 0;
    while (group == NULL && getline(&line, &room, file) >= 0) {
        char *path;
        if (fm_local_quota_membership(line, &path) == version)
            group = strdup(path);
    }
    free(line);
    (void)fclose(file);
    return group;
}

static double limit_of_version(enum fm_local_cgroup version, const char *root, const char *proc)
{
    double cores = INFINITY;
    char *group = own_group(proc, version);
    FILE *mounts = group == NULL ? NULL : open_below(proc, "mountinfo");
    char *line = NULL;
    size_t room = 0;
    while (mounts != NULL && getline(&line, &room, mounts) >= 0) {
        char *mounted;
        char *point;
        if (fm_local_quota_mount(line, &mounted, &point) != version)
            continue;
        const char *below = fm_local_quota_below(mounted, group);
        cores = fmin(cores, limit_of_path(version, root, point, below));
    }
    free(line);
    if (mounts != NULL)
        (void)fclose(mounts);
    free(group);
    return cores;
}

double fm_local_quota_cores(const char *root)
{
    char *proc;
    if (asprintf(&proc, "%s/proc/self", root) < 0)
        return INFINITY;
    const double cores = fmin(limit_of_version(FM_LOCAL_CGROUP_V1, root, proc),
                              limit_of_version(FM_LOCAL_CGROUP_V2, root, proc));
    free(proc);
    return cores;
}

/* ---- Batch systems ------------------------------------------------------------------------------- */

/* The first row counts whose job is running and whose number can be read. Grid Engine and LSF count a
   job's processors on all its hosts: more than on this one, so still an upper bound. */
static const struct {
    const char *job;        /* there in every job of the system */
    const char *processors; /* what the job, or the task, was given */
} batch_rows[] = {
    {"SLURM_JOB_ID", "SLURM_CPUS_PER_TASK"}, /* only with --cpus-per-task */
    {"SLURM_JOB_ID", "SLURM_CPUS_ON_NODE"},
    {"PBS_JOBID", "PBS_NUM_PPN"}, /* Torque */
    {"PBS_JOBID", "NCPUS"},       /* PBS Professional, OpenPBS */
    {"LSB_JOBID", "LSB_DJOB_NUMPROC"},
    {"JOB_ID", "NSLOTS"}, /* Grid Engine */
};

int fm_local_quota_batch(char *(*get)(const char *name), const char **variable)
{
    *variable = NULL;
    for (size_t row = 0; row < sizeof batch_rows / sizeof batch_rows[0]; row++) {
        const bool is_job = get(batch_rows[row].job) != NULL;
        const char *text = is_job ? get(batch_rows[row].processors) : NULL;
        long long processors;
        if (text != NULL && take_positive(&text, &processors) && is_end(text) &&
            processors <= INT_MAX) {
            *variable = batch_rows[row].processors;
            return (int)processors;
        }
    }
    return 0;
}
