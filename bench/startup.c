/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/startup: what it costs a program to link fastmap without calling it, and how long the first
 * map that needs the threads takes to set them up. Runs the programs start_plain and start_linked,
 * which lie beside it, many times in turn.
 */
#include "clock.h"
#include "stats.h"

#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { rounds = 101, pools = 31 };

extern char **environ;

/* The path of a program in this program's folder. */
static void beside(const char *name, char path[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(path, '/');
    const size_t folder = slash != NULL ? (size_t)(slash + 1 - path) : 0;
    snprintf(path + folder, PATH_MAX - folder, "%s", name);
}

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "startup: %s %s: build it by 'make bench'\n", what, path);
    exit(2);
}

/* Seconds from fork to the end of the program. */
static double run_once(char *path)
{
    char *const arguments[] = {path, NULL};
    pid_t child;
    int status = 0;
    const double start = bench_now();
    if (posix_spawn(&child, path, NULL, NULL, arguments, environ) != 0)
        fail("cannot run", path);
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("a failing run of", path);
    return bench_now() - start;
}

static void print_starts(char *plain, char *linked)
{
    double without[rounds], with[rounds], difference[rounds];
    run_once(plain), run_once(linked);
    for (int i = 0; i < rounds; i++) {
        without[i] = run_once(plain);
        with[i] = run_once(linked);
        difference[i] = with[i] - without[i];
    }
    printf("\nA program from fork to exit, median of %d runs in turn\n", rounds);
    printf("  does not know fastmap           %7.3f ms\n",
           1e3 * bench_quantile(without, rounds, 0.5));
    printf("  links fastmap, never calls it   %7.3f ms\n", 1e3 * bench_quantile(with, rounds, 0.5));
    printf("  difference                      %7.3f ms   (to reach: 1)\n",
           1e3 * bench_quantile(difference, rounds, 0.5));
}

/* The program's own times, of its first and its second map. */
static void first_map(const char *linked, double *first_ns, double *second_ns, unsigned *missed)
{
    char command[PATH_MAX + 16];
    snprintf(command, sizeof command, "'%s' first", linked);
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): a program of this bench */
    if (pipe == NULL || fscanf(pipe, "%lf %lf %u", first_ns, second_ns, missed) != 3)
        fail("no times from", linked);
    pclose(pipe);
}

static void print_pool(const char *linked)
{
    double first[pools], second[pools];
    unsigned missed = 0;
    for (int i = 0; i < pools; i++) {
        unsigned now = 0;
        first_map(linked, &first[i], &second[i], &now);
        missed += now;
    }
    printf("\nA map of two elements that wait for each other, median of %d new processes\n", pools);
    printf("  the first one, sets up the pool %7.3f ms   (to reach: 10)\n",
           1e-6 * bench_quantile(first, pools, 0.5));
    printf("  the second one                  %7.3f ms\n",
           1e-6 * bench_quantile(second, pools, 0.5));
    if (missed > 0)
        printf("  %u maps were not shared within 0.5 s, so these times say nothing\n", missed);
}

int main(void)
{
    char plain[PATH_MAX], linked[PATH_MAX];
    beside("start_plain", plain);
    beside("start_linked", linked);
    print_starts(plain, linked);
    print_pool(linked);
    return 0;
}
