/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SQL with statements that are prepared once and told their arguments by a format, over SQLite or
 * PostgreSQL: what is written here is written for both. One thread at a time uses a connection.
 *
 *   fmd_sql(sql, "SELECT spans, spent FROM maps WHERE id = ?", "s>ii", id, &spans, &spent)
 *
 * What goes in, then ">", then what comes out of the first row:
 *        in                               out
 *   i    int64_t                          int64_t *; truth is 1 or 0
 *   n    int64_t, null if below 0         int64_t *, -1 for null
 *   s    const char *, NULL for null      char *, size_t its bytes; "" for null
 *   b    const void *, size_t             void *, size_t exactly so many bytes
 *
 * Writing transactions exclude each other, whichever program or host they come from: SQLite has one writer,
 * and with PostgreSQL each begins by taking one lock. So what a transaction has read is true until it ends,
 * and neither database ever has to undo one because of another.
 */
#ifndef FMD_SQL_H
#define FMD_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fmd_sql;

enum fmd_sql_kind { FMD_SQL_SQLITE, FMD_SQL_POSTGRES };

/* What functions return below 0, beside FASTMAP_ERR_STATE; the error is recorded but for REFUSED. */
#define FMD_SQL_REFUSED (-1000) /* a constraint was violated */
#define FMD_SQL_AWAY (-1001)    /* the database is not to be had now: nothing was changed */
#define FMD_SQL_UNKNOWN \
    (-1002) /* it went away while it committed, and cannot be asked what became of it */

/* The database of that name: a PostgreSQL address, or else SQLite's file. */
enum fmd_sql_kind fmd_sql_kind(const char *where);

/* Opens it, and makes SQLite's file. is_daemon: there are many small commits, and SQLite need not force each
   to the disk; all are in order. NULL with the error recorded. */
struct fmd_sql *fmd_sql_open(const char *where, bool is_daemon);
void fmd_sql_close(struct fmd_sql *sql);

/* The text must live as long as the connection: literals. Returns 1 where there was a row, 0 where there was
   none. */
int fmd_sql(struct fmd_sql *sql, const char *text, const char *format, ...);

/* Row by row: ask() takes what goes in, next() the outs of one row, and returns 1, or 0 after the last.
   Between them the connection does nothing else. */
int fmd_sql_ask(struct fmd_sql *sql, const char *text, const char *format, ...);
int fmd_sql_next(struct fmd_sql *sql, const char *format, ...);

/* Several statements without arguments, all or none of which are done, by one program at a time. */
int fmd_sql_script(struct fmd_sql *sql, const char *text);

/* A transaction; one that only reads sees the database as it was when it began. */
int fmd_sql_begin(struct fmd_sql *sql, bool writes);
int fmd_sql_commit(struct fmd_sql *sql);
void fmd_sql_rollback(struct fmd_sql *sql);

/* The database's clock, which all hosts share: seconds since 1970. */
int fmd_sql_now(struct fmd_sql *sql, int64_t *seconds);

/* After AWAY: 0 where it is to be had again. Asked often, it does not try each time. */
int fmd_sql_revive(struct fmd_sql *sql);

#endif
