/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From formats to values and back; the rest is the database's (sql_sqlite.c, sql_postgres.c).
 */
#include <stdarg.h>
#include <string.h>

#include "base/error.h"
#include "sql_inside.h"

enum fmd_sql_kind fmd_sql_kind(const char *where)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(where, schemes[i], strlen(schemes[i])) == 0)
            return FMD_SQL_POSTGRES;
    return FMD_SQL_SQLITE;
}

struct fmd_sql *fmd_sql_open(const char *where, bool is_daemon)
{
    static struct fmd_sql *(*const open[])(const char *where, bool is_daemon) = {
        [FMD_SQL_SQLITE] = fmd_sql_open_sqlite, [FMD_SQL_POSTGRES] = fmd_sql_open_postgres};
    return open[fmd_sql_kind(where)](where, is_daemon);
}

void fmd_sql_close(struct fmd_sql *sql)
{
    if (sql != NULL)
        sql->driver->close(sql);
}

int fmd_sql_script(struct fmd_sql *sql, const char *text)
{
    return sql->driver->script(sql, text);
}

int fmd_sql_begin(struct fmd_sql *sql, bool writes)
{
    return sql->driver->begin(sql, writes);
}

int fmd_sql_commit(struct fmd_sql *sql)
{
    return sql->driver->commit(sql);
}

void fmd_sql_rollback(struct fmd_sql *sql)
{
    sql->driver->rollback(sql);
}

int fmd_sql_revive(struct fmd_sql *sql)
{
    return sql->driver->revive(sql);
}

int fmd_sql_now(struct fmd_sql *sql, int64_t *seconds)
{
    const int rc = fmd_sql(sql, sql->driver->now, ">i", seconds);
    return rc < 0 ? rc : 0;
}

/* ---- Values in ------------------------------------------------------------------------------ */

/* va_list by pointer, so that the caller goes on where this stops. */
static struct fmd_sql_value value_of(char kind, va_list *args)
{
    struct fmd_sql_value value = {.kind = kind};
    if (kind == 's') {
        const char *text = va_arg(*args, const char *);
        value.bytes = text;
        value.count = text == NULL ? 0 : strlen(text);
        value.kind = text == NULL ? 'n' : 's';
    } else if (kind == 'b') {
        value.bytes = va_arg(*args, const void *);
        value.count = va_arg(*args, size_t);
    } else {
        value.number = va_arg(*args, int64_t);
        value.kind = kind == 'n' && value.number < 0 ? 'n' : 'i';
    }
    return value;
}

/* What stands before ">". *format goes beyond it. */
static int ask(struct fmd_sql *sql, const char *text, const char **format, va_list *args)
{
    struct fmd_sql_value values[FMD_SQL_VALUES];
    size_t count = 0;
    for (; **format != '\0' && **format != '>'; ++*format) {
        if (count == FMD_SQL_VALUES)
            return fm_base_fail(FASTMAP_ERR_STATE, "the ledger: too many arguments for %.120s",
                                text);
        values[count++] = value_of(**format, args);
    }
    *format += **format == '>';
    return sql->driver->ask(sql, text, values, count);
}

/* ---- Values out ----------------------------------------------------------------------------- */

static bool take_text(const struct fmd_sql_value *value, va_list *args)
{
    char *text = va_arg(*args, char *);
    const size_t bytes = va_arg(*args, size_t);
    if (value->count >= bytes)
        return false;
    if (value->count > 0)
        memcpy(text, value->bytes, value->count);
    text[value->count] = '\0';
    return true;
}

static bool take_bytes(const struct fmd_sql_value *value, va_list *args)
{
    void *bytes = va_arg(*args, void *);
    const size_t count = va_arg(*args, size_t);
    if (value->kind == 'n' || value->count != count)
        return false;
    memcpy(bytes, value->bytes, count);
    return true;
}

static bool take_one(struct fmd_sql *sql, int at, char kind, va_list *args)
{
    const struct fmd_sql_value value = sql->driver->column(sql, at, kind == 'n' ? 'i' : kind);
    if (kind == 's')
        return take_text(&value, args);
    if (kind == 'b')
        return take_bytes(&value, args);
    *va_arg(*args, int64_t *) = value.kind == 'n' ? -1 : value.number;
    return true;
}

static int next(struct fmd_sql *sql, const char *format, va_list *args)
{
    const int rc = sql->driver->next(sql);
    bool taken = true;
    for (int at = 0; rc == 1 && format[at] != '\0' && taken; at++)
        taken = take_one(sql, at, format[at], args);
    return taken ? rc
                 : fm_base_fail(FASTMAP_ERR_STATE,
                                "the ledger holds a value that cannot be; run fastmapd audit");
}

/* ---- Statements ------------------------------------------------------------------------------ */

int fmd_sql(struct fmd_sql *sql, const char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = ask(sql, text, &format, &args);
    if (rc == 0)
        rc = next(sql, format, &args);
    va_end(args);
    sql->driver->done(sql);
    return rc;
}

int fmd_sql_ask(struct fmd_sql *sql, const char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int rc = ask(sql, text, &format, &args);
    va_end(args);
    if (rc != 0)
        sql->driver->done(sql);
    return rc;
}

int fmd_sql_next(struct fmd_sql *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int rc = next(sql, format, &args);
    va_end(args);
    if (rc != 1)
        sql->driver->done(sql);
    return rc;
}
