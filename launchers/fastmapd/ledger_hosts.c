/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemons that share a ledger: who is there, and what becomes of the maps of who is not.
 *
 * A daemon has a lease: a row, under a number that is drawn when it starts, with the time until which it
 * counts. It puts that off again and again (stay). Whoever stays also takes away the leases that have run
 * out (sweep). A map is its host's as long as the lease has its row: without one it is closed, by whoever
 * sees that first, and its hold given back. So a lease can run out and still be there, where nobody has
 * looked meanwhile; once it is gone it does not come back, and its daemon, which learns so when it would
 * stay, gives up what it has and takes another. A daemon that comes again ends the lease that it had before
 * at once. While the database is away, leases run out of daemons that are well: who finds it again leaves
 * them, for as long as a lease lasts.
 *
 * All times are the database's: the hosts' own clocks may differ.
 */
#include <openssl/rand.h>

#include "base/error.h"
#include "ledger_inside.h"

struct lease {
    const struct fmd_ledger *ledger;
    int64_t host, before;
    int64_t lease_s;
    int64_t *closed; /* maps, here and by sweeping */
    bool stays;
};

/* Closes the maps of hosts that have no lease, or whose lease has run out. */
static int sweep(struct fmd_sql *sql, struct lease *l, int64_t now)
{
    char map[FMD_MAP_BYTES];
    int64_t gone;
    int rc;
    const int64_t before = fmd_ledger_was_away(l->ledger, l->lease_s) ? 0 : now;
    while ((rc = fmd_sql(sql, "DELETE FROM hosts WHERE until < ? RETURNING id", "i>i", before,
                         &gone)) == 1)
        continue;
    if (rc == 0)
        rc = fmd_sql(sql, "DELETE FROM signatures WHERE until < ?", "i", now);
    if (rc == 0)
        rc = fmd_sql(sql,
                     "DELETE FROM shares WHERE NOT EXISTS "
                     "(SELECT 1 FROM hosts WHERE hosts.id = shares.host)",
                     "");
    while (rc == 0 && (rc = fmd_sql(sql,
                                    "SELECT id FROM maps WHERE closed IS NULL AND NOT EXISTS "
                                    "(SELECT 1 FROM hosts WHERE hosts.id = maps.host) LIMIT 1",
                                    ">s", map, sizeof map)) == 1) {
        rc = fmd_ledger_close_in(sql, map);
        ++*l->closed;
    }
    return rc;
}

static int enter(struct fmd_sql *sql, void *argument)
{
    struct lease *l = argument;
    int64_t now;
    *l->closed = 0;
    int rc = fmd_sql_now(sql, &now);
    if (rc == 0)
        rc = fmd_sql(sql, "DELETE FROM hosts WHERE id = ?", "i", l->before);
    if (rc == 0)
        rc = fmd_sql(sql, "INSERT INTO hosts(id, until) VALUES (?, ?)", "ii", l->host,
                     now + l->lease_s);
    return rc == 0 ? sweep(sql, l, now) : rc;
}

int fmd_ledger_enter(struct fmd_ledger *ledger, int64_t before, int64_t lease_s, int64_t *host,
                     int64_t *closed)
{
    uint64_t drawn;
    if (RAND_bytes((unsigned char *)&drawn, sizeof drawn) != 1)
        return fm_base_fail(FASTMAP_ERR_STATE, "the system's source of random numbers fails");
    struct lease lease = {ledger, (int64_t)(drawn >> 1), before, lease_s, closed, true};
    const int rc = fmd_ledger_write(ledger, enter, &lease);
    if (rc == 0)
        *host = lease.host;
    return rc;
}

static int stay(struct fmd_sql *sql, void *argument)
{
    struct lease *l = argument;
    int64_t now, found;
    *l->closed = 0;
    int rc = fmd_sql_now(sql, &now);
    if (rc == 0)
        rc = fmd_sql(sql, "UPDATE hosts SET until = ? WHERE id = ? RETURNING id", "ii>i",
                     now + l->lease_s, l->host, &found);
    l->stays = rc == 1;
    return rc < 0 ? rc : sweep(sql, l, now);
}

int fmd_ledger_stay(struct fmd_ledger *ledger, int64_t host, int64_t lease_s, bool *stays,
                    int64_t *closed)
{
    struct lease lease = {ledger, host, -1, lease_s, closed, false};
    const int rc = fmd_ledger_write(ledger, stay, &lease);
    *stays = lease.stays;
    return rc;
}

static int leave(struct fmd_sql *sql, void *argument)
{
    struct lease *l = argument;
    int64_t now;
    *l->closed = 0;
    int rc = fmd_sql_now(sql, &now);
    if (rc == 0)
        rc = fmd_sql(sql, "DELETE FROM hosts WHERE id = ?", "i", l->host);
    return rc == 0 ? sweep(sql, l, now) : rc;
}

int fmd_ledger_leave(struct fmd_ledger *ledger, int64_t host)
{
    int64_t closed;
    return fmd_ledger_write(ledger, leave,
                            &(struct lease){.ledger = ledger, .host = host, .closed = &closed});
}

int fmd_ledger_is_there(struct fmd_sql *sql, int64_t host)
{
    int64_t found;
    return fmd_sql(sql, "SELECT id FROM hosts WHERE id = ?", "i>i", host, &found);
}

/* ---- Signatures ------------------------------------------------------------------------------ */

struct use {
    const uint8_t *signature;
    int64_t keep_s;
    bool *is_fresh;
};

static int use_signature(struct fmd_sql *sql, void *argument)
{
    const struct use *u = argument;
    int64_t now, taken;
    int rc = fmd_sql_now(sql, &now);
    if (rc == 0)
        rc = fmd_sql(sql,
                     "INSERT INTO signatures(signature, until) VALUES (?, ?) "
                     "ON CONFLICT DO NOTHING RETURNING until",
                     "bi>i", u->signature, (size_t)FMD_LEDGER_SIGNATURE, now + u->keep_s, &taken);
    *u->is_fresh = rc == 1;
    return rc < 0 ? rc : 0;
}

int fmd_ledger_use_signature(struct fmd_ledger *ledger, const uint8_t *signature, int64_t keep_s,
                             bool *is_fresh)
{
    return fmd_ledger_write(ledger, use_signature, &(struct use){signature, keep_s, is_fresh});
}
