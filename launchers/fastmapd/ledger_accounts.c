/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accounts, their credit, their tokens.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "ledger_inside.h"
#include "text.h"

bool fmd_ledger_name_is_valid(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strnlen(name, FMD_NAME_BYTES);
    return length > 0 && length < FMD_NAME_BYTES && strspn(name, letters) == length &&
           strchr("._-", name[0]) == NULL;
}

int fmd_ledger_account(struct fmd_sql *sql, const char *name, int64_t *account)
{
    const int rc = fmd_sql(sql, "SELECT id FROM accounts WHERE name = ?", "s>i", name, account);
    if (rc == 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "there is no account %.64s; fastmapd account list shows them", name);
    return rc < 0 ? rc : 0;
}

/* ---- Accounts --------------------------------------------------------------------------------------- */

static int add_account(struct fmd_sql *sql, void *argument)
{
    const char *name = argument;
    int64_t account;
    int rc = fmd_sql(sql, "INSERT INTO accounts(name, made) VALUES (?, ?) RETURNING id", "si>i",
                     name, (int64_t)time(NULL), &account);
    if (rc == FMD_SQL_REFUSED)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "there is an account %s already; choose another name", name);
    if (rc == 1)
        rc = fmd_sql(sql, "INSERT INTO books(id) VALUES (?), (?)", "ii",
                     fmd_book(FMD_BOOK_BALANCE, account), fmd_book(FMD_BOOK_HELD, account));
    return rc;
}

int fmd_ledger_add_account(struct fmd_ledger *ledger, const char *name)
{
    if (!fmd_ledger_name_is_valid(name))
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "%.64s cannot be an account's name: 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
            name);
    return fmd_ledger_write(ledger, add_account, (void *)(uintptr_t)name);
}

struct credit {
    const char *name, *note;
    int64_t nano;
};

static int credit(struct fmd_sql *sql, void *argument)
{
    const struct credit *c = argument;
    int64_t account, balance;
    int rc = fmd_ledger_account(sql, c->name, &account);
    if (rc == 0)
        rc = fmd_ledger_worth(sql, fmd_book(FMD_BOOK_BALANCE, account), &balance);
    if (rc != 0)
        return rc;
    if (balance > INT64_MAX / 4 - c->nano)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "%s would have more credit than can be counted",
                            c->name);
    return fmd_ledger_move(sql, &(struct fmd_transfer){.from = fmd_book(FMD_BOOK_BANK, 0),
                                                       .to = fmd_book(FMD_BOOK_BALANCE, account),
                                                       .nano = c->nano,
                                                       .kind = "credit",
                                                       .span = -1,
                                                       .note = c->note});
}

int fmd_ledger_credit(struct fmd_ledger *ledger, const char *name, int64_t nano, const char *note)
{
    return fmd_ledger_write(ledger, credit, &(struct credit){name, note, nano});
}

static int count_accounts(struct fmd_sql *sql, void *argument)
{
    const int rc = fmd_sql(sql, "SELECT count(*) FROM accounts", ">i", (int64_t *)argument);
    return rc < 0 ? rc : 0;
}

int fmd_ledger_count_accounts(struct fmd_ledger *ledger, int64_t *count)
{
    return fmd_ledger_read(ledger, count_accounts, count);
}

/* ---- Tokens ----------------------------------------------------------------------------------------- */

struct new_token {
    const char *name;
    char id[FM_SERVICE_ID_BYTES];
    uint8_t sealed[FMD_SEAL_SEALED];
    struct fmd_limits limits;
};

static int add_token(struct fmd_sql *sql, void *argument)
{
    const struct new_token *t = argument;
    int64_t account;
    const int rc = fmd_ledger_account(sql, t->name, &account);
    return rc != 0 ? rc
                   : fmd_sql(sql,
                             "INSERT INTO tokens(id, account, key, made, vcpus, day_nano) VALUES "
                             "(?, ?, ?, ?, ?, ?)",
                             "sibinn", t->id, account, t->sealed, sizeof t->sealed,
                             (int64_t)time(NULL), t->limits.vcpus, t->limits.day_nano);
}

int fmd_ledger_add_token(struct fmd_ledger *ledger, const char *name, struct fmd_limits limits,
                         char token[FM_SERVICE_TOKEN_BYTES])
{
    struct new_token fresh = {.name = name, .limits = limits};
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    if (!fm_service_token_create(token) || !fm_service_token_parse(token, strlen(token), fresh.id))
        return fm_base_fail(FASTMAP_ERR_STATE, "the system's source of random numbers fails");
    fm_service_token_key(token, key);
    const bool sealed = fmd_seal(fmd_ledger_master(ledger), fresh.id, key, fresh.sealed);
    explicit_bzero(key, sizeof key);
    return sealed ? fmd_ledger_write(ledger, add_token, &fresh)
                  : fm_base_fail(FASTMAP_ERR_STATE, "the token's key cannot be sealed");
}

static int no_such_token(const char *id)
{
    return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                        "there is no token %.16s that is in use; fastmapd account list shows them",
                        id);
}

struct change {
    const char *id;
    struct fmd_limits limits;
};

static int limit_token(struct fmd_sql *sql, void *argument)
{
    const struct change *c = argument;
    int64_t found;
    const int rc = fmd_sql(
        sql,
        "UPDATE tokens SET vcpus = ?, day_nano = ? WHERE id = ? AND revoked IS NULL RETURNING 1",
        "nns>i", c->limits.vcpus, c->limits.day_nano, c->id, &found);
    return rc == 0 ? no_such_token(c->id) : rc < 0 ? rc : 0;
}

int fmd_ledger_limit_token(struct fmd_ledger *ledger, const char *id, struct fmd_limits limits)
{
    return fmd_ledger_write(ledger, limit_token, &(struct change){id, limits});
}

static int revoke_token(struct fmd_sql *sql, void *argument)
{
    int64_t found;
    const int rc =
        fmd_sql(sql, "UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL RETURNING 1",
                "is>i", (int64_t)time(NULL), (const char *)argument, &found);
    return rc == 0 ? no_such_token(argument) : rc < 0 ? rc : 0;
}

int fmd_ledger_revoke_token(struct fmd_ledger *ledger, const char *id)
{
    return fmd_ledger_write(ledger, revoke_token, (void *)(uintptr_t)id);
}

struct search {
    const char *id;
    struct fmd_token *token;
    uint8_t sealed[FMD_SEAL_SEALED];
};

static int find_token(struct fmd_sql *sql, void *argument)
{
    struct search *s = argument;
    struct fmd_token *t = s->token;
    return fmd_sql(
        sql,
        "SELECT t.id, t.key, t.account, a.name, t.vcpus, t.day_nano FROM tokens t JOIN accounts a "
        "ON a.id = t.account WHERE t.id = ? AND t.revoked IS NULL",
        "s>sbisnn", s->id, t->id, sizeof t->id, s->sealed, sizeof s->sealed, &t->account, t->name,
        sizeof t->name, &t->limits.vcpus, &t->limits.day_nano);
}

/* A token that there is not takes the same time as one that there is. */
int fmd_ledger_find_token(struct fmd_ledger *ledger, const char *id, struct fmd_token *token)
{
    struct search search = {.id = id, .token = token};
    const int rc = fmd_ledger_read(ledger, find_token, &search);
    const bool opened = fmd_unseal(fmd_ledger_master(ledger), id, search.sealed, token->key);
    if (rc == 1 && !opened)
        return fm_base_fail(FASTMAP_ERR_STATE,
                            "token %s was sealed under another key; bring back the ledger.key that "
                            "belongs to the ledger",
                            token->id);
    return rc;
}

struct standing {
    const struct fmd_token *token;
    struct fmd_standing *out;
};

static int read_standing(struct fmd_sql *sql, void *argument)
{
    const struct standing *s = argument;
    int rc = fmd_ledger_worth(sql, fmd_book(FMD_BOOK_BALANCE, s->token->account), &s->out->balance);
    if (rc == 0)
        rc = fmd_ledger_worth(sql, fmd_book(FMD_BOOK_HELD, s->token->account), &s->out->held);
    s->out->day_spent = 0;
    if (rc == 0)
        rc = fmd_sql(sql, "SELECT nano FROM days WHERE token = ? AND day = ?", "si>i", s->token->id,
                     fmd_ledger_day(), &s->out->day_spent);
    return rc < 0 ? rc : 0;
}

int fmd_ledger_standing(struct fmd_ledger *ledger, const struct fmd_token *token,
                        struct fmd_standing *out)
{
    return fmd_ledger_read(ledger, read_standing, &(struct standing){token, out});
}

/* ---- For people -------------------------------------------------------------------------------------- */

enum { WORD = 64, NOTE = 512 };

static void date_of(int64_t seconds, char text[24])
{
    const time_t moment = (time_t)seconds;
    struct tm parts;
    gmtime_r(&moment, &parts);
    strftime(text, 24, "%Y-%m-%d %H:%M:%S", &parts);
}

/* Below 0: no limit. */
static void limit_text(int64_t limit, bool is_money, char text[FMD_TEXT_DOLLARS])
{
    if (limit < 0)
        strcpy(text, "-");
    else if (is_money)
        fmd_text_dollars(limit, text);
    else
        snprintf(text, FMD_TEXT_DOLLARS, "%" PRId64, limit);
}

struct token_line {
    char name[FMD_NAME_BYTES], id[WORD], state[WORD];
    int64_t balance, held, vcpus, day_nano;
};

static void print_token(const struct token_line *l, FILE *to)
{
    char balance[FMD_TEXT_DOLLARS], held[FMD_TEXT_DOLLARS], vcpus[FMD_TEXT_DOLLARS],
        day[FMD_TEXT_DOLLARS];
    fmd_text_dollars(l->balance, balance);
    fmd_text_dollars(l->held, held);
    limit_text(l->vcpus, false, vcpus);
    limit_text(l->day_nano, true, day);
    fprintf(to, "%-20s %16s %16s  %-16s %6s %12s  %s\n", l->name, balance, held, l->id, vcpus, day,
            l->state);
}

static int list(struct fmd_sql *sql, void *argument)
{
    FILE *to = argument;
    struct token_line l;
    int rc = fmd_sql_ask(
        sql,
        "SELECT a.name, b.given - b.taken, h.given - h.taken, coalesce(t.id, '-'), t.vcpus, "
        "t.day_nano, "
        "CASE WHEN t.id IS NULL THEN '-' WHEN t.revoked IS NULL THEN 'in use' ELSE 'revoked' END "
        "FROM accounts a JOIN books b ON b.id = 2 * a.id + 2 JOIN books h ON h.id = 2 * a.id + 3 "
        "LEFT JOIN tokens t ON t.account = a.id ORDER BY a.id, t.made, t.id",
        "");
    if (rc != 0)
        return rc;
    fprintf(to, "%-20s %16s %16s  %-16s %6s %12s  %s\n", "account", "balance US$", "held US$",
            "token", "vcpus", "US$ a day", "state");
    while ((rc = fmd_sql_next(sql, "siisnns", l.name, sizeof l.name, &l.balance, &l.held, l.id,
                              sizeof l.id, &l.vcpus, &l.day_nano, l.state, sizeof l.state)) == 1)
        print_token(&l, to);
    return rc;
}

int fmd_ledger_list(struct fmd_ledger *ledger, FILE *to)
{
    return fmd_ledger_read(ledger, list, to);
}

struct statement {
    const char *name;
    FILE *to;
};

/* Charges of one map are one line, at the time of its last span. */
static int statement(struct fmd_sql *sql, void *argument)
{
    static const char query[] = "SELECT max(made), kind, max(substr(coalesce(map, note, '-'), 1, "
                                "100)), sum(nano), count(*) "
                                "FROM transfers WHERE source IN (?1, ?2) OR target IN (?1, ?2) "
                                "GROUP BY kind, CASE WHEN kind = 'charge' THEN map END, "
                                "CASE WHEN kind <> 'charge' THEN id END ORDER BY max(id)";
    const struct statement *s = argument;
    char kind[WORD], note[NOTE], date[24], dollars[FMD_TEXT_DOLLARS];
    int64_t account, made, nano, count;
    int rc = fmd_ledger_account(sql, s->name, &account);
    if (rc == 0)
        rc = fmd_sql_ask(sql, query, "ii", fmd_book(FMD_BOOK_BALANCE, account),
                         fmd_book(FMD_BOOK_HELD, account));
    if (rc != 0)
        return rc;
    fprintf(s->to, "%-19s  %-8s %16s %10s  %s\n", "time (UTC)", "what", "US$", "transfers",
            "map or note");
    while ((rc = fmd_sql_next(sql, "issii", &made, kind, sizeof kind, note, sizeof note, &nano,
                              &count)) == 1) {
        date_of(made, date);
        fmd_text_dollars(nano, dollars);
        fprintf(s->to, "%-19s  %-8s %16s %10" PRId64 "  %s\n", date, kind, dollars, count, note);
    }
    return rc;
}

int fmd_ledger_statement(struct fmd_ledger *ledger, const char *name, FILE *to)
{
    return fmd_ledger_read(ledger, statement, &(struct statement){name, to});
}
