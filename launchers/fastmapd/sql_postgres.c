/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one place that talks to PostgreSQL.
 *
 * A writing transaction begins by locking the table `house` against others that do so. Readers are not kept
 * waiting; they see what was committed.
 *
 * Losing the connection. Before a commit it means that nothing was changed. During one it means nothing
 * until the server is asked, by the number that the transaction had, which is what commit() does. A host
 * that falls silent in a transaction must not keep the lock from the others: the server ends its session
 * after SILENT_S.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "sql_inside.h"

#define NS INT64_C(1000000000)
#define REVIVE_EVERY_NS (NS / 2)   /* what cannot be reached is not tried more often */
#define RESOLVE_NS (15 * NS)       /* how long a commit that was cut off is asked after */
#define RESOLVE_EVERY_NS (NS / 10) /* and how often */

/* For each session: what it does not wait for longer, and that its text is UTF-8. */
#define SESSION                                                                       \
    "SET client_encoding = 'UTF8'; SET idle_in_transaction_session_timeout = '10s'; " \
    "SET lock_timeout = '10s'; SET standard_conforming_strings = on"
/* A daemon's statements are short ones; an audit by a command is not. */
#define SESSION_OF_DAEMON SESSION "; SET statement_timeout = '30s'"

enum { BLOB_MOST = 256, NUMBER_BYTES = 24, STATEMENT_BYTES = 2048, XID_BYTES = 24 };

struct postgres {
    struct fmd_sql base;
    PGconn *db;
    bool is_daemon;
    int64_t tried_ns; /* when revive() last failed */
    PGresult *rows;
    int row; /* -1: before the first */
    uint8_t blob[BLOB_MOST];
    char transaction[XID_BYTES]; /* of the writing transaction that is open */
    size_t count;
    struct {
        const char *text;
        bool is_prepared; /* over this connection */
    } statements[FMD_SQL_STATEMENTS];
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

/* ---- What went wrong ------------------------------------------------------------------------- */

/* What libpq says in several lines, as one. */
static void one_line(const char *text, char line[200])
{
    size_t length = 0;
    for (; *text != '\0' && length + 1 < 200; text++)
        line[length++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\0';
}

static int fail_away(const struct postgres *p, const char *why)
{
    char line[200];
    one_line(why, line);
    return fm_base_fail(FMD_SQL_AWAY,
                        "the ledger at %.64s cannot be reached: %s; see that PostgreSQL runs and "
                        "lets this host in",
                        p->db != NULL && PQhost(p->db) != NULL ? PQhost(p->db) : "PostgreSQL",
                        line);
}

/* Beginnings of SQLSTATE after which the same may be tried again over a new connection: connection
   exceptions, a server that goes down or comes up, timeouts, and what other sessions can be to blame for.
   */
static bool is_passing(const char *state)
{
    static const char *const codes[] = {"08",    "57P01", "57P02", "57P03", "57014",
                                        "25P03", "55P03", "40",    "53"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(state, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

/* Clears the result. */
static int fail(struct postgres *p, PGresult *result)
{
    char line[200];
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *why = result == NULL ? PQerrorMessage(p->db) : PQresultErrorMessage(result);
    int rc;
    if (PQstatus(p->db) != CONNECTION_OK || state == NULL || is_passing(state))
        rc = fail_away(p, why);
    else if (strncmp(state, "23", 2) == 0)
        rc = FMD_SQL_REFUSED;
    else {
        one_line(why, line);
        rc = fm_base_fail(FASTMAP_ERR_STATE,
                          "the ledger: %s; see PostgreSQL's log and the role's rights", line);
    }
    PQclear(result);
    return rc;
}

static bool is_good(const PGresult *result)
{
    const ExecStatusType status = PQresultStatus(result);
    return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* ---- The connection -------------------------------------------------------------------------- */

static void say_nothing(void *user, const char *message)
{
    (void)user, (void)message;
}

/* One or several commands. */
static int command(struct postgres *p, const char *text)
{
    PGresult *result = PQexec(p->db, text);
    if (!is_good(result))
        return fail(p, result);
    PQclear(result);
    return 0;
}

/* A fresh connection knows nothing of what was prepared over the one before. */
static int begin_session(struct postgres *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->statements[i].is_prepared = false;
    if (PQstatus(p->db) != CONNECTION_OK)
        return fail_away(p, PQerrorMessage(p->db));
    PQsetNoticeProcessor(p->db, say_nothing, NULL);
    return command(p, p->is_daemon ? SESSION_OF_DAEMON : SESSION);
}

/* What the address says wins over what stands before it here. */
static PGconn *connect_to(const char *address)
{
    static const char *const names[] = {"connect_timeout",
                                        "keepalives_idle",
                                        "keepalives_interval",
                                        "keepalives_count",
                                        "tcp_user_timeout",
                                        "fallback_application_name",
                                        "dbname",
                                        NULL};
    const char *const values[] = {"3", "5", "2", "3", "10000", "fastmapd", address, NULL};
    return PQconnectdbParams(names, values, 1);
}

/* A session that still answers (a statement had to wait too long) is not given up. */
static int revive(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    if (PQstatus(p->db) == CONNECTION_OK && PQtransactionStatus(p->db) == PQTRANS_IDLE)
        return 0;
    if (p->tried_ns != 0 && now_ns() - p->tried_ns < REVIVE_EVERY_NS)
        return fail_away(p, PQerrorMessage(p->db));
    PQreset(p->db);
    const int rc = begin_session(p);
    p->tried_ns = rc == 0 ? 0 : now_ns();
    return rc;
}

static void close_postgres(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    PQclear(p->rows);
    PQfinish(p->db);
    free(p);
}

/* ---- Statements ------------------------------------------------------------------------------ */

/* "?" becomes "$1", "$2"...; "?1" becomes "$1". */
static bool translate(const char *text, char out[STATEMENT_BYTES])
{
    size_t length = 0;
    int number = 0;
    for (; *text != '\0' && length + 8 < STATEMENT_BYTES; text++)
        if (*text != '?')
            out[length++] = *text;
        else if (text[1] >= '1' && text[1] <= '9')
            out[length++] = '$';
        else
            length += (size_t)sprintf(out + length, "$%d", ++number);
    out[length] = '\0';
    return *text == '\0';
}

static int prepare(struct postgres *p, size_t at, const char *name)
{
    char text[STATEMENT_BYTES];
    if (!translate(p->statements[at].text, text))
        return fm_base_fail(FASTMAP_ERR_STATE, "the ledger: a statement is too long");
    PGresult *result = PQprepare(p->db, name, text, 0, NULL);
    if (!is_good(result))
        return fail(p, result);
    PQclear(result);
    p->statements[at].is_prepared = true;
    return 0;
}

static int find(struct postgres *p, const char *text, char name[16])
{
    size_t at = 0;
    while (at < p->count && p->statements[at].text != text)
        at++;
    if (at == FMD_SQL_STATEMENTS)
        return fm_base_fail(FASTMAP_ERR_STATE, "the ledger: too many statements");
    if (at == p->count) {
        p->statements[at].text = text;
        p->statements[at].is_prepared = false;
        p->count++;
    }
    snprintf(name, 16, "s%zu", at);
    return p->statements[at].is_prepared ? 0 : prepare(p, at, name);
}

static void done(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    PQclear(p->rows);
    p->rows = NULL;
}

static int ask(struct fmd_sql *sql, const char *text, const struct fmd_sql_value *values,
               size_t count)
{
    struct postgres *p = (struct postgres *)sql;
    char name[16], numbers[FMD_SQL_VALUES][NUMBER_BYTES];
    const char *bytes[FMD_SQL_VALUES];
    int lengths[FMD_SQL_VALUES], formats[FMD_SQL_VALUES];
    const int rc = find(p, text, name);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < count; i++) {
        const struct fmd_sql_value *value = &values[i];
        bytes[i] = value->kind == 'n' ? NULL : value->bytes;
        lengths[i] = (int)value->count;
        formats[i] = value->kind == 'b';
        if (value->kind == 'i') {
            snprintf(numbers[i], NUMBER_BYTES, "%" PRId64, value->number);
            bytes[i] = numbers[i];
        }
    }
    done(sql);
    p->rows = PQexecPrepared(p->db, name, (int)count, bytes, lengths, formats, 0);
    p->row = -1;
    if (is_good(p->rows))
        return 0;
    PGresult *failed = p->rows;
    p->rows = NULL;
    return fail(p, failed);
}

static int next(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    return ++p->row < PQntuples(p->rows);
}

/* "\x" and two digits for each byte. */
static struct fmd_sql_value blob_of(struct postgres *p, const char *text)
{
    struct fmd_sql_value value = {.kind = 'b', .bytes = p->blob};
    for (text += 2; value.count < BLOB_MOST; value.count++, text += 2) {
        unsigned byte;
        if (sscanf(text, "%2x", &byte) != 1)
            break;
        p->blob[value.count] = (uint8_t)byte;
    }
    return value;
}

static struct fmd_sql_value column(struct fmd_sql *sql, int at, char kind)
{
    struct postgres *p = (struct postgres *)sql;
    const char *text = PQgetvalue(p->rows, p->row, at);
    if (PQgetisnull(p->rows, p->row, at))
        return (struct fmd_sql_value){.kind = 'n'};
    if (kind == 'b')
        return blob_of(p, text);
    if (kind == 's')
        return (struct fmd_sql_value){
            .kind = 's', .bytes = text, .count = (size_t)PQgetlength(p->rows, p->row, at)};
    return (struct fmd_sql_value){.kind = 'i',
                                  .number = *text == 't' ? 1 : strtoll(text, NULL, 10)};
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static int begin(struct fmd_sql *sql, bool writes)
{
    struct postgres *p = (struct postgres *)sql;
    p->transaction[0] = '\0';
    if (!writes)
        return command(p, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    PGresult *result = PQexec(p->db, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
                                     "LOCK TABLE house IN EXCLUSIVE MODE; SELECT txid_current()");
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        return fail(p, result);
    snprintf(p->transaction, XID_BYTES, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return 0;
}

/* 1: it was committed, 0: it was not, below: not known yet. */
static int ask_status(struct postgres *p)
{
    const char *const value[] = {p->transaction};
    if (revive(&p->base) != 0)
        return -1;
    PGresult *result = PQexecParams(p->db, "SELECT txid_status($1)", 1, NULL, value, NULL, NULL, 0);
    const char *status =
        PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0) : "in progress";
    const int found = strcmp(status, "committed") == 0 ? 1
                      : strcmp(status, "aborted") == 0 ? 0
                                                       : -1;
    PQclear(result);
    return found;
}

/* The connection ended while the answer to a commit was awaited. */
static int resolve(struct postgres *p)
{
    const struct timespec nap = {0, RESOLVE_EVERY_NS};
    const int64_t end_ns = now_ns() + RESOLVE_NS;
    int found;
    while ((found = ask_status(p)) < 0 && now_ns() < end_ns)
        nanosleep(&nap, NULL);
    if (found == 1)
        return 0;
    fail_away(p, PQerrorMessage(p->db));
    return found == 0 ? FMD_SQL_AWAY : FMD_SQL_UNKNOWN;
}

/* A transaction that has failed answers COMMIT by ROLLBACK. */
static int commit(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    PGresult *result = PQexec(p->db, "COMMIT");
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (good && strcmp(PQcmdStatus(result), "COMMIT") == 0) {
        PQclear(result);
        return 0;
    }
    if (PQstatus(p->db) == CONNECTION_OK)
        return good ? (PQclear(result),
                       fm_base_fail(FASTMAP_ERR_STATE, "the ledger: the transaction had failed"))
                    : fail(p, result);
    PQclear(result);
    return p->transaction[0] == '\0' ? FMD_SQL_AWAY : resolve(p);
}

static void rollback(struct fmd_sql *sql)
{
    struct postgres *p = (struct postgres *)sql;
    if (PQtransactionStatus(p->db) != PQTRANS_IDLE)
        PQclear(PQexec(p->db, "ROLLBACK"));
}

/* One implicit transaction; the lock, whose number is of our own making, keeps two hosts from making the same
   tables. */
static int script(struct fmd_sql *sql, const char *text)
{
    static const char lock[] = "SELECT pg_advisory_xact_lock(4776032614671); ";
    struct postgres *p = (struct postgres *)sql;
    char *whole = malloc(sizeof lock + strlen(text));
    if (whole == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the ledger's tables");
    strcpy(whole, lock);
    strcat(whole, text);
    const int rc = command(p, whole);
    free(whole);
    return rc;
}

static const struct fmd_sql_driver driver = {
    .now = "SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)",
    .close = close_postgres,
    .script = script,
    .ask = ask,
    .next = next,
    .column = column,
    .done = done,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .revive = revive,
};

/* ---- Opening --------------------------------------------------------------------------------- */

/* A password in a setting would stand in the process title, in backups of the file, in questions for help. */
static int check_address(const char *address)
{
    char *why = NULL;
    bool has_password = false;
    PQconninfoOption *options = PQconninfoParse(address, &why);
    PQfreemem(why); /* which repeats the address, and a password in it */
    if (options == NULL)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "ledger is no address that libpq understands; write "
                            "postgresql://USER@HOST:PORT/DATABASE");
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        has_password = has_password || (strcmp(option->keyword, "password") == 0 &&
                                        option->val != NULL && option->val[0] != '\0');
    PQconninfoFree(options);
    return !has_password
               ? 0
               : fm_base_fail(FASTMAP_ERR_CONFIG,
                              "ledger has a password, which others could read there; put it into a "
                              "file and add ?passfile=FILE to the address (or use PGPASSFILE, or a "
                              "service file)");
}

struct fmd_sql *fmd_sql_open_postgres(const char *address, bool is_daemon)
{
    struct postgres *p;
    if (check_address(address) != 0 || (p = calloc(1, sizeof *p)) == NULL)
        return NULL;
    p->base.driver = &driver;
    p->is_daemon = is_daemon;
    p->db = connect_to(address);
    if (p->db != NULL && begin_session(p) == 0)
        return &p->base;
    close_postgres(&p->base);
    return NULL;
}
