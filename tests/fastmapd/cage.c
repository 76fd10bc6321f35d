/* SPDX-License-Identifier: BSD-3-Clause */
/* See cage.h. */
#include "cage.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "base/error.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* protects outcomes */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct fmd_pool_config cage_config(void)
{
    return (struct fmd_pool_config){.vcpus = 2,
                                    .worker_bytes = (uint64_t)64 << 20,
                                    .scratch_bytes = (uint64_t)8 << 20,
                                    .span_ns = 20000 * MS,
                                    .idle_ns = 10000 * MS,
                                    .start_ns = 10000 * MS};
}

static const char *build_path(char path[512], const char *name)
{
    const char *folder = getenv("builddir");
    snprintf(path, 512, "%s/%s", folder != NULL ? folder : ".", name);
    return path;
}

static bool read_table(struct cage *cage, const char *path)
{
    FILE *listed = popen(path, "r");
    const size_t bytes =
        listed != NULL ? fread(cage->table + 1, 1, sizeof cage->table - 2, listed) : 0;
    cage->table[0] = '\n';
    return CHECK_TRUE(listed != NULL && pclose(listed) == 0 && bytes > 0, "%s lists nothing", path);
}

/* The store is asked for what it lacks, and gets it in two parts each. */
static bool send_blob(struct cage *cage, const char *account, const struct fm_program_file *file)
{
    static char bytes[1 << 20];
    struct fmd_store_blob blob = {0};
    struct fmd_store_part *part;
    const int fd = open(file->source != NULL ? file->source : file->path, O_RDONLY | O_CLOEXEC);
    enum fmd_store_answer answer = FMD_STORE_INTERNAL;
    for (uint64_t at = 0; fd >= 0 && !blob.complete; at = blob.have) {
        const uint64_t count = at == 0 && file->bytes > 1 ? file->bytes / 2 : file->bytes - at;
        answer = fmd_store_part_begin(cage->store, account, file->sha256, file->bytes, at, count,
                                      &part, &blob);
        if (answer != FMD_STORE_OK || part == NULL)
            break;
        for (uint64_t sent = 0; sent < count && answer == FMD_STORE_OK;) {
            const size_t most = count - sent < sizeof bytes ? (size_t)(count - sent) : sizeof bytes;
            const ssize_t got = pread(fd, bytes, most, (off_t)(at + sent));
            answer = got > 0 ? fmd_store_part_write(part, bytes, (size_t)got) : FMD_STORE_INTERNAL;
            sent += got > 0 ? (uint64_t)got : 0;
        }
        const enum fmd_store_answer end = fmd_store_part_end(part, answer == FMD_STORE_OK, &blob);
        answer = answer == FMD_STORE_OK ? end : answer;
        if (answer != FMD_STORE_OK)
            break;
    }
    if (fd >= 0)
        close(fd);
    return CHECK_TRUE(answer == FMD_STORE_OK, "%s: answer %d (%s)", file->path, answer,
                      fm_base_last_error());
}

bool cage_upload(struct cage *cage, const char *account)
{
    uint8_t name[FMD_STORE_SHA256];
    struct fmd_store_missing *missing = NULL;
    size_t count = 0;
    enum fmd_store_answer answer =
        fmd_store_program(cage->store, account, cage->program.manifest,
                          cage->program.manifest_bytes, name, &missing, &count);
    free(missing);
    if (!CHECK_TRUE(answer == FMD_STORE_OK || answer == FMD_STORE_MISSING, "answer %d: %s", answer,
                    fm_base_last_error()) ||
        !CHECK_EQ_MEM(name, cage->program.sha256, sizeof name))
        return false;
    for (size_t i = 0; i < cage->program.count; i++)
        if (!send_blob(cage, account, &cage->program.files[i]))
            return false;
    return true;
}

static void log_line(const char *sentence)
{
    printf("# %s\n", sentence);
    fflush(stdout);
}

bool cage_open(struct cage *cage, const struct fmd_pool_config *config, const char *program,
               const char **why)
{
    const struct fmd_store_limits limits = {(uint64_t)1 << 30, (uint64_t)4 << 30,
                                            (uint64_t)8 << 30};
    struct fmd_pool_config own = *config;
    char path[512], shim[512];
    memset(cage, 0, sizeof *cage);
    strcpy(cage->folder, "/tmp/fastmapd-test.XXXXXX");
    own.log = log_line;
    *why = NULL;
    setenv("XDG_CACHE_HOME", "/nonexistent", 1);
    if (fmd_pool_open(&own, &cage->pool) != 0) {
        *why = fm_base_last_error();
        return false;
    }
    build_path(path, program);
    build_path(shim, ".libs/fastmap-worker.so");
    return CHECK_TRUE(mkdtemp(cage->folder) != NULL, "%s", cage->folder) &&
           read_table(cage, path) &&
           CHECK_EQ_INT(fmd_store_open(cage->folder, &limits, &cage->store), FMD_STORE_OK) &&
           CHECK_TRUE(fm_program_gather_path(path, NULL, shim, &cage->program) == 0, "%s",
                      fm_base_last_error()) &&
           cage_upload(cage, "ada");
}

void cage_close(struct cage *cage)
{
    char command[128];
    if (cage->pool != NULL)
        fmd_pool_close(cage->pool);
    if (cage->store != NULL)
        fmd_store_close(cage->store);
    fm_program_free(&cage->program);
    snprintf(command, sizeof command, "rm -rf '%s'", cage->folder);
    if (cage->folder[strlen(cage->folder) - 1] != 'X' && system(command) != 0)
        fprintf(stderr, "# %s stays\n", cage->folder);
    memset(cage, 0, sizeof *cage);
}

static bool find_offset(const struct cage *cage, const char *function, uint64_t *offset)
{
    char line[80];
    snprintf(line, sizeof line, "\n%s ", function);
    const char *found = strstr(cage->table, line);
    if (found != NULL)
        *offset = strtoull(found + strlen(line), NULL, 10);
    return CHECK_TRUE(found != NULL, "there is no element %s", function);
}

struct fmd_map *cage_map_terms(struct cage *cage, struct fmd_pool_terms *terms,
                               const char *function)
{
    struct fmd_tree *tree = NULL;
    struct fmd_store_missing *missing = NULL;
    size_t count;
    struct fmd_map *map = NULL;
    terms->module = "";
    if (!find_offset(cage, function, &terms->offset))
        return NULL;
    const enum fmd_store_answer answer =
        fmd_store_stage(cage->store, terms->account, cage->program.sha256, &tree, &missing, &count);
    if (!CHECK_TRUE(answer == FMD_STORE_OK, "answer %d: %s", answer, fm_base_last_error()))
        return NULL;
    CHECK_TRUE(fmd_pool_map_open(cage->pool, tree, terms, &map) == 0, "%s", fm_base_last_error());
    return map;
}

struct fmd_map *cage_map(struct cage *cage, const char *account, const char *function,
                         unsigned vcpus)
{
    static const char *const variables[] = {"OMP_NUM_THREADS=1", NULL};
    struct fmd_pool_terms terms = {.account = account,
                                   .in_size = CAGE_IN,
                                   .out_size = CAGE_OUT,
                                   .shared_fd = -1,
                                   .vcpus = vcpus,
                                   .variables = variables};
    return cage_map_terms(cage, &terms, function);
}

static void done(struct fmd_span *span, const struct fmd_span_result *result, void *user)
{
    struct cage_outcome *outcome = user;
    const char *out = fmd_span_out(span);
    pthread_mutex_lock(&mutex);
    outcome->result = *result;
    if (out != NULL && result->computed > 0)
        memcpy(outcome->out, out, CAGE_OUT);
    outcome->done = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static _Atomic uint64_t more_ns;

static uint64_t more(void *user)
{
    (void)user;
    return atomic_exchange(&more_ns, 0);
}

void cage_set_more(uint64_t cpu_ns)
{
    atomic_store(&more_ns, cpu_ns);
}

void *cage_reserve(struct fmd_map *map, uint64_t first, uint64_t count,
                   struct cage_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    outcome->span = fmd_span_reserve(map, first, count);
    if (!CHECK_TRUE(outcome->span != NULL, "no memory for a span"))
        abort();
    return fmd_span_in(outcome->span);
}

void cage_commit_filled(uint64_t cpu_ns, struct cage_outcome *outcome)
{
    fmd_span_commit(outcome->span, cpu_ns, more, done, outcome);
}

void cage_commit(struct fmd_map *map, uint64_t first, uint64_t count, const char *in,
                 uint64_t cpu_ns, struct cage_outcome *outcome)
{
    char *inputs = cage_reserve(map, first, count, outcome);
    memset(inputs, 0, count * CAGE_IN);
    for (uint64_t i = 0; i < count; i++)
        snprintf(inputs + i * CAGE_IN, CAGE_IN, "%s", in);
    cage_commit_filled(cpu_ns, outcome);
}

bool cage_is_done(const struct cage_outcome *outcome)
{
    pthread_mutex_lock(&mutex);
    const bool is_done = outcome->done;
    pthread_mutex_unlock(&mutex);
    return is_done;
}

void cage_wait(struct cage_outcome *outcome)
{
    pthread_mutex_lock(&mutex);
    while (!outcome->done)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

void cage_run(struct fmd_map *map, uint64_t first, uint64_t count, const char *in, uint64_t cpu_ns,
              struct cage_outcome *outcome)
{
    cage_commit(map, first, count, in, cpu_ns, outcome);
    cage_wait(outcome);
    fmd_span_release(outcome->span);
}

const char *cage_status(enum fmd_span_status status)
{
    static const char *const names[] = {"done", "died",    "late",   "cut",   "nonsense",
                                        "lost", "refused", "failed", "closed"};
    return names[status];
}

void cage_try(struct cage *cage, const char *function, uint64_t first, uint64_t count,
              const char *in, uint64_t cpu_ns, struct cage_outcome *outcome)
{
    struct fmd_map *map = cage_map(cage, "ada", function, 1);
    if (map == NULL)
        abort();
    cage_run(map, first, count, in, cpu_ns, outcome);
    printf("# %s: %s%s%s\n", cage_status(outcome->result.status), outcome->out,
           outcome->out[0] != '\0' && outcome->result.sentence[0] != '\0' ? " | " : "",
           outcome->result.sentence);
    fmd_pool_map_close(map);
}
