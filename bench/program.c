/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/program: how fast files are digested, and what it costs to know this program's travelling files: when
 * nothing of them is known, in the next process (the cache's file is read), and again in the same process.
 */
#include "clock.h"
#include "shim.h"
#include "stats.h"

#include <fastmap.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "program/digest.h"
#include "program/program.h"

enum { rounds = 9, again = 31 };

#define FILE_BYTES ((size_t)256 << 20)

static char folder[] = "/tmp/fastmap-bench.XXXXXX";

static void fail(const char *what)
{
    fprintf(stderr, "program: %s\n", what);
    exit(2);
}

static void remove_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        fprintf(stderr, "program: %s stays\n", folder);
}

/* Without a name, so that nothing is left of it. */
static int big_file(void)
{
    static char block[1 << 20];
    FILE *file = tmpfile();
    if (file == NULL)
        fail("no temporary file");
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 2654435761u >> 13);
    for (size_t i = 0; i < FILE_BYTES / sizeof block; i++)
        if (fwrite(block, sizeof block, 1, file) != 1)
            fail("no room for a file of 256 MiB");
    fflush(file);
    return fileno(file);
}

/* A file whose time of change is now is never taken from the cache. */
static double digest_once(int fd)
{
    uint8_t sha256[FM_PROGRAM_SHA256];
    uint64_t bytes;
    futimens(fd, NULL);
    const double start = bench_now();
    if (fm_program_digest_file(fd, "the file", sha256, &bytes) != 0)
        fail(fm_base_last_error());
    return bench_now() - start;
}

static void print_speed(void)
{
    double seconds[rounds];
    const int fd = big_file();
    digest_once(fd);
    for (int i = 0; i < rounds; i++)
        seconds[i] = digest_once(fd);
    printf("digest of a file in memory    %.2f GB/s (quartiles %.2f to %.2f)\n",
           1e-9 * (double)FILE_BYTES / bench_quantile(seconds, rounds, 0.5),
           1e-9 * (double)FILE_BYTES / bench_quantile(seconds, rounds, 0.75),
           1e-9 * (double)FILE_BYTES / bench_quantile(seconds, rounds, 0.25));
}

static double gather_once(struct fm_program *program)
{
    const double start = bench_now();
    if (fm_program_gather(NULL, bench_shim(), program) != 0)
        fail(fm_base_last_error());
    return bench_now() - start;
}

/* The median of several times, with what is known before each. */
static void print_gather(const char *name, int times, void (*prepare)(void))
{
    double seconds[again];
    char text[FM_BASE_UNITS_BYTES];
    struct fm_program program;
    for (int i = 0; i < times; i++) {
        prepare();
        seconds[i] = gather_once(&program);
        fm_program_free(&program);
    }
    printf("%-29s %s\n", name,
           fm_base_units_seconds(bench_quantile(seconds, (size_t)times, 0.5), text));
}

static void know_nothing(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/fastmap/digests", folder);
    unlink(path);
    fm_program_cache_forget();
}

static void know_all(void)
{
}

int main(void)
{
    char text[FM_BASE_UNITS_BYTES];
    struct fm_program program;
    if (mkdtemp(folder) == NULL || setenv("XDG_CACHE_HOME", folder, 1) != 0)
        fail("no temporary folder");
    atexit(remove_folder);
    printf("Travelling programs, fastmap %s\n", fastmap_version());
    print_speed();
    gather_once(&program);
    printf("this program                  %zu files, %s\n", program.count,
           fm_base_units_bytes(program.bytes, text));
    fm_program_free(&program);
    print_gather("  nothing known", rounds, know_nothing);
    print_gather("  in the next process", again, fm_program_cache_forget);
    print_gather("  again in the same", again, know_all);
    return 0;
}
