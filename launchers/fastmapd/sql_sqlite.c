/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one place that talks to SQLite.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/error.h"
#include "sql_inside.h"

enum { BUSY_MS = 10000 };

struct sqlite {
    struct fmd_sql base;
    sqlite3 *db;
    sqlite3_stmt *row; /* the statement that is being stepped through */
    int stepped;       /* what its first step gave; next() looks at it once */
    size_t count;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } prepared[FMD_SQL_STATEMENTS];
};

static int fail(struct sqlite *s, const char *doing)
{
    const int code = s->db == NULL ? SQLITE_NOMEM : sqlite3_errcode(s->db);
    if (code == SQLITE_CONSTRAINT)
        return FMD_SQL_REFUSED;
    if (code == SQLITE_BUSY)
        return fm_base_fail(FMD_SQL_AWAY,
                            "the ledger is kept locked by another program; find out by which");
    return fm_base_fail(FASTMAP_ERR_STATE, "the ledger: %s: %.200s; check the disk and its room",
                        doing, s->db == NULL ? "no memory" : sqlite3_errmsg(s->db));
}

static int script(struct fmd_sql *sql, const char *text)
{
    struct sqlite *s = (struct sqlite *)sql;
    return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, "set up");
}

static int whole_script(struct fmd_sql *sql, const char *text)
{
    int rc = script(sql, "BEGIN IMMEDIATE");
    if (rc == 0 && (rc = script(sql, text)) == 0)
        rc = script(sql, "COMMIT");
    if (rc != 0)
        sqlite3_exec(((struct sqlite *)sql)->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static void close_sqlite(struct fmd_sql *sql)
{
    struct sqlite *s = (struct sqlite *)sql;
    for (size_t i = 0; i < s->count; i++)
        sqlite3_finalize(s->prepared[i].statement);
    sqlite3_close(s->db);
    free(s);
}

/* ---- Statements ------------------------------------------------------------------------------ */

static sqlite3_stmt *prepare(struct sqlite *s, const char *text)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->prepared[i].text == text)
            return s->prepared[i].statement;
    sqlite3_stmt *statement = NULL;
    if (s->count == FMD_SQL_STATEMENTS ||
        sqlite3_prepare_v3(s->db, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
            SQLITE_OK)
        return NULL;
    s->prepared[s->count].text = text;
    s->prepared[s->count++].statement = statement;
    return statement;
}

static int bind(sqlite3_stmt *statement, int at, const struct fmd_sql_value *value)
{
    switch (value->kind) {
    case 'i': return sqlite3_bind_int64(statement, at, value->number);
    case 's':
        return sqlite3_bind_text(statement, at, value->bytes, (int)value->count, SQLITE_STATIC);
    case 'b': return sqlite3_bind_blob64(statement, at, value->bytes, value->count, SQLITE_STATIC);
    default: return sqlite3_bind_null(statement, at);
    }
}

/* The first step is taken here: the arguments live no longer. */
static int ask(struct fmd_sql *sql, const char *text, const struct fmd_sql_value *values,
               size_t count)
{
    struct sqlite *s = (struct sqlite *)sql;
    s->row = prepare(s, text);
    if (s->row == NULL)
        return fail(s, "prepare");
    int rc = SQLITE_OK;
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++)
        rc = bind(s->row, (int)i + 1, &values[i]);
    if (rc != SQLITE_OK)
        return fail(s, "bind");
    s->stepped = sqlite3_step(s->row);
    return s->stepped == SQLITE_ROW || s->stepped == SQLITE_DONE ? 0 : fail(s, "read or write");
}

static int next(struct fmd_sql *sql)
{
    struct sqlite *s = (struct sqlite *)sql;
    const int rc = s->stepped != SQLITE_OK ? s->stepped : sqlite3_step(s->row);
    s->stepped = SQLITE_OK;
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : fail(s, "read");
}

static void done(struct fmd_sql *sql)
{
    struct sqlite *s = (struct sqlite *)sql;
    if (s->row != NULL)
        sqlite3_reset(s->row);
    s->row = NULL;
}

static struct fmd_sql_value column(struct fmd_sql *sql, int at, char kind)
{
    sqlite3_stmt *row = ((struct sqlite *)sql)->row;
    struct fmd_sql_value value = {.kind = kind};
    if (sqlite3_column_type(row, at) == SQLITE_NULL)
        value.kind = 'n';
    else if (kind == 'i')
        value.number = sqlite3_column_int64(row, at);
    else {
        value.bytes =
            kind == 's' ? (const void *)sqlite3_column_text(row, at) : sqlite3_column_blob(row, at);
        value.count = (size_t)sqlite3_column_bytes(row, at);
    }
    return value;
}

/* ---- Transactions ---------------------------------------------------------------------------- */

static int begin(struct fmd_sql *sql, bool writes)
{
    return writes ? fmd_sql(sql, "BEGIN IMMEDIATE", "") : fmd_sql(sql, "BEGIN", "");
}

static int commit(struct fmd_sql *sql)
{
    return fmd_sql(sql, "COMMIT", "");
}

/* Where SQLite has rolled back already this fails, and that is fine. */
static void rollback(struct fmd_sql *sql)
{
    sqlite3_exec(((struct sqlite *)sql)->db, "ROLLBACK", NULL, NULL, NULL);
}

static int revive(struct fmd_sql *sql)
{
    (void)sql;
    return 0;
}

static const struct fmd_sql_driver driver = {
    .now = "SELECT CAST(strftime('%s', 'now') AS INTEGER)",
    .close = close_sqlite,
    .script = whole_script,
    .ask = ask,
    .next = next,
    .column = column,
    .done = done,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .revive = revive,
};

struct fmd_sql *fmd_sql_open_sqlite(const char *path, bool is_daemon)
{
    static const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    struct sqlite *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->base.driver = &driver;
    int rc = sqlite3_open_v2(path, &s->db, flags, NULL) == SQLITE_OK ? 0 : fail(s, "open");
    if (rc == 0) {
        sqlite3_busy_timeout(s->db, BUSY_MS);
        rc = script(&s->base,
                    "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA temp_store = "
                    "MEMORY");
    }
    if (rc == 0)
        rc = script(&s->base,
                    is_daemon ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL");
    if (rc == 0)
        return &s->base;
    close_sqlite(&s->base);
    return NULL;
}
