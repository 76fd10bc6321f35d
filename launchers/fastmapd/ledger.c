/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ledger's database: the combining of writers, and the one way in which money moves.
 *
 * Who writes. `queue` holds the work that threads have brought. The first who finds nobody leading leads:
 * takes
 * all that is queued, commits it as one transaction, wakes its owners, and hands the lead to the
 * first of those who have queued meanwhile. A leader works for others only while its own work is in the
 * transaction. Work that joins (settlements) is done for all of a batch at once.
 *
 * Work is done again where the database went away under it: it must give the same from the same beginning.
 */
#include "ledger.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "ledger_inside.h"
#include "paths.h"

enum { READERS = 4, BATCH_MOST = 256 };

#define PATIENCE_NS (20 * INT64_C(1000000000)) /* with a database that is away */

struct work {
    fmd_ledger_work *run; /* by itself; or */
    fmd_ledger_group *join;
    void *argument;
    int rc;
    bool leads; /* woken to lead, not because it is done */
    sem_t wake;
    struct work *next;
    char sentence[FM_BASE_SENTENCE_BYTES];
};

struct fmd_ledger {
    uint8_t master[FMD_SEAL_KEY];
    enum fmd_sql_kind kind;
    struct fmd_sql *writer; /* the leader's */
    pthread_mutex_t mutex;  /* protects queue, last and is_led; never held while SQL runs */
    struct work *queue, **last;
    bool is_led;
    int64_t away_ns; /* when the leader found the database away, last; 0: never */
    struct reader {
        pthread_mutex_t mutex; /* held while its connection is used */
        struct fmd_sql *sql;
    } readers[READERS];
    atomic_uint turn; /* spreads readers; any order will do */
};

/* ---- Writing ---------------------------------------------------------------------------------------- */

/* What fails is undone, and the transaction goes on. Returns below 0 only where it cannot. */
static int run_one(struct fmd_sql *sql, struct work *work)
{
    int rc = fmd_sql(sql, "SAVEPOINT work", "");
    if (rc != 0)
        return rc;
    work->rc =
        work->run != NULL ? work->run(sql, work->argument) : work->join(sql, &work->argument, 1);
    if (work->rc == FMD_SQL_AWAY)
        return FMD_SQL_AWAY;
    if (work->rc != 0) {
        strcpy(work->sentence, fm_base_last_error());
        rc = fmd_sql(sql, "ROLLBACK TO work", "");
    }
    return rc == 0 ? fmd_sql(sql, "RELEASE work", "") : rc;
}

/* All work of a batch that can be done together. */
static int run_joined(struct fmd_sql *sql, struct work *batch)
{
    void *arguments[BATCH_MOST];
    fmd_ledger_group *join = NULL;
    size_t count = 0;
    for (struct work *work = batch; work != NULL; work = work->next)
        if (work->join != NULL) {
            join = work->join;
            arguments[count++] = work->argument;
            work->rc = 0;
        }
    return count > 0 ? join(sql, arguments, count) : 0;
}

/* together: whoever can is joined to others; a failure may then be that of any of them. */
static int run_transaction(struct fmd_sql *sql, struct work *batch, bool together)
{
    int rc = fmd_sql_begin(sql, true);
    if (rc == 0 && together)
        rc = run_joined(sql, batch);
    for (struct work *work = batch; work != NULL && rc == 0; work = work->next)
        rc = work->run != NULL || !together ? run_one(sql, work) : 0;
    if (rc == 0)
        rc = fmd_sql_commit(sql);
    if (rc != 0)
        fmd_sql_rollback(sql);
    return rc;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Together; where somebody's work fails, all of it again, each by itself. Where the database went away,
   all of it again when it is back. A commit that fails takes everybody's work with it. */
static void run_batch(struct fmd_ledger *ledger, struct work *batch)
{
    struct fmd_sql *sql = ledger->writer;
    static const struct timespec nap = {0, 50000000};
    const int64_t end_ns = now_ns() + PATIENCE_NS;
    bool together = true;
    int rc;
    while ((rc = run_transaction(sql, batch, together)) != 0 && rc != FMD_SQL_UNKNOWN) {
        const bool away = rc == FMD_SQL_AWAY;
        if (away)
            ledger->away_ns = now_ns();
        if (away ? now_ns() > end_ns : !together)
            break;
        together = together && away;
        if (away) {
            nanosleep(&nap, NULL);
            fmd_sql_revive(sql);
        }
    }
    for (struct work *work = batch; work != NULL && rc != 0; work = work->next) {
        work->rc = rc == FMD_SQL_UNKNOWN ? FMD_LEDGER_AWAY : rc;
        strcpy(work->sentence, fm_base_last_error());
    }
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
    run_batch(ledger, batch);
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

static int write_work(struct fmd_ledger *ledger, struct work *own)
{
    sem_init(&own->wake, 0, 0);
    pthread_mutex_lock(&ledger->mutex);
    *ledger->last = own;
    ledger->last = &own->next;
    const bool leads = !ledger->is_led;
    ledger->is_led = true;
    pthread_mutex_unlock(&ledger->mutex);
    if (!leads)
        wait_for(&own->wake);
    if (leads || own->leads)
        lead(ledger, own);
    sem_destroy(&own->wake);
    return own->rc == 0 ? 0 : fm_base_fail(own->rc, "%s", own->sentence);
}

int fmd_ledger_write(struct fmd_ledger *ledger, fmd_ledger_work *run, void *argument)
{
    return write_work(ledger, &(struct work){.run = run, .argument = argument});
}

int fmd_ledger_join(struct fmd_ledger *ledger, fmd_ledger_group *join, void *argument)
{
    return write_work(ledger, &(struct work){.join = join, .argument = argument});
}

bool fmd_ledger_was_away(const struct fmd_ledger *ledger, int64_t seconds)
{
    return ledger->away_ns != 0 && now_ns() - ledger->away_ns < seconds * INT64_C(1000000000);
}

/* A connection that has ended since it was used last is made anew, once. */
int fmd_ledger_read(struct fmd_ledger *ledger, fmd_ledger_work *run, void *argument)
{
    struct reader *reader = &ledger->readers[atomic_fetch_add(&ledger->turn, 1) % READERS];
    pthread_mutex_lock(&reader->mutex);
    int rc = run(reader->sql, argument);
    if (rc == FMD_SQL_AWAY && fmd_sql_revive(reader->sql) == 0)
        rc = run(reader->sql, argument);
    pthread_mutex_unlock(&reader->mutex);
    return rc;
}

/* ---- Money ------------------------------------------------------------------------------------------ */

int fmd_ledger_note(struct fmd_sql *sql, const struct fmd_transfer *transfer)
{
    return fmd_sql(sql,
                   "INSERT INTO transfers(made, source, target, nano, kind, map, span, note) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                   "iiiissns", (int64_t)time(NULL), transfer->from, transfer->to, transfer->nano,
                   transfer->kind, transfer->map, transfer->span, transfer->note);
}

/* The cast says that a parameter which stands alone is no smaller number. */
int fmd_ledger_shift(struct fmd_sql *sql, int64_t from, int64_t to, int64_t nano)
{
    return fmd_sql(sql,
                   "UPDATE books SET taken = taken + CASE WHEN id = ?1 THEN CAST(?3 AS BIGINT) "
                   "ELSE 0 END, given = given + CASE WHEN id = ?2 THEN CAST(?3 AS BIGINT) ELSE 0 "
                   "END WHERE id IN (?1, ?2)",
                   "iii", from, to, nano);
}

int fmd_ledger_move(struct fmd_sql *sql, const struct fmd_transfer *transfer)
{
    if (transfer->nano == 0)
        return 0;
    const int rc = fmd_ledger_note(sql, transfer);
    return rc != 0 ? rc : fmd_ledger_shift(sql, transfer->from, transfer->to, transfer->nano);
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

bool fmd_ledger_is_shared(const struct fmd_ledger *ledger)
{
    return ledger->kind == FMD_SQL_POSTGRES;
}

/* Hosts that share a ledger must have the same key: what one has sealed the others are to open. */
static int check_key(struct fmd_sql *sql, void *argument)
{
    static const char salt[] = "fastmapd ledger.key";
    const struct fmd_ledger *ledger = argument;
    uint8_t text[sizeof salt + FMD_SEAL_KEY], digest[FM_SERVICE_DIGEST_BYTES];
    int64_t own = 0, found = 0;
    memcpy(text, salt, sizeof salt);
    memcpy(text + sizeof salt, ledger->master, FMD_SEAL_KEY);
    const bool digested = EVP_Digest(text, sizeof text, digest, NULL, EVP_sha256(), NULL) == 1;
    explicit_bzero(text, sizeof text);
    if (!digested)
        return fm_base_fail(FASTMAP_ERR_STATE, "no digest of ledger.key can be made");
    memcpy(&own, digest, sizeof own);
    own &= INT64_MAX;
    int rc = fmd_sql(sql, "INSERT INTO house(key, value) VALUES ('key', ?) ON CONFLICT DO NOTHING",
                     "i", own);
    if (rc == 0)
        rc = fmd_sql(sql, "SELECT value FROM house WHERE key = 'key'", ">i", &found);
    if (rc < 0)
        return rc;
    return found == own ? 0
                        : fm_base_fail(FASTMAP_ERR_CONFIG,
                                       "the ledger belongs to another ledger.key than the one in "
                                       "the state folder; copy it from the host that made the "
                                       "ledger, or bring it back from a backup");
}

static int open_all(struct fmd_ledger *ledger, const char *where, bool is_daemon)
{
    ledger->kind = fmd_sql_kind(where);
    ledger->writer = fmd_sql_open(where, is_daemon);
    if (ledger->writer == NULL)
        return FASTMAP_ERR_STATE;
    int rc = fmd_ledger_prepare(ledger->writer, ledger->kind);
    if (rc == 0)
        rc = fmd_ledger_write(ledger, check_key, ledger);
    for (int i = 0; i < READERS && rc == 0; i++) {
        ledger->readers[i].sql = fmd_sql_open(where, is_daemon);
        rc = ledger->readers[i].sql == NULL ? FASTMAP_ERR_STATE : 0;
    }
    return rc;
}

/* Where the ledger is: an address, a file whose folder is checked as the state folder is, or ledger.db. */
static int find_ledger(const char *setting, const char *folder_path, char path[PATH_MAX])
{
    int folder;
    const bool is_file = fmd_sql_kind(setting) == FMD_SQL_SQLITE && setting[0] != '\0';
    if (snprintf(path, PATH_MAX, setting[0] != '\0' ? "%s" : "%s/ledger.db",
                 setting[0] != '\0' ? setting : folder_path) >= PATH_MAX)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "the path of the ledger is too long");
    if (!is_file)
        return 0;
    char above[PATH_MAX];
    strcpy(above, path);
    char *slash = strrchr(above, '/');
    if (above[0] != '/' || slash == above || slash[1] == '\0')
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "ledger is %.64s; give the full path of a file in a folder of its own, "
                            "or postgresql://USER@HOST/DATABASE",
                            setting);
    *slash = '\0';
    const int rc = fmd_paths_folder(above, &folder);
    if (rc == 0)
        close(folder);
    return rc;
}

int fmd_ledger_open(int folder, const char *folder_path, const char *setting, bool is_daemon,
                    struct fmd_ledger **out)
{
    char where[PATH_MAX];
    struct fmd_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the ledger");
    ledger->last = &ledger->queue;
    pthread_mutex_init(&ledger->mutex, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_mutex_init(&ledger->readers[i].mutex, NULL);
    int rc = find_ledger(setting, folder_path, where);
    if (rc == 0)
        rc = fmd_seal_load(folder, folder_path, ledger->master);
    if (rc == 0)
        rc = open_all(ledger, where, is_daemon);
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
