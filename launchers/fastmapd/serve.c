/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's life: everything is opened in order, each step with its own undoing; then the main thread
 * waits
 * for signals and does the housekeeping; SIGTERM or SIGINT drains: no new connections and maps, running
 * spans finish; a second one, or the end of drain_s, gives them up.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "certificate.h"
#include "command.h"
#include "control.h"
#include "lease.h"
#include "log.h"
#include "maps.h"
#include "paths.h"
#include "request.h"
#include "server.h"
#include "state.h"
#include "text.h"

#define SECOND_NS INT64_C(1000000000)

enum {
    TICKS_A_SECOND = 4,
    EXPIRE_EVERY_S = 600,
    CLOCK_EVERY_S = 10,
    BLOBS_UNUSED_S = 14 * 86400,
    WORKER_START_S = 20
};

struct daemon {
    struct fmd_config config;
    struct fmd_service service;
    struct fmd_certificate certificate;
    struct fmd_server *server;
    struct fmd_control *control;
    struct fmd_lease *lease;
    char url[FMD_SERVER_URL];
    char certificate_path[FMD_CONFIG_TEXT + 32], key_path[FMD_CONFIG_TEXT + 32];
    int folder, lock;
};

/* ---- Opening: each step 0 or an error
   ------------------------------------------------------------------------ */

static int open_state(struct daemon *d)
{
    const int rc = fmd_state_open(&d->config, &d->folder);
    return rc != 0 ? rc : fmd_state_lock(d->folder, d->config.state, &d->lock);
}

static void close_state(struct daemon *d)
{
    close(d->lock);
    close(d->folder);
}

static int open_certificate(struct daemon *d)
{
    int rc = 0;
    snprintf(d->certificate_path, sizeof d->certificate_path, "%s", d->config.certificate);
    snprintf(d->key_path, sizeof d->key_path, "%s", d->config.key);
    if (d->config.certificate[0] == '\0') {
        snprintf(d->certificate_path, sizeof d->certificate_path, "%s/certificate.pem",
                 d->config.state);
        snprintf(d->key_path, sizeof d->key_path, "%s/certificate.key", d->config.state);
        rc = fmd_certificate_make(d->folder, d->config.listen);
    }
    return rc != 0 ? rc : fmd_certificate_load(d->certificate_path, d->key_path, &d->certificate);
}

static void close_certificate(struct daemon *d)
{
    fmd_certificate_free(&d->certificate);
}

static int open_ledger(struct daemon *d)
{
    return fmd_ledger_open(d->folder, d->config.state, d->config.ledger, true, &d->service.ledger);
}

static void close_ledger(struct daemon *d)
{
    fmd_ledger_close(d->service.ledger);
}

static int open_tokens(struct daemon *d)
{
    return fmd_tokens_open(d->folder, &d->service.tokens);
}

static void close_tokens(struct daemon *d)
{
    fmd_tokens_close(d->service.tokens);
}

static int open_clock(struct daemon *d)
{
    return fmd_clock_start(&d->service.clock, d->folder, d->config.state);
}

static void write_clock(struct daemon *d)
{
    char quoted[FMD_LOG_QUOTED];
    if (fmd_clock_write(&d->service.clock) != 0)
        fmd_log(FMD_LOG_ERROR, "clock", "why=%s", fmd_log_quote(fm_base_last_error(), quoted));
}

static int open_store(struct daemon *d)
{
    char path[FMD_CONFIG_TEXT + 16];
    int folder;
    const struct fmd_store_limits limits = {(uint64_t)d->config.blob_bytes,
                                            (uint64_t)d->config.account_bytes,
                                            (uint64_t)d->config.store_bytes};
    snprintf(path, sizeof path, "%s/blobs", d->config.state);
    const int rc = fmd_paths_folder(path, &folder);
    if (rc != 0)
        return rc;
    close(folder);
    return fmd_store_open(path, &limits, &d->service.store) == FMD_STORE_OK ? 0 : FASTMAP_ERR_STATE;
}

static void close_store(struct daemon *d)
{
    fmd_store_close(d->service.store);
}

static void log_pool(const char *sentence)
{
    char quoted[FMD_LOG_QUOTED];
    fmd_log(FMD_LOG_INFO, "pool", "why=%s", fmd_log_quote(sentence, quoted));
}

static int open_pool(struct daemon *d)
{
    struct fmd_config *c = &d->config;
    struct fmd_pool_config config = {
        .vcpus = (unsigned)c->vcpus,
        .worker_bytes = (uint64_t)c->worker_bytes,
        .workers_bytes = (uint64_t)c->workers_bytes,
        .span_ns = (uint64_t)(c->span_s * SECOND_NS),
        .idle_ns = (uint64_t)(c->worker_idle_s * SECOND_NS),
        .start_ns = WORKER_START_S * SECOND_NS,
        .unconfined = c->unconfined != 0,
        .log = log_pool,
    };
    fmd_pool_settle(&config);
    d->service.vcpus = config.vcpus;
    c->worker_bytes = (int64_t)config.worker_bytes; /* what clients are told */
    return fmd_pool_open(&config, &d->service.pool);
}

static void close_pool(struct daemon *d)
{
    fmd_pool_close(d->service.pool);
}

static int open_door(struct daemon *d)
{
    struct fmd_service *s = &d->service;
    uint64_t secret[3];
    if (RAND_bytes((unsigned char *)secret, sizeof secret) != 1)
        return fm_base_fail(FASTMAP_ERR_STATE, "the system's source of random numbers fails");
    s->request_prefix = secret[2] >> 32;
    fmd_attempts_init(&s->attempts, d->config.attempts, secret);
    /* A signature can be used from skew_s before its time to skew_s after it. */
    s->replay = fmd_replay_new(2 * d->config.skew_s + 1);
    s->maps = fmd_maps_new(s);
    pthread_mutex_init(&s->door, NULL);
    return s->replay != NULL && s->maps != NULL
               ? 0
               : fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to start with");
}

static void close_door(struct daemon *d)
{
    fmd_maps_free(d->service.maps);
    fmd_replay_free(d->service.replay);
    pthread_mutex_destroy(&d->service.door);
}

static int open_lease(struct daemon *d)
{
    return fmd_lease_start(&d->service, d->folder, &d->lease);
}

static void close_lease(struct daemon *d)
{
    fmd_lease_stop(d->lease);
}

static int open_watch(struct daemon *d)
{
    const struct fmd_config *c = &d->config;
    const int64_t seconds[FMD_PHASES] = {[FMD_PHASE_HEADERS] = c->header_s,
                                         [FMD_PHASE_BODY] = c->body_s,
                                         [FMD_PHASE_ANSWER] = c->body_s,
                                         [FMD_PHASE_KEEP] = c->keep_s};
    d->service.watch = fmd_watch_start(seconds, c->request_s);
    return d->service.watch != NULL
               ? 0
               : fm_base_fail(FASTMAP_ERR_STATE, "no thread to watch connections with");
}

static void close_watch(struct daemon *d)
{
    fmd_watch_stop(d->service.watch);
}

static int open_server(struct daemon *d)
{
    d->service.started_ns = fmd_now_ns();
    return fmd_server_start(&d->service, &d->certificate, &d->server, d->url);
}

/* Maps first: calls that wait for their spans end then. */
static void close_server(struct daemon *d)
{
    fmd_maps_expire(d->service.maps, 0);
    fmd_server_stop(d->server);
    fmd_maps_expire(d->service.maps, 0); /* opened meanwhile */
}

static int open_control(struct daemon *d)
{
    return fmd_control_start(&d->service, d->url, &d->control);
}

static void close_control(struct daemon *d)
{
    fmd_control_stop(d->control);
    unlinkat(d->folder, "url", 0);
}

static const struct {
    int (*open)(struct daemon *d);
    void (*close)(struct daemon *d);
} steps[] = {
    {open_state, close_state},   {open_certificate, close_certificate},
    {open_ledger, close_ledger}, {open_tokens, close_tokens},
    {open_clock, write_clock},   {open_store, close_store},
    {open_pool, close_pool},     {open_door, close_door},
    {open_lease, close_lease},   {open_watch, close_watch},
    {open_server, close_server}, {open_control, close_control},
};

enum { STEPS = sizeof steps / sizeof steps[0] };

/* How many steps were taken. */
static size_t open_all(struct daemon *d)
{
    size_t i = 0;
    while (i < STEPS && steps[i].open(d) == 0)
        i++;
    return i;
}

static void close_all(struct daemon *d, size_t taken)
{
    while (taken-- > 0)
        steps[taken].close(d);
}

/* ---- What is printed ------------------------------------------------------------------------ */

static int first_account(struct daemon *d)
{
    static const char name[] = "first";
    char token[FM_SERVICE_TOKEN_BYTES], dollars[FMD_TEXT_DOLLARS];
    int64_t accounts;
    int rc = fmd_ledger_count_accounts(d->service.ledger, &accounts);
    if (rc != 0 || accounts > 0)
        return rc;
    rc = fmd_ledger_add_account(d->service.ledger, name);
    if (rc == 0 && d->config.first_credit > 0)
        rc = fmd_ledger_credit(d->service.ledger, name, d->config.first_credit, "first");
    if (rc == 0)
        rc = fmd_ledger_add_token(d->service.ledger, name, (struct fmd_limits){-1, -1}, token);
    if (rc != 0)
        return rc;
    fmd_text_dollars(d->config.first_credit, dollars);
    printf("account      %s, with US$%s of credit\ntoken        %s\n             shown now and "
           "never again\n",
           name, dollars, token);
    explicit_bzero(token, sizeof token);
    return 0;
}

/* The file `url` comes last: who waits for it finds all the rest said. */
static int greet(struct daemon *d)
{
    printf("fastmapd " FMD_VERSION
           "\nurl          %s\ncertificate  %s\npin          %s\nstate        %s\n",
           d->url, d->certificate_path, d->certificate.pin, d->config.state);
    const int rc = first_account(d);
    fflush(stdout);
    fmd_log(FMD_LOG_INFO, "started", "url=%s vcpus=%u confinement=\"%s\"", d->url, d->service.vcpus,
            fmd_pool_confinement(d->service.pool));
    return rc != 0 ? rc : fmd_paths_write(d->folder, "url", d->url, strlen(d->url));
}

/* ---- Running -------------------------------------------------------------------------------- */

static void expire_blobs(struct daemon *d)
{
    static int64_t next_ns;
    const int64_t now_ns = fmd_now_ns();
    if (now_ns < next_ns)
        return;
    next_ns = now_ns + EXPIRE_EVERY_S * SECOND_NS;
    fmd_store_expire(d->service.store, BLOBS_UNUSED_S);
}

/* A signal, or 0 after a while. */
static int next_signal(const sigset_t *signals, int64_t wait_ns)
{
    const struct timespec wait = {wait_ns / SECOND_NS, wait_ns % SECOND_NS};
    const int signal = sigtimedwait(signals, NULL, &wait);
    return signal > 0 ? signal : 0;
}

static void drain(struct daemon *d, const sigset_t *signals)
{
    const int64_t end_ns = fmd_now_ns() + d->config.drain_s * SECOND_NS;
    fmd_log(FMD_LOG_INFO, "draining", "spans=%zu", fmd_maps_busy(d->service.maps));
    atomic_store(&d->service.draining, true);
    fmd_server_quiet(d->server);
    while (fmd_maps_busy(d->service.maps) > 0 && fmd_now_ns() < end_ns)
        if (next_signal(signals, SECOND_NS / 20) != 0)
            break;
    fmd_log(FMD_LOG_INFO, "stopping", "spans=%zu", fmd_maps_busy(d->service.maps));
}

static void keep_house(struct daemon *d, unsigned ticks)
{
    fmd_maps_share(d->service.maps);
    if (ticks % TICKS_A_SECOND != 0)
        return;
    fmd_maps_expire(d->service.maps, d->config.map_idle_s * SECOND_NS);
    expire_blobs(d);
    if (ticks % (TICKS_A_SECOND * CLOCK_EVERY_S) == 0)
        write_clock(d);
}

static void run(struct daemon *d, const sigset_t *signals)
{
    unsigned ticks = 0;
    while (next_signal(signals, SECOND_NS / TICKS_A_SECOND) == 0)
        keep_house(d, ++ticks);
    drain(d, signals);
}

/* Each connection and each worker takes descriptors. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Outputs are kept for a while and freed in turn: memory that goes back to the system each time costs a page
   fault
   for every 4 KiB of every span. */
static void tune_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

/* Signals come to the main thread only, when it waits for them. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

int fmd_command_serve(const struct fmd_config *config, int argc, char **argv)
{
    struct daemon *d = calloc(1, sizeof *d);
    sigset_t signals;
    (void)argc, (void)argv;
    if (d == NULL)
        return 1;
    d->config = *config;
    d->service.config = &d->config;
    fmd_log_start((enum fmd_log_level)config->log);
    raise_limits();
    tune_memory();
    block_signals(&signals);
    const size_t taken = open_all(d);
    const bool runs = taken == STEPS && greet(d) == 0;
    const int status = runs ? 0 : fmd_command_fail();
    if (runs)
        run(d, &signals);
    close_all(d, taken);
    free(d);
    return status;
}
