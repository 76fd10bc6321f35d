/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a database has to do for sql.c. Everything returns as the functions of sql.h do.
 */
#ifndef FMD_SQL_INSIDE_H
#define FMD_SQL_INSIDE_H

#include "sql.h"

enum { FMD_SQL_STATEMENTS = 96, FMD_SQL_VALUES = 16 };

/* An argument or a column: 'i' a number, 's' text, 'b' bytes, 'n' null. */
struct fmd_sql_value {
    char kind;
    int64_t number;
    const void *bytes; /* text ends with a NUL beyond its count */
    size_t count;
};

struct fmd_sql_driver {
    const char *now; /* the query for the clock */
    void (*close)(struct fmd_sql *sql);
    int (*script)(struct fmd_sql *sql, const char *text);
    int (*ask)(struct fmd_sql *sql, const char *text, const struct fmd_sql_value *values,
               size_t count);
    int (*next)(struct fmd_sql *sql);
    /* The column of the row, as the kind says; valid until the next call. */
    struct fmd_sql_value (*column)(struct fmd_sql *sql, int at, char kind);
    void (*done)(struct fmd_sql *sql); /* with the rows */
    int (*begin)(struct fmd_sql *sql, bool writes);
    int (*commit)(struct fmd_sql *sql);
    void (*rollback)(struct fmd_sql *sql);
    int (*revive)(struct fmd_sql *sql);
};

/* The beginning of a database's own struct. */
struct fmd_sql {
    const struct fmd_sql_driver *driver;
};

struct fmd_sql *fmd_sql_open_sqlite(const char *path, bool is_daemon);
struct fmd_sql *fmd_sql_open_postgres(const char *address, bool is_daemon);

#endif
