/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger's database: its tables, the combining of writers, and the one way in which money moves.
 *
 * Who writes. `queue` holds the work that threads have brought. The first who finds nobody leading leads:
 * takes
 * all that is queued, commits it as one transaction, wakes its owners, and hands the lead to the
 * first of those who have queued meanwhile. A leader works for others only while its own work is in the
 * transaction.
 */
#include "ledger.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "ledger_inside.h"
#include "paths.h"

enum { READERS = 4, BATCH_MOST = 256 };

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS house(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS accounts(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    "  made INTEGER NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS books(id INTEGER PRIMARY KEY, taken INTEGER NOT NULL DEFAULT 0,"
    "  given INTEGER NOT NULL DEFAULT 0, CHECK(id = 0 OR given >= taken)) STRICT;"
    "CREATE TABLE IF NOT EXISTS transfers(id INTEGER PRIMARY KEY, made INTEGER NOT NULL,"
    "  source INTEGER NOT NULL REFERENCES books, target INTEGER NOT NULL REFERENCES books,"
    "  nano INTEGER NOT NULL CHECK(nano > 0), kind TEXT NOT NULL, map TEXT, span INTEGER, note "
    "TEXT,"
    "  CHECK(source <> target)) STRICT;"
    "CREATE UNIQUE INDEX IF NOT EXISTS once ON transfers(map, span) WHERE span IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS tokens(id TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES "
    "accounts,"
    "  key BLOB NOT NULL, made INTEGER NOT NULL, revoked INTEGER, vcpus INTEGER, day_nano INTEGER) "
    "STRICT;"
    "CREATE TABLE IF NOT EXISTS days(token TEXT NOT NULL, day INTEGER NOT NULL, nano INTEGER NOT "
    "NULL,"
    "  PRIMARY KEY(token, day)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS maps(id TEXT PRIMARY KEY, account INTEGER NOT NULL REFERENCES "
    "accounts,"
    "  token TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, host INTEGER NOT NULL,"
    "  opened INTEGER NOT NULL, closed INTEGER, hold INTEGER NOT NULL, price INTEGER NOT NULL,"
    "  spans INTEGER NOT NULL DEFAULT 0, cpu_ns INTEGER NOT NULL DEFAULT 0, spent INTEGER NOT NULL "
    "DEFAULT 0,"
    "  CHECK(spent <= hold), UNIQUE(account, key)) STRICT;"
    "CREATE INDEX IF NOT EXISTS open_maps ON maps(host) WHERE closed IS NULL;"
    "CREATE INDEX IF NOT EXISTS maps_of_token ON maps(token) WHERE closed IS NULL;"
    "INSERT OR IGNORE INTO books(id) VALUES (0), (1);"
    "INSERT OR IGNORE INTO house VALUES ('version', 1), ('host', abs(random()));";

struct work {
    fmd_ledger_work *run;
    void *argument;
    int rc;
    bool leads; /* woken to lead, not because it is done */
    sem_t wake;
    struct work *next;
    char sentence[FM_BASE_SENTENCE_BYTES];
};

struct fmd_ledger {
    uint8_t master[FMD_SEAL_KEY];
    struct fmd_sql *writer; /* the leader's */
    pthread_mutex_t mutex;  /* protects queue, last and is_led; never held while SQL runs */
    struct work *queue, **last;
    bool is_led;
    struct reader {
        pthread_mutex_t mutex; /* held while its connection is used */
        struct fmd_sql *sql;
    } readers[READERS];
    atomic_uint turn; /* spreads readers; any order will do */
};

/* ---- Writing ---------------------------------------------------------------------------------------- */

static void run_one(struct fmd_sql *sql, struct work *work)
{
    if ((work->rc = fmd_sql(sql, "SAVEPOINT work", "")) < 0)
        return;
    work->rc = work->run(sql, work->argument);
    if (work->rc != 0) {
        strcpy(work->sentence, fm_base_last_error());
        fmd_sql(sql, "ROLLBACK TO work", "");
    }
    fmd_sql(sql, "RELEASE work", "");
}

/* A commit that fails takes everybody's work with it. */
static void run_batch(struct fmd_sql *sql, struct work *batch)
{
    int rc = fmd_sql(sql, "BEGIN IMMEDIATE", "");
    for (struct work *work = batch; work != NULL && rc == 0; work = work->next)
        run_one(sql, work);
    if (rc == 0)
        rc = fmd_sql(sql, "COMMIT", "");
    if (rc == 0)
        return;
    for (struct work *work = batch; work != NULL; work = work->next) {
        work->rc = FASTMAP_ERR_STATE;
        strcpy(work->sentence, fm_base_last_error());
    }
    fmd_sql(sql, "ROLLBACK", "");
}

/* Takes up to BATCH_MOST off the queue. The mutex is held. */
static struct work *take_batch(struct fmd_ledger *ledger)
{
    struct work *batch = ledger->queue;
    struct work **end = &ledger->queue;
    for (int i = 0; i < BATCH_MOST && *end != NULL; i++)
        end = &(*end)->next;
    ledger->queue = *end;
    *end = NULL;
    if (ledger->queue == NULL)
        ledger->last = &ledger->queue;
    return batch;
}

/* The caller leads and its own work is at the head of the queue. */
static void lead(struct fmd_ledger *ledger, struct work *own)
{
    pthread_mutex_lock(&ledger->mutex);
    struct work *batch = take_batch(ledger);
    pthread_mutex_unlock(&ledger->mutex);
    run_batch(ledger->writer, batch);
    for (struct work *work = batch, *next; work != NULL; work = next) {
        next = work->next; /* its owner may be gone once it is woken */
        if (work != own)
            sem_post(&work->wake);
    }
    pthread_mutex_lock(&ledger->mutex);
    ledger->is_led = ledger->queue != NULL;
    struct work *heir = ledger->queue;
    if (heir != NULL)
        heir->leads = true;
    pthread_mutex_unlock(&ledger->mutex);
    if (heir != NULL)
        sem_post(&heir->wake);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        continue; /* a signal */
}

int fmd_ledger_write(struct fmd_ledger *ledger, fmd_ledger_work *run, void *argument)
{
    struct work own = {.run = run, .argument = argument};
    sem_init(&own.wake, 0, 0);
    pthread_mutex_lock(&ledger->mutex);
    *ledger->last = &own;
    ledger->last = &own.next;
    const bool leads = !ledger->is_led;
    ledger->is_led = true;
    pthread_mutex_unlock(&ledger->mutex);
    if (!leads)
        wait_for(&own.wake);
    if (leads || own.leads)
        lead(ledger, &own);
    sem_destroy(&own.wake);
    return own.rc == 0 ? 0 : fm_base_fail(own.rc, "%s", own.sentence);
}

int fmd_ledger_read(struct fmd_ledger *ledger, fmd_ledger_work *run, void *argument)
{
    struct reader *reader = &ledger->readers[atomic_fetch_add(&ledger->turn, 1) % READERS];
    pthread_mutex_lock(&reader->mutex);
    const int rc = run(reader->sql, argument);
    pthread_mutex_unlock(&reader->mutex);
    return rc;
}

/* ---- Money ------------------------------------------------------------------------------------------ */

int fmd_ledger_move(struct fmd_sql *sql, const struct fmd_transfer *transfer)
{
    if (transfer->nano == 0)
        return 0;
    int rc = fmd_sql(sql,
                     "INSERT INTO transfers(made, source, target, nano, kind, map, span, note) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "iiiissns", (int64_t)time(NULL), transfer->from, transfer->to, transfer->nano,
                     transfer->kind, transfer->map, transfer->span, transfer->note);
    if (rc == 0)
        rc = fmd_sql(sql, "UPDATE books SET taken = taken + ? WHERE id = ?", "ii", transfer->nano,
                     transfer->from);
    if (rc == 0)
        rc = fmd_sql(sql, "UPDATE books SET given = given + ? WHERE id = ?", "ii", transfer->nano,
                     transfer->to);
    return rc;
}

int fmd_ledger_worth(struct fmd_sql *sql, int64_t book, int64_t *nano)
{
    *nano = 0;
    const int rc = fmd_sql(sql, "SELECT given - taken FROM books WHERE id = ?", "i>i", book, nano);
    return rc < 0 ? rc : 0;
}

/* ---- Opening ---------------------------------------------------------------------------------------- */

const uint8_t *fmd_ledger_master(const struct fmd_ledger *ledger)
{
    return ledger->master;
}

static int check_version(struct fmd_sql *sql)
{
    int64_t version = 0;
    const int rc = fmd_sql(sql, "SELECT value FROM house WHERE key = 'version'", ">i", &version);
    if (rc < 0)
        return rc;
    return version == 1
               ? 0
               : fm_base_fail(
                     FASTMAP_ERR_STATE,
                     "the ledger has format %lld, this fastmapd knows 1; use the newer fastmapd",
                     (long long)version);
}

static int open_all(struct fmd_ledger *ledger, const char *path, bool is_daemon)
{
    ledger->writer = fmd_sql_open(path, !is_daemon);
    if (ledger->writer == NULL)
        return FASTMAP_ERR_STATE;
    int rc = fmd_sql_script(ledger->writer, schema);
    if (rc == 0)
        rc = check_version(ledger->writer);
    for (int i = 0; i < READERS && rc == 0; i++) {
        ledger->readers[i].sql = fmd_sql_open(path, false);
        rc = ledger->readers[i].sql == NULL ? FASTMAP_ERR_STATE : 0;
    }
    return rc;
}

int fmd_ledger_open(int folder, const char *folder_path, bool is_daemon, struct fmd_ledger **out)
{
    char path[PATH_MAX + 16];
    struct fmd_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the ledger");
    ledger->last = &ledger->queue;
    pthread_mutex_init(&ledger->mutex, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_mutex_init(&ledger->readers[i].mutex, NULL);
    snprintf(path, sizeof path, "%s/ledger.db", folder_path);
    int rc = fmd_seal_load(folder, folder_path, ledger->master);
    if (rc == 0)
        rc = open_all(ledger, path, is_daemon);
    if (rc != 0) {
        fmd_ledger_close(ledger);
        return rc;
    }
    *out = ledger;
    return 0;
}

void fmd_ledger_close(struct fmd_ledger *ledger)
{
    for (int i = 0; i < READERS; i++) {
        fmd_sql_close(ledger->readers[i].sql);
        pthread_mutex_destroy(&ledger->readers[i].mutex);
    }
    fmd_sql_close(ledger->writer);
    pthread_mutex_destroy(&ledger->mutex);
    explicit_bzero(ledger->master, sizeof ledger->master);
    free(ledger);
}
