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
   returned, and non-zero undoes what it did. Nothing outside of *argument may be touched by it. */
int fmd_ledger_write(struct fmd_ledger *ledger, fmd_ledger_work *work, void *argument);

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

/* Worth of a book. */
int fmd_ledger_worth(struct fmd_sql *sql, int64_t book, int64_t *nano);

/* The account of that name; ARGUMENT if there is none. */
int fmd_ledger_account(struct fmd_sql *sql, const char *name, int64_t *account);

/* Days since 1970, UTC. */
static inline int64_t fmd_ledger_day(void)
{
    return time(NULL) / 86400;
}

#endif
