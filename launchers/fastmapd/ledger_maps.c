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

#define COLUMNS "id, account, token, hold, price, spans, cpu_ns, spent, vcpus, host, closed IS NULL"
#define FORMAT "sisiiiiiiii"

/* Where a row's columns go, in the order of COLUMNS. */
#define INTO(row, open)                                                                           \
    (row)->id, sizeof(row)->id, &(row)->account, (row)->token, sizeof(row)->token, &(row)->hold,  \
        &(row)->price, &(row)->spans, &(row)->cpu_ns, &(row)->spent, &(row)->vcpus, &(row)->host, \
        &(open)

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
        sql, "SELECT digest, " COLUMNS " FROM maps WHERE account = ? AND key = ?", "is>b" FORMAT,
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

/* What the token may have in use on this host, where all its maps would use what they asked for. */
static int share(struct fmd_sql *sql, const struct fmd_opening *asked, int64_t *usable)
{
    int64_t wished = 0;
    int rc = fmd_sql(sql,
                     "SELECT coalesce(sum(vcpus), 0) FROM maps WHERE token = ? AND host = ? AND "
                     "closed IS NULL",
                     "si>i", asked->token->id, asked->host, &wished);
    struct fmd_share share = {.token = asked->token->id,
                              .host = asked->host,
                              .wants = wished + asked->vcpus,
                              .uses = INT64_MAX};
    if (rc >= 0)
        rc = fmd_ledger_share_in(sql, &share, true);
    *usable = share.usable;
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
                     "INSERT INTO maps(id, account, token, key, digest, host, opened, hold, price, "
                     "vcpus) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "sissbiiiii", row->id, row->account, row->token, asked->key, asked->digest,
                     (size_t)FM_SERVICE_DIGEST_BYTES, asked->host, (int64_t)time(NULL), row->hold,
                     row->price, row->vcpus);
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

/* What can be granted; *verdict says where that is too little. */
static int grant(struct fmd_sql *sql, const struct opening *o)
{
    const struct fmd_opening *asked = o->asked;
    const struct fmd_token *token = asked->token;
    int64_t balance, today, usable;
    int rc = fmd_ledger_worth(sql, fmd_book(FMD_BOOK_BALANCE, token->account), &balance);
    if (rc == 0)
        rc = left_today(sql, token, &today);
    if (rc == 0)
        rc = share(sql, asked, &usable);
    if (rc != 0)
        return rc;
    *o->row = (struct fmd_map_row){
        .account = token->account, .price = asked->price, .host = asked->host, .is_open = true};
    strcpy(o->row->token, token->id);
    o->row->hold = least_of(asked->budget, least_of(balance, today));
    o->row->vcpus = asked->vcpus;
    o->row->usable = usable;
    *o->verdict = usable == 0                   ? FMD_NO_VCPUS
                  : o->row->hold < asked->least ? FMD_NO_CREDIT
                                                : FMD_OPENED;
    return 0;
}

static int open_map(struct fmd_sql *sql, void *argument)
{
    const struct opening *o = argument;
    int rc = find_key(sql, o);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = fmd_ledger_is_there(sql, o->asked->host);
    if (rc != 1)
        return rc < 0 ? rc
                      : fm_base_fail(FMD_LEDGER_CLOSED,
                                     "this host was thought dead and has lost its lease; it takes "
                                     "another");
    rc = grant(sql, o);
    if (rc == 0 && *o->verdict == FMD_OPENED)
        return insert(sql, o);
    return rc == 0 && *o->verdict == FMD_NO_CREDIT
               ? fmd_ledger_unshare_in(sql, o->asked->token->id, o->asked->host)
               : rc;
}

int fmd_ledger_open_map(struct fmd_ledger *ledger, const struct fmd_opening *opening,
                        enum fmd_verdict *verdict, struct fmd_map_row *row)
{
    return fmd_ledger_write(ledger, open_map, &(struct opening){opening, verdict, row});
}

/* ---- Charging --------------------------------------------------------------------------------------- */

/* What a map has had. The charge is decided on the totals that are committed: whatever else failed
   before, what a map has spent is the price of its CPU time. */
struct totals {
    int64_t spans, cpu_ns, spent, hold, price;
};

/* Charges that are yet to be noted as transfers: several in one statement, which costs little more than
   one. */
enum { NOTES = 4 };

struct notes {
    const struct fmd_settlement *first; /* for what they have in common */
    size_t count;
    int64_t nano[NOTES], span[NOTES];
};

static int note_four(struct fmd_sql *sql, const struct notes *n)
{
    return fmd_sql(sql,
                   "INSERT INTO transfers(made, source, target, nano, kind, map, span) VALUES "
                   "(?1, ?2, ?3, ?5, 'charge', ?4, ?6), (?1, ?2, ?3, ?7, 'charge', ?4, ?8), "
                   "(?1, ?2, ?3, ?9, 'charge', ?4, ?10), (?1, ?2, ?3, ?11, 'charge', ?4, ?12)",
                   "iiisinininin", (int64_t)time(NULL), fmd_book(FMD_BOOK_HELD, n->first->account),
                   fmd_book(FMD_BOOK_EARNED, 0), n->first->map, n->nano[0], n->span[0], n->nano[1],
                   n->span[1], n->nano[2], n->span[2], n->nano[3], n->span[3]);
}

static int note_one(struct fmd_sql *sql, const struct notes *n, size_t i)
{
    return fmd_ledger_note(
        sql, &(struct fmd_transfer){.from = fmd_book(FMD_BOOK_HELD, n->first->account),
                                    .to = fmd_book(FMD_BOOK_EARNED, 0),
                                    .nano = n->nano[i],
                                    .kind = "charge",
                                    .map = n->first->map,
                                    .span = n->span[i]});
}

static int note(struct fmd_sql *sql, struct notes *n)
{
    int rc = n->count == NOTES ? note_four(sql, n) : 0;
    for (size_t i = 0; n->count < NOTES && i < n->count && rc == 0; i++)
        rc = note_one(sql, n, i);
    n->count = 0;
    return rc == FMD_SQL_REFUSED ? fm_base_fail(FMD_LEDGER_TWICE,
                                                "span %" PRId64 " of map %s, or one that was done "
                                                "with it, was charged before",
                                                n->span[0], n->first->map)
                                 : rc;
}

static int charge(struct fmd_sql *sql, struct totals *t, struct fmd_settlement *s, struct notes *n)
{
    t->spans++;
    t->cpu_ns += s->cpu_ns;
    s->charge = fmd_money_price((uint64_t)t->cpu_ns, t->price) - t->spent;
    t->spent += s->charge;
    s->spent = t->spent;
    s->left = t->hold - t->spent;
    if (s->left < 0)
        return fm_base_fail(FASTMAP_ERR_STATE, "span %" PRId64 " of map %s exceeds the hold",
                            s->span, s->map);
    if (s->charge == 0)
        return 0;
    n->nano[n->count] = s->charge;
    n->span[n->count++] = s->span;
    return n->count == NOTES ? note(sql, n) : 0;
}

static int write_totals(struct fmd_sql *sql, const struct fmd_settlement *s, const struct totals *t,
                        int64_t sum)
{
    int rc = fmd_sql(sql, "UPDATE maps SET spans = ?, cpu_ns = ?, spent = ? WHERE id = ?", "iiis",
                     t->spans, t->cpu_ns, t->spent, s->map);
    if (rc == 0 && sum > 0)
        rc = fmd_ledger_shift(sql, fmd_book(FMD_BOOK_HELD, s->account),
                              fmd_book(FMD_BOOK_EARNED, 0), sum);
    if (rc == 0 && sum > 0)
        rc = fmd_sql(sql,
                     "INSERT INTO days(token, day, nano) VALUES (?1, ?2, ?3) "
                     "ON CONFLICT(token, day) DO UPDATE SET nano = days.nano + ?3",
                     "sii", s->token, fmd_ledger_day(), sum);
    return rc == FMD_SQL_REFUSED
               ? fm_base_fail(FASTMAP_ERR_STATE,
                              "map %s holds less than it should; run fastmapd audit", s->map)
               : rc;
}

/* All settlements for the map of the first. */
static int settle_map(struct fmd_sql *sql, void *const arguments[], size_t count)
{
    struct fmd_settlement *first = arguments[0];
    struct notes notes = {.first = first};
    struct totals t;
    int rc = fmd_sql(
        sql, "SELECT spans, cpu_ns, spent, hold, price FROM maps WHERE id = ? AND closed IS NULL",
        "s>iiiii", first->map, &t.spans, &t.cpu_ns, &t.spent, &t.hold, &t.price);
    if (rc != 1)
        return rc < 0 ? rc : fm_base_fail(FMD_LEDGER_CLOSED, "map %s is closed", first->map);
    const int64_t before = t.spent;
    rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct fmd_settlement *s = arguments[i];
        if (strcmp(s->map, first->map) == 0)
            rc = charge(sql, &t, s, &notes);
    }
    if (rc == 0)
        rc = note(sql, &notes);
    return rc == 0 ? write_totals(sql, first, &t, t.spent - before) : rc;
}

static bool is_first_of_map(void *const arguments[], size_t at)
{
    const struct fmd_settlement *own = arguments[at];
    for (size_t i = 0; i < at; i++)
        if (strcmp(((const struct fmd_settlement *)arguments[i])->map, own->map) == 0)
            return false;
    return true;
}

static int settle(struct fmd_sql *sql, void *const arguments[], size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        if (is_first_of_map(arguments, i))
            rc = settle_map(sql, arguments + i, count - i);
    return rc;
}

int fmd_ledger_settle(struct fmd_ledger *ledger, struct fmd_settlement *settlement)
{
    return fmd_ledger_join(ledger, settle, settlement);
}

/* ---- Closing ---------------------------------------------------------------------------------------- */

int fmd_ledger_close_in(struct fmd_sql *sql, const char *map)
{
    char token[FM_SERVICE_ID_BYTES];
    int64_t account, host, left;
    int rc =
        fmd_sql(sql,
                "UPDATE maps SET closed = ? WHERE id = ? AND closed IS NULL RETURNING "
                "account, token, host, hold - spent",
                "is>isii", (int64_t)time(NULL), map, &account, token, sizeof token, &host, &left);
    if (rc != 1)
        return rc;
    rc = fmd_ledger_unshare_in(sql, token, host);
    if (rc < 0)
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

static int close_map(struct fmd_sql *sql, void *argument)
{
    return fmd_ledger_close_in(sql, argument);
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
                           "si>" FORMAT, l->map, l->account, INTO(l->row, open));
    l->row->is_open = open != 0;
    return rc;
}

int fmd_ledger_find_map(struct fmd_ledger *ledger, int64_t account, const char *map,
                        struct fmd_map_row *row)
{
    return fmd_ledger_read(ledger, find_map, &(struct lookup){account, map, row});
}
