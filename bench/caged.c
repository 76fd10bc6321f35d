/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sandbox of fastmapd costs: this very program is uploaded to a store, staged, and its elements
 * are computed by workers. `bench/caged` prints, medians:
 *     unknown program   upload of all its files, tree, worker, one span of 64 bytes
 *     known program     tree looked up, worker, one span
 *     warm              one span of 64 bytes to a worker that waits, and such spans a second, 16 in flight,
 *                       with the CPU time that this process (not the worker) spent on each
 *     1 MiB echo        bytes there and back a second: written here, copied by the worker, read here
 *     bare              the same 1 MiB copied three times within this process
 */
#include <fastmap.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../launchers/fastmapd/pool.h"
#include "base/clock.h"
#include "base/error.h"
#include "program/module.h"
#include "program/program.h"
#include "shim.h"
#include "stats.h"

#define MIB ((size_t)1 << 20)
#define MS 1000000.0
#define FLIGHT 16

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the flags of spans that are done */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct fmd_store *store;
static struct fmd_pool *pool;
static struct fm_program program;

static int echo_small(const void *in, void *out, const void *shared)
{
    (void)shared;
    memcpy(out, in, 64);
    return fastmap_index() == SIZE_MAX; /* also what makes this program need libfastmap.so */
}

static int echo_large(const void *in, void *out, const void *shared)
{
    (void)shared;
    memcpy(out, in, MIB);
    return 0;
}

static void need(int is_fine, const char *what)
{
    if (is_fine)
        return;
    fprintf(stderr, "bench/caged: %s: %s\n", what, fm_base_last_error());
    exit(1);
}

/* ---- The client's side ---- */

static void upload_file(const char *account, const struct fm_program_file *file)
{
    static char bytes[1 << 20];
    struct fmd_store_part *part;
    struct fmd_store_blob blob;
    ssize_t got;
    const int fd = open(file->source != NULL ? file->source : file->path, O_RDONLY | O_CLOEXEC);
    need(fd >= 0 && fmd_store_part_begin(store, account, file->sha256, file->bytes, 0, file->bytes,
                                         &part, &blob) == 0,
         file->path);
    while (part != NULL && (got = read(fd, bytes, sizeof bytes)) > 0)
        need(fmd_store_part_write(part, bytes, (size_t)got) == 0, file->path);
    need(part == NULL || fmd_store_part_end(part, true, &blob) == 0, file->path);
    close(fd);
}

static void upload(const char *account)
{
    uint8_t name[FMD_STORE_SHA256];
    struct fmd_store_missing *missing = NULL;
    size_t count;
    (void)fmd_store_program(store, account, program.manifest, program.manifest_bytes, name,
                            &missing, &count);
    free(missing);
    for (size_t i = 0; i < program.count; i++)
        upload_file(account, &program.files[i]);
}

static struct fmd_map *open_map(const char *account, fastmap_func *func, size_t bytes,
                                unsigned vcpus)
{
    struct fmd_tree *tree;
    struct fmd_store_missing *missing = NULL;
    size_t count;
    struct fmd_map *map;
    static struct fm_program_function function;
    const void *address;
    memcpy(&address, &func, sizeof address);
    need(fm_program_locate(address, &function) == 0, "locate");
    need(fmd_store_stage(store, account, program.sha256, &tree, &missing, &count) == 0, "stage");
    const struct fmd_pool_terms terms = {.account = account,
                                         .module = function.module,
                                         .offset = function.offset,
                                         .in_size = bytes,
                                         .out_size = bytes,
                                         .shared_fd = -1,
                                         .vcpus = vcpus};
    need(fmd_pool_map_open(pool, tree, &terms, &map) == 0, "map");
    return map;
}

static void done(struct fmd_span *span, const struct fmd_span_result *result, void *user)
{
    bool *is_done = user;
    (void)span;
    if (result->status != FMD_SPAN_DONE) {
        fprintf(stderr, "bench/caged: status %d: %s\n", result->status, result->sentence);
        exit(1);
    }
    pthread_mutex_lock(&mutex);
    *is_done = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_for(const bool *is_done)
{
    pthread_mutex_lock(&mutex);
    while (!*is_done)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static struct fmd_span *send_span(struct fmd_map *map, size_t bytes, const char *input,
                                  uint64_t index, bool *is_done)
{
    struct fmd_span *span = fmd_span_reserve(map, index, 1);
    need(span != NULL, "reserve");
    memcpy(fmd_span_in(span), input, bytes);
    *is_done = false;
    fmd_span_commit(span, UINT64_MAX / 4, done, is_done);
    return span;
}

/* `count` spans, `flight` at a time; their outputs are read. Seconds. */
static double run_spans(struct fmd_map *map, size_t bytes, unsigned count, unsigned flight)
{
    static char input[MIB], output[MIB];
    struct fmd_span *spans[FLIGHT];
    bool are_done[FLIGHT]; /* protected by the mutex */
    memset(input, 7, sizeof input);
    const uint64_t begun_ns = fm_base_now_ns();
    for (unsigned i = 0; i < count + flight; i++) {
        if (i >= flight) {
            wait_for(&are_done[i % flight]);
            memcpy(output, fmd_span_out(spans[i % flight]), bytes);
            fmd_span_release(spans[i % flight]);
        }
        if (i < count)
            spans[i % flight] = send_span(map, bytes, input, i, &are_done[i % flight]);
    }
    return (double)(fm_base_now_ns() - begun_ns) / 1e9;
}

/* ---- What is measured ---- */

static double cold_ms(unsigned round, int is_known)
{
    char account[32];
    snprintf(account, sizeof account, "a%u", is_known ? 0 : round + 1);
    const uint64_t begun_ns = fm_base_now_ns();
    if (!is_known)
        upload(account);
    struct fmd_map *map = open_map(account, echo_small, 64, 1);
    (void)run_spans(map, 64, 1, 1);
    const double ms = (double)(fm_base_now_ns() - begun_ns) / MS;
    fmd_pool_map_close(map);
    return ms;
}

static double median_cold_ms(int is_known, unsigned rounds)
{
    double ms[32];
    for (unsigned i = 0; i < rounds; i++)
        ms[i] = cold_ms(i, is_known);
    return bench_quantile(ms, rounds, 0.5);
}

static double own_cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static void measure_warm(void)
{
    double us[101];
    struct fmd_map *map = open_map("a0", echo_small, 64, 2);
    (void)run_spans(map, 64, 100, 1);
    for (int i = 0; i < 101; i++)
        us[i] = run_spans(map, 64, 1, 1) * 1e6;
    printf("warm               %8.1f us\n", bench_quantile(us, 101, 0.5));
    const double before_us = own_cpu_us(), seconds = run_spans(map, 64, 20000, FLIGHT);
    printf("64-byte spans      %8.0f a second, %.1f us of the service's CPU time each\n",
           20000 / seconds, (own_cpu_us() - before_us) / 20000);
    fmd_pool_map_close(map);
}

static double bare_seconds(unsigned count)
{
    static char a[MIB], b[MIB], c[MIB];
    memset(c, 1, sizeof c);
    const uint64_t begun_ns = fm_base_now_ns();
    for (unsigned i = 0; i < count; i++) {
        memcpy(a, c, MIB);
        memcpy(b, a, MIB);
        memcpy(c, b, MIB);
        c[i % MIB]++;
    }
    return (double)(fm_base_now_ns() - begun_ns) / 1e9;
}

static void measure_echo(void)
{
    enum { COUNT = 2000 };
    struct fmd_map *map = open_map("a0", echo_large, MIB, 2);
    (void)run_spans(map, MIB, 100, FLIGHT);
    const double one = run_spans(map, MIB, COUNT, 1), many = run_spans(map, MIB, COUNT, FLIGHT);
    const double bare = bare_seconds(COUNT), bytes = (double)COUNT * MIB / 1e9;
    printf("1 MiB echo         %8.2f GB/s each way with one span in flight, %.2f with %d\n",
           bytes / one, bytes / many, FLIGHT);
    printf("bare               %8.2f GB/s for the same three copies\n", bytes / bare);
    fmd_pool_map_close(map);
}

int main(void)
{
    const struct fmd_store_limits limits = {(uint64_t)1 << 32, (uint64_t)1 << 32,
                                            (uint64_t)1 << 34};
    const struct fmd_pool_config config = {.worker_bytes = (uint64_t)1 << 30,
                                           .scratch_bytes = (uint64_t)64 << 20,
                                           .span_ns = UINT64_C(60000000000),
                                           .idle_ns = UINT64_C(10000000000),
                                           .start_ns = UINT64_C(10000000000)};
    char folder[] = "/tmp/fastmapd-bench.XXXXXX", command[64];
    need(fmd_pool_open(&config, &pool) == 0, "pool");
    need(mkdtemp(folder) != NULL && fmd_store_open(folder, &limits, &store) == 0, "store");
    need(fm_program_gather(NULL, bench_shim(), &program) == 0, "program");
    upload("a0");
    printf("confinement        %s\n", fmd_pool_confinement(pool));
    printf("program            %8.1f MB in %zu files\n", (double)program.bytes / 1e6,
           program.count);
    printf("unknown program    %8.1f ms\n", median_cold_ms(0, 15));
    printf("known program      %8.1f ms\n", median_cold_ms(1, 31));
    measure_warm();
    measure_echo();
    fmd_pool_close(pool);
    fmd_store_close(store);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0;
}
