/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The money of a map: held when it opens, charged span by span, given back when it closes.
 */
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/error.h"
#include "ledger_inside.h"
#include "money.h"
#include "service/hex.h"

#define COLUMNS "id, account, token, hold, price, spans, cpu_ns, spent, closed IS NULL"

/* Where a row's columns go, in the order of COLUMNS. */
#define INTO(row, open)                                                                          \
    (row)->id, sizeof(row)->id, &(row)->account, (row)->token, sizeof(row)->token, &(row)->hold, \
        &(row)->price, &(row)->spans, &(row)->cpu_ns, &(row)->spent, &(open)

/* ---- Opening ---------------------------------------------------------------------------------------- */

struct opening {
    const struct fmd_opening *asked;
    enum fmd_verdict *verdict;
    struct fmd_map_row *row;
};

/* 1: the key was used before. */
static int find_key(struct fmd_sql *sql, const struct opening *o)
{
    int64_t open = 0;
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    const int rc = fmd_sql(
        sql, "SELECT digest, " COLUMNS " FROM maps WHERE account = ? AND key = ?", "is>bsisiiiiii",
        o->asked->token->account, o->asked->key, digest, sizeof digest, INTO(o->row, open));
    o->row->is_open = open != 0;
    if (rc == 1)
        *o->verdict =
            memcmp(digest, o->asked->digest, sizeof digest) == 0 ? FMD_KNOWN : FMD_CONFLICT;
    return rc;
}

/* What the token may still spend today: its limit, less what it has spent and what its open maps hold. */
static int left_today(struct fmd_sql *sql, const struct fmd_token *token, int64_t *left)
{
    int64_t spent = 0, held = 0;
    *left = INT64_MAX;
    if (token->limits.day_nano < 0)
        return 0;
    int rc = fmd_sql(sql, "SELECT nano FROM days WHERE token = ? AND day = ?", "si>i", token->id,
                     fmd_ledger_day(), &spent);
    if (rc >= 0)
        rc = fmd_sql(
            sql,
            "SELECT coalesce(sum(hold - spent), 0) FROM maps WHERE token = ? AND closed IS NULL",
            "s>i", token->id, &held);
    *left = token->limits.day_nano - spent - held;
    return rc < 0 ? rc : 0;
}

static int64_t least_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int new_name(char id[FMD_MAP_BYTES])
{
    uint8_t bytes[8];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return fm_base_fail(FASTMAP_ERR_STATE, "the system's source of random numbers fails");
    fm_service_hex(bytes, sizeof bytes, id);
    return 0;
}

static int insert(struct fmd_sql *sql, const struct opening *o)
{
    const struct fmd_opening *asked = o->asked;
    struct fmd_map_row *row = o->row;
    int rc = new_name(row->id);
    if (rc == 0)
        rc = fmd_sql(sql,
                     "INSERT INTO maps(id, account, token, key, digest, host, opened, hold, price) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "sissbiiii", row->id, row->account, row->token, asked->key, asked->digest,
                     (size_t)FM_SERVICE_DIGEST_BYTES, asked->host, (int64_t)time(NULL), row->hold,
                     row->price);
    if (rc == 0)
        rc = fmd_ledger_move(
            sql, &(struct fmd_transfer){.from = fmd_book(FMD_BOOK_BALANCE, row->account),
                                        .to = fmd_book(FMD_BOOK_HELD, row->account),
                                        .nano = row->hold,
                                        .kind = "hold",
                                        .map = row->id,
                                        .span = -1});
    return rc == FMD_SQL_REFUSED
               ? fm_base_fail(FASTMAP_ERR_STATE, "the ledger refuses a hold that it can cover")
               : rc;
}

static int open_map(struct fmd_sql *sql, void *argument)
{
    const struct opening *o = argument;
    const struct fmd_token *token = o->asked->token;
    int64_t balance, today;
    int rc = find_key(sql, o);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = fmd_ledger_worth(sql, fmd_book(FMD_BOOK_BALANCE, token->account), &balance);
    if (rc == 0)
        rc = left_today(sql, token, &today);
    if (rc != 0)
        return rc;
    *o->row =
        (struct fmd_map_row){.account = token->account, .price = o->asked->price, .is_open = true};
    strcpy(o->row->token, token->id);
    o->row->hold = least_of(o->asked->budget, least_of(balance, today));
    *o->verdict = o->row->hold < o->asked->least ? FMD_NO_CREDIT : FMD_OPENED;
    return *o->verdict == FMD_OPENED ? insert(sql, o) : 0;
}

int fmd_ledger_open_map(struct fmd_ledger *ledger, const struct fmd_opening *opening,
                        enum fmd_verdict *verdict, struct fmd_map_row *row)
{
    return fmd_ledger_write(ledger, open_map, &(struct opening){opening, verdict, row});
}

/* ---- Charging --------------------------------------------------------------------------------------- */

/* The charge is decided here, on the totals that are committed: whatever else failed before, what a map has
   spent is the price of its CPU time. */
static int add_to_map(struct fmd_sql *sql, struct fmd_settlement *s)
{
    int64_t cpu_ns, spent, hold, price;
    int rc = fmd_sql(
        sql,
        "UPDATE maps SET spans = spans + 1, cpu_ns = cpu_ns + ? WHERE id = ? AND closed IS NULL "
        "RETURNING cpu_ns, spent, hold, price",
        "is>iiii", s->cpu_ns, s->map, &cpu_ns, &spent, &hold, &price);
    if (rc != 1)
        return rc != 0 ? rc : fm_base_fail(FASTMAP_ERR_STATE, "map %s is closed", s->map);
    s->charge = fmd_money_price((uint64_t)cpu_ns, price) - spent;
    s->spent = spent + s->charge;
    s->left = hold - s->spent;
    return s->charge == 0
               ? 0
               : fmd_sql(sql, "UPDATE maps SET spent = ? WHERE id = ?", "is", s->spent, s->map);
}

static int settle(struct fmd_sql *sql, void *argument)
{
    struct fmd_settlement *s = argument;
    int rc = add_to_map(sql, s);
    if (rc == 0)
        rc =
            fmd_ledger_move(sql, &(struct fmd_transfer){.from = fmd_book(FMD_BOOK_HELD, s->account),
                                                        .to = fmd_book(FMD_BOOK_EARNED, 0),
                                                        .nano = s->charge,
                                                        .kind = "charge",
                                                        .map = s->map,
                                                        .span = s->span});
    if (rc == 0 && s->charge > 0)
        rc = fmd_sql(
            sql, "INSERT INTO days VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET nano = nano + ?3",
            "sii", s->token, fmd_ledger_day(), s->charge);
    return rc == FMD_SQL_REFUSED
               ? fm_base_fail(FASTMAP_ERR_STATE,
                              "span %" PRId64 " of map %s was charged before, or exceeds the hold",
                              s->span, s->map)
               : rc;
}

int fmd_ledger_settle(struct fmd_ledger *ledger, struct fmd_settlement *settlement)
{
    return fmd_ledger_write(ledger, settle, settlement);
}

/* ---- Closing ---------------------------------------------------------------------------------------- */

static int close_map(struct fmd_sql *sql, void *argument)
{
    const char *map = argument;
    int64_t account, left;
    int rc = fmd_sql(sql,
                     "UPDATE maps SET closed = ? WHERE id = ? AND closed IS NULL RETURNING "
                     "account, hold - spent",
                     "is>ii", (int64_t)time(NULL), map, &account, &left);
    if (rc != 1)
        return rc;
    rc = fmd_ledger_move(sql, &(struct fmd_transfer){.from = fmd_book(FMD_BOOK_HELD, account),
                                                     .to = fmd_book(FMD_BOOK_BALANCE, account),
                                                     .nano = left,
                                                     .kind = "release",
                                                     .map = map,
                                                     .span = -1});
    return rc == FMD_SQL_REFUSED
               ? fm_base_fail(FASTMAP_ERR_STATE,
                              "map %s holds less than it should; run fastmapd audit", map)
               : rc;
}

int fmd_ledger_close_map(struct fmd_ledger *ledger, const char *map)
{
    return fmd_ledger_write(ledger, close_map, (void *)(uintptr_t)map);
}

struct lookup {
    int64_t account;
    const char *map;
    struct fmd_map_row *row;
};

static int find_map(struct fmd_sql *sql, void *argument)
{
    const struct lookup *l = argument;
    int64_t open = 0;
    const int rc = fmd_sql(sql, "SELECT " COLUMNS " FROM maps WHERE id = ? AND account = ?",
                           "si>sisiiiiii", l->map, l->account, INTO(l->row, open));
    l->row->is_open = open != 0;
    return rc;
}

int fmd_ledger_find_map(struct fmd_ledger *ledger, int64_t account, const char *map,
                        struct fmd_map_row *row)
{
    return fmd_ledger_read(ledger, find_map, &(struct lookup){account, map, row});
}

/* ---- After a restart ---------------------------------------------------------------------------------- */

struct recovery {
    int64_t host;
    int64_t *closed;
};

static int recover(struct fmd_sql *sql, void *argument)
{
    const struct recovery *r = argument;
    char map[FMD_MAP_BYTES];
    int rc;
    *r->closed = 0;
    while ((rc = fmd_sql(sql, "SELECT id FROM maps WHERE host = ? AND closed IS NULL LIMIT 1",
                         "i>s", r->host, map, sizeof map)) == 1) {
        rc = close_map(sql, map);
        if (rc != 0)
            break;
        ++*r->closed;
    }
    return rc;
}

int fmd_ledger_recover(struct fmd_ledger *ledger, int64_t host, int64_t *closed)
{
    return fmd_ledger_write(ledger, recover, &(struct recovery){host, closed});
}
