/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one place that talks to SQLite.
 */
#include "sql.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { STATEMENTS = 96, BUSY_MS = 10000 };

struct fmd_sql {
    sqlite3 *db;
    size_t count;
    struct {
        const char *text;
        sqlite3_stmt *statement;
    } prepared[STATEMENTS];
};

static int fail(struct fmd_sql *sql, const char *doing)
{
    return fm_base_fail(FASTMAP_ERR_STATE, "the ledger: %s: %.200s; check the disk and its room",
                        doing, sql->db == NULL ? "no memory" : sqlite3_errmsg(sql->db));
}

int fmd_sql_script(struct fmd_sql *sql, const char *text)
{
    return sqlite3_exec(sql->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(sql, "set up");
}

struct fmd_sql *fmd_sql_open(const char *path, bool durable)
{
    struct fmd_sql *sql = calloc(1, sizeof *sql);
    if (sql == NULL)
        return NULL;
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(path, &sql->db, flags, NULL) != SQLITE_OK) {
        fail(sql, "open");
        fmd_sql_close(sql);
        return NULL;
    }
    sqlite3_busy_timeout(sql->db, BUSY_MS);
    if (fmd_sql_script(
            sql,
            "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY") !=
            0 ||
        fmd_sql_script(sql, durable ? "PRAGMA synchronous = FULL"
                                    : "PRAGMA synchronous = NORMAL") != 0) {
        fmd_sql_close(sql);
        return NULL;
    }
    return sql;
}

void fmd_sql_close(struct fmd_sql *sql)
{
    if (sql == NULL)
        return;
    for (size_t i = 0; i < sql->count; i++)
        sqlite3_finalize(sql->prepared[i].statement);
    sqlite3_close(sql->db);
    free(sql);
}

sqlite3_stmt *fmd_sql_prepare(struct fmd_sql *sql, const char *text)
{
    for (size_t i = 0; i < sql->count; i++)
        if (sql->prepared[i].text == text) {
            sqlite3_reset(sql->prepared[i].statement);
            return sql->prepared[i].statement;
        }
    sqlite3_stmt *statement = NULL;
    if (sql->count == STATEMENTS || sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT,
                                                       &statement, NULL) != SQLITE_OK) {
        fail(sql, "prepare");
        return NULL;
    }
    sql->prepared[sql->count].text = text;
    sql->prepared[sql->count++].statement = statement;
    return statement;
}

/* One argument; va_list by pointer, so that the caller goes on where this stops. */
static int bind_one(sqlite3_stmt *statement, int at, char kind, va_list *args)
{
    if (kind == 's')
        return sqlite3_bind_text(statement, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
    if (kind == 'b') {
        const void *bytes = va_arg(*args, const void *);
        return sqlite3_bind_blob64(statement, at, bytes, va_arg(*args, size_t), SQLITE_STATIC);
    }
    const int64_t number = va_arg(*args, int64_t);
    return kind == 'n' && number < 0 ? sqlite3_bind_null(statement, at)
                                     : sqlite3_bind_int64(statement, at, number);
}

static bool take_text(sqlite3_stmt *statement, int at, va_list *args)
{
    char *text = va_arg(*args, char *);
    const size_t bytes = va_arg(*args, size_t);
    const unsigned char *found = sqlite3_column_text(statement, at);
    const size_t length = found == NULL ? 0 : strlen((const char *)found);
    if (length >= bytes)
        return false;
    memcpy(text, found == NULL ? (const unsigned char *)"" : found, length + 1);
    return true;
}

static bool take_blob(sqlite3_stmt *statement, int at, va_list *args)
{
    void *bytes = va_arg(*args, void *);
    const size_t count = va_arg(*args, size_t);
    const void *found = sqlite3_column_blob(statement, at);
    if ((size_t)sqlite3_column_bytes(statement, at) != count || found == NULL)
        return false;
    memcpy(bytes, found, count);
    return true;
}

static bool take_one(sqlite3_stmt *statement, int at, char kind, va_list *args)
{
    if (kind == 's')
        return take_text(statement, at, args);
    if (kind == 'b')
        return take_blob(statement, at, args);
    const bool is_null = sqlite3_column_type(statement, at) == SQLITE_NULL;
    *va_arg(*args, int64_t *) = is_null ? -1 : sqlite3_column_int64(statement, at);
    return true;
}

int fmd_sql(struct fmd_sql *sql, const char *text, const char *format, ...)
{
    sqlite3_stmt *statement = fmd_sql_prepare(sql, text);
    if (statement == NULL)
        return FASTMAP_ERR_STATE;
    va_list args;
    va_start(args, format);
    int at = 1, rc = SQLITE_OK;
    for (; *format != '\0' && *format != '>' && rc == SQLITE_OK; format++)
        rc = bind_one(statement, at++, *format, &args);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    bool taken = true;
    if (rc == SQLITE_ROW && *format == '>')
        for (at = 0, format++; *format != '\0' && taken; format++)
            taken = take_one(statement, at++, *format, &args);
    va_end(args);
    int result = rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : FASTMAP_ERR_STATE;
    if (rc == SQLITE_CONSTRAINT)
        result = FMD_SQL_REFUSED;
    else if (result < 0)
        fail(sql, "read or write");
    else if (!taken)
        result = fm_base_fail(FASTMAP_ERR_STATE, "the ledger holds a value that cannot be: %.120s",
                              text);
    sqlite3_reset(statement);
    return result;
}
