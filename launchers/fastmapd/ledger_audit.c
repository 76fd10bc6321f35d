/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proof that the ledger balances: everything is added up anew from the transfers and compared with what is
 * kept. Each row of the table is a query that finds what is wrong; nothing found is the proof.
 */
#include <inttypes.h>

#include "base/error.h"
#include "ledger_inside.h"
#include "money.h"
#include "text.h"

static const struct {
    const char *what, *query; /* name of the thing, then two numbers that should be equal */
} checks[] = {
    {"all books together come to nothing",
     "SELECT 'sum', sum(given - taken), 0 FROM books HAVING sum(given - taken) <> 0"},
    {"each book has given what its transfers gave",
     "SELECT 'book ' || b.id, b.given, coalesce(t.nano, 0) FROM books b LEFT JOIN (SELECT target, "
     "sum(nano) AS nano "
     "FROM transfers GROUP BY target) t ON t.target = b.id WHERE b.given <> coalesce(t.nano, 0)"},
    {"each book has taken what its transfers took",
     "SELECT 'book ' || b.id, b.taken, coalesce(t.nano, 0) FROM books b LEFT JOIN (SELECT source, "
     "sum(nano) AS nano "
     "FROM transfers GROUP BY source) t ON t.source = b.id WHERE b.taken <> coalesce(t.nano, 0)"},
    {"no book but the bank is below zero",
     "SELECT 'book ' || id, given - taken, 0 FROM books WHERE id <> 0 AND given < taken"},
    {"each map has spent what its spans were charged",
     "SELECT 'map ' || m.id, m.spent, coalesce(t.nano, 0) FROM maps m LEFT JOIN (SELECT map, "
     "sum(nano) AS nano FROM transfers "
     "WHERE kind = 'charge' GROUP BY map) t ON t.map = m.id WHERE m.spent <> coalesce(t.nano, 0)"},
    {"each map's hold is spent, given back, or held",
     "SELECT 'map ' || m.id, m.hold, coalesce(t.nano, 0) FROM maps m LEFT JOIN (SELECT map, "
     "sum(nano) AS nano FROM transfers "
     "WHERE kind = 'hold' GROUP BY map) t ON t.map = m.id WHERE m.hold <> coalesce(t.nano, 0) "
     "UNION ALL "
     "SELECT 'map ' || m.id, m.hold - m.spent, coalesce(t.nano, 0) FROM maps m LEFT JOIN (SELECT "
     "map, sum(nano) AS nano "
     "FROM transfers WHERE kind = 'release' GROUP BY map) t ON t.map = m.id WHERE m.closed IS NOT "
     "NULL AND "
     "m.hold - m.spent <> coalesce(t.nano, 0)"},
    {"each account holds what its open maps hold",
     "SELECT 'account ' || a.name, b.given - b.taken, coalesce(m.nano, 0) FROM accounts a JOIN "
     "books b ON b.id = 2 * a.id + 3 "
     "LEFT JOIN (SELECT account, sum(hold - spent) AS nano FROM maps WHERE closed IS NULL GROUP BY "
     "account) m "
     "ON m.account = a.id WHERE b.given - b.taken <> coalesce(m.nano, 0)"},
    {"no transfer is for a map that there is not",
     "SELECT 'transfer ' || t.id, t.nano, 0 FROM transfers t LEFT JOIN maps m ON m.id = t.map "
     "WHERE t.map IS NOT NULL AND m.id IS NULL"},
};

struct audit {
    FILE *to;
    int64_t *wrong;
};

static int run_check(struct fmd_sql *sql, size_t i, const struct audit *audit)
{
    char name[128];
    int64_t found = 0, has, should;
    int rc = fmd_sql_ask(sql, checks[i].query, "");
    while (rc >= 0 && (rc = fmd_sql_next(sql, "sii", name, sizeof name, &has, &should)) == 1) {
        fprintf(audit->to, "WRONG  %s: %s has %" PRId64 ", should have %" PRId64 "\n",
                checks[i].what, name, has, should);
        found++;
    }
    if (rc == 0 && found == 0)
        fprintf(audit->to, "ok     %s\n", checks[i].what);
    *audit->wrong += found;
    return rc;
}

/* What a map has spent is the price of its CPU time, which SQL's 64 bits cannot multiply. */
static int check_prices(struct fmd_sql *sql, const struct audit *audit)
{
    static const char what[] = "each map has spent the price of its CPU time";
    char map[FMD_MAP_BYTES];
    int64_t found = 0, cpu_ns, price, spent;
    int rc = fmd_sql_ask(sql, "SELECT id, cpu_ns, price, spent FROM maps", "");
    while (rc >= 0 &&
           (rc = fmd_sql_next(sql, "siii", map, sizeof map, &cpu_ns, &price, &spent)) == 1) {
        const int64_t should = fmd_money_price((uint64_t)cpu_ns, price);
        if (should != spent)
            fprintf(audit->to, "WRONG  %s: map %s has %" PRId64 ", should have %" PRId64 "\n", what,
                    map, spent, should);
        found += should != spent;
    }
    if (rc == 0 && found == 0)
        fprintf(audit->to, "ok     %s\n", what);
    *audit->wrong += found;
    return rc;
}

static int show_sums(struct fmd_sql *sql, FILE *to)
{
    int64_t paid = 0, balances = 0, held = 0, earned = 0;
    char text[4][FMD_TEXT_DOLLARS];
    const int rc = fmd_sql(sql,
                           "SELECT sum(CASE WHEN id = 0 THEN taken - given ELSE 0 END), sum(CASE "
                           "WHEN id > 1 AND id % 2 = 0 "
                           "THEN given - taken ELSE 0 END), sum(CASE WHEN id > 1 AND id % 2 = 1 "
                           "THEN given - taken ELSE 0 END), "
                           "sum(CASE WHEN id = 1 THEN given - taken ELSE 0 END) FROM books",
                           ">iiii", &paid, &balances, &held, &earned);
    if (rc < 0)
        return rc;
    fmd_text_dollars(paid, text[0]);
    fmd_text_dollars(balances, text[1]);
    fmd_text_dollars(held, text[2]);
    fmd_text_dollars(earned, text[3]);
    fprintf(to, "paid in US$%s = balances US$%s + held US$%s + earned US$%s\n", text[0], text[1],
            text[2], text[3]);
    return 0;
}

/* All in one reading transaction: a daemon that writes meanwhile is not seen half-way. */
static int audit(struct fmd_sql *sql, void *argument)
{
    const struct audit *a = argument;
    *a->wrong = 0;
    int rc = fmd_sql_begin(sql, false);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && rc == 0; i++)
        rc = run_check(sql, i, a);
    if (rc == 0)
        rc = check_prices(sql, a);
    if (rc == 0)
        rc = show_sums(sql, a->to);
    fmd_sql_rollback(sql);
    return rc;
}

int fmd_ledger_audit(struct fmd_ledger *ledger, FILE *to, int64_t *wrong)
{
    return fmd_ledger_read(ledger, audit, &(struct audit){to, wrong});
}
