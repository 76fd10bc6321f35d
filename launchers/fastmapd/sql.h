/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SQLite with statements that are prepared once and told their arguments by a format. One thread at a
 * time uses a connection.
 *
 *   fmd_sql(sql, "SELECT spans, spent FROM maps WHERE id = ?", "s>ii", id, &spans, &spent)
 *
 * What goes in, then ">", then what comes out of the first row:
 *        in                               out
 *   i    int64_t                          int64_t *
 *   n    int64_t, null if below 0         int64_t *, -1 for null
 *   s    const char *, NULL for null      char *, size_t its bytes
 *   b    const void *, size_t             void *, size_t exactly so many bytes
 */
#ifndef FMD_SQL_H
#define FMD_SQL_H

#include <sqlite3.h>
#include <stdbool.h>

struct fmd_sql;

/* Opens or makes the database. durable: a commit is on the disk when it returns; else when the next
   checkpoint is, and always in order. NULL with the error recorded. */
struct fmd_sql *fmd_sql_open(const char *path, bool durable);
void fmd_sql_close(struct fmd_sql *sql);

/* The text must live as long as the connection: literals. Returns 1 where there was a row, 0 where there was
   none, FMD_SQL_REFUSED where a constraint was violated, or FASTMAP_ERR_STATE with the error recorded. */
#define FMD_SQL_REFUSED (-1000)
int fmd_sql(struct fmd_sql *sql, const char *text, const char *format, ...);

/* The prepared statement, reset, to step through by hand; NULL with the error recorded. */
sqlite3_stmt *fmd_sql_prepare(struct fmd_sql *sql, const char *text);

/* Several statements without arguments. */
int fmd_sql_script(struct fmd_sql *sql, const char *text);

#endif
