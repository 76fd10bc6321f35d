/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ledger's files share: how to write, how to read, how to move money.
 */
#ifndef FMD_LEDGER_INSIDE_H
#define FMD_LEDGER_INSIDE_H

#include <time.h>

#include "ledger.h"
#include "seal.h"
#include "sql.h"

typedef int fmd_ledger_work(struct fmd_sql *sql, void *argument);

/* Runs work in a transaction, perhaps by another thread, together with others' work. What it returns is
   returned, and non-zero undoes what it did. Nothing outside of *argument may be touched by it, and it may be
   run again, from the beginning. */
int fmd_ledger_write(struct fmd_ledger *ledger, fmd_ledger_work *work, void *argument);

/* As write(); work of the same function that comes at the same time is run in one go, for all arguments.
   Where that fails it is undone, and done for each by itself. */
typedef int fmd_ledger_group(struct fmd_sql *sql, void *const arguments[], size_t count);
int fmd_ledger_join(struct fmd_ledger *ledger, fmd_ledger_group *join, void *argument);

/* For work of write(): whether that found the database away in the last seconds. */
bool fmd_ledger_was_away(const struct fmd_ledger *ledger, int64_t seconds);

/* Runs work that only reads, in the calling thread. */
int fmd_ledger_read(struct fmd_ledger *ledger, fmd_ledger_work *work, void *argument);

const uint8_t *fmd_ledger_master(const struct fmd_ledger *ledger);

enum fmd_book { FMD_BOOK_BANK = 0, FMD_BOOK_EARNED = 1, FMD_BOOK_BALANCE = 2, FMD_BOOK_HELD = 3 };

/* A book's number: two belong to the house, two to each account. */
static inline int64_t fmd_book(enum fmd_book kind, int64_t account)
{
    return kind <= FMD_BOOK_EARNED ? (int64_t)kind : 2 * account + (int64_t)kind;
}

struct fmd_transfer {
    int64_t from, to, nano;
    const char *kind;
    const char *map;  /* or NULL */
    int64_t span;     /* below 0: none */
    const char *note; /* or NULL */
};

/* FMD_SQL_REFUSED where `from` has not so much, or the span was paid before. Nothing for 0 nano-dollars. */
int fmd_ledger_move(struct fmd_sql *sql, const struct fmd_transfer *transfer);

/* The two halves of it, for several transfers between the same books: noted one by one, shifted as their
   sum. */
int fmd_ledger_note(struct fmd_sql *sql, const struct fmd_transfer *transfer);
int fmd_ledger_shift(struct fmd_sql *sql, int64_t from, int64_t to, int64_t nano);

/* Worth of a book. */
int fmd_ledger_worth(struct fmd_sql *sql, int64_t book, int64_t *nano);

/* The account of that name; ARGUMENT if there is none. */
int fmd_ledger_account(struct fmd_sql *sql, const char *name, int64_t *account);

/* Makes what is missing (ledger_schema.c). */
int fmd_ledger_prepare(struct fmd_sql *sql, enum fmd_sql_kind kind);

/* Closes a map (ledger_maps.c). Once closed, nothing happens. */
int fmd_ledger_close_in(struct fmd_sql *sql, const char *map);

/* A host's vCPUs for a token are shared anew, as with fmd_ledger_share(). opens: a map of it is being opened;
   else a host without a row has none, and gets none. The row goes when there is no map (ledger_vcpus.c). */
int fmd_ledger_share_in(struct fmd_sql *sql, struct fmd_share *share, bool opens);
int fmd_ledger_unshare_in(struct fmd_sql *sql, const char *token, int64_t host);

/* 1 where the host has a lease (ledger_hosts.c). */
int fmd_ledger_is_there(struct fmd_sql *sql, int64_t host);

/* Days since 1970, UTC. */
static inline int64_t fmd_ledger_day(void)
{
    return time(NULL) / 86400;
}

#endif
