/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vCPUs that a token may have in use at the same time, on all hosts together. Each host that has maps of
 * the token has a row: how many it could use for them, and how many it has. What a host has is taken from
 * nobody but itself, so the rows never come to more than the limit, unless that was lowered:
 *
 *   more   up to its max-min fair part of what all could use, as far as others have left it
 *   less   where another one is short of its part: what is above the own part, and not in use
 *
 * A host that is to have less is first told how many it may have in use from now on (`usable`), and gives the
 * rest back with its next call, when it knows what is still running. Who holds more comes first among equals,
 * so that nothing moves for nothing.
 */
#include "base/error.h"
#include "deal.h"
#include "ledger_inside.h"

enum { HOSTS = 256 };

/* The token's rows, the own one first; it need not be there yet. */
struct rows {
    size_t count;
    bool is_new;
    int64_t limit; /* below 0: none */
    int64_t wants; /* what the own row says of that */
    int64_t has[HOSTS];
    struct fmd_claim claims[HOSTS];
    unsigned dealt[HOSTS];
    unsigned left;
};

static unsigned small(int64_t number)
{
    return number < 0 ? 0 : number > UINT16_MAX ? UINT16_MAX : (unsigned)number;
}

static void add(struct rows *rows, int64_t wants, int64_t has)
{
    const size_t i = rows->count++;
    rows->has[i] = has;
    rows->claims[i] =
        (struct fmd_claim){.wants = small(wants), .account = &rows->dealt[i], .left = &rows->left};
}

static int read_rows(struct fmd_sql *sql, const struct fmd_share *share, struct rows *rows)
{
    int64_t own = 0, wants, has;
    int rc = fmd_sql(sql, "SELECT wants, vcpus FROM shares WHERE token = ? AND host = ?", "si>ii",
                     share->token, share->host, &rows->wants, &own);
    rows->is_new = rc == 0;
    add(rows, share->wants, own);
    if (rc >= 0)
        rc = fmd_sql_ask(sql,
                         "SELECT wants, vcpus FROM shares WHERE token = ? AND host <> ? "
                         "ORDER BY vcpus DESC, host",
                         "si", share->token, share->host);
    bool fits = true;
    while (rc >= 0 && (rc = fmd_sql_next(sql, "ii", &wants, &has)) == 1) {
        fits = rows->count < HOSTS;
        if (fits)
            add(rows, wants, has);
    }
    return rc < 0 || fits
               ? rc
               : fm_base_fail(FASTMAP_ERR_STATE, "more than %d hosts have maps of token %s", HOSTS,
                              share->token);
}

/* Deals the limit anew. The own claim stands behind those that hold more. */
static void deal(struct rows *rows)
{
    struct fmd_claim *first = NULL, **end = &first;
    bool is_in = false;
    for (size_t i = 1; i <= rows->count; i++) {
        if (!is_in && (i == rows->count || rows->has[i] <= rows->has[0])) {
            *end = &rows->claims[0];
            end = &rows->claims[0].next;
            is_in = true;
        }
        if (i < rows->count) {
            *end = &rows->claims[i];
            end = &rows->claims[i].next;
        }
    }
    rows->left = small(rows->limit);
    (void)fmd_deal(first, rows->left);
}

static bool is_other_short(const struct rows *rows)
{
    for (size_t i = 1; i < rows->count; i++)
        if (rows->has[i] < rows->claims[i].has)
            return true;
    return false;
}

static int64_t least_of(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int64_t most_of(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

static void decide(const struct rows *rows, struct fmd_share *share)
{
    const int64_t own = rows->has[0], fair = rows->claims[0].has;
    int64_t room = rows->limit;
    for (size_t i = 1; i < rows->count; i++)
        room -= rows->has[i];
    const int64_t aim = own < fair || is_other_short(rows) ? fair : own;
    share->usable = most_of(least_of(aim, room), 0);
    share->vcpus = most_of(share->usable, least_of(share->uses, own));
}

static int write_row(struct fmd_sql *sql, const struct fmd_share *share)
{
    return fmd_sql(sql,
                   "INSERT INTO shares(token, host, wants, vcpus) VALUES (?1, ?2, ?3, ?4) "
                   "ON CONFLICT(token, host) DO UPDATE SET wants = ?3, vcpus = ?4",
                   "siii", share->token, share->host, share->wants, share->vcpus);
}

int fmd_ledger_share_in(struct fmd_sql *sql, struct fmd_share *share, bool opens)
{
    struct rows rows = {.count = 0};
    int rc =
        fmd_sql(sql, "SELECT vcpus FROM tokens WHERE id = ?", "s>n", share->token, &rows.limit);
    if (rc >= 0)
        rc = read_rows(sql, share, &rows);
    if (rc < 0)
        return rc;
    share->vcpus = share->usable = rows.limit;
    if (rows.limit < 0)
        return 0;
    if (rows.is_new && !opens) { /* its maps were closed by others */
        share->vcpus = share->usable = 0;
        return 0;
    }
    deal(&rows);
    decide(&rows, share);
    const bool others = rows.count > 1;
    if (rows.is_new || share->vcpus != rows.has[0] || (others && share->wants != rows.wants))
        return write_row(sql, share);
    return 0;
}

static int share_vcpus(struct fmd_sql *sql, void *argument)
{
    return fmd_ledger_share_in(sql, argument, false);
}

int fmd_ledger_share(struct fmd_ledger *ledger, struct fmd_share *share)
{
    return fmd_ledger_write(ledger, share_vcpus, share);
}

int fmd_ledger_unshare_in(struct fmd_sql *sql, const char *token, int64_t host)
{
    return fmd_sql(sql,
                   "DELETE FROM shares WHERE token = ?1 AND host = ?2 AND NOT EXISTS "
                   "(SELECT 1 FROM maps WHERE token = ?1 AND host = ?2 AND closed IS NULL)",
                   "si", token, host);
}

static int unshare(struct fmd_sql *sql, void *argument)
{
    const struct fmd_share *share = argument;
    return fmd_ledger_unshare_in(sql, share->token, share->host);
}

int fmd_ledger_unshare(struct fmd_ledger *ledger, const char *token, int64_t host)
{
    return fmd_ledger_write(ledger, unshare, &(struct fmd_share){.token = token, .host = host});
}
