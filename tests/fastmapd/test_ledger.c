/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Money: prices, purses, and the ledger under threads, limits and restarts. Every amount is expected to the
 * nano-dollar.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../launchers/fastmapd/ledger.h"
#include "../../launchers/fastmapd/money.h"
#include "../../launchers/fastmapd/text.h"
#include "../test.h"
#include "base/error.h"

#define PRICE INT64_C(50000000)

static uint32_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* ---- Prices and purses -------------------------------------------------------------------------------- */

TEST(seventy_two_microseconds_cost_a_nano_dollar_and_a_part_of_it_as_much)
{
    static const struct {
        uint64_t cpu_ns;
        int64_t nano;
    } rows[] = {{0, 0},
                {1, 1},
                {72000, 1},
                {72001, 2},
                {3600000000000, PRICE},
                {UINT64_MAX, 256204778801522}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_EQ_INT(fmd_money_price(rows[i].cpu_ns, PRICE), rows[i].nano);
    CHECK_EQ_INT(fmd_money_price(UINT64_MAX, INT64_MAX), INT64_MAX);
}

TEST(what_an_amount_affords_costs_no_more_and_a_nanosecond_longer_does)
{
    uint64_t state = 1;
    for (int i = 0; i < 100000; i++) {
        const int64_t price = 1 + next(&state) % 1000000000;
        const int64_t nano = next(&state) >> (next(&state) % 31);
        const uint64_t affords = fmd_money_affords(nano, price);
        if (!CHECK_TRUE(fmd_money_price(affords, price) <= nano &&
                            fmd_money_price(affords + 1, price) > nano,
                        "%lld nano-dollars at %lld buy %llu ns", (long long)nano, (long long)price,
                        (unsigned long long)affords))
            return;
    }
}

/* Any order of promises and settlements keeps the purse valid, and the sum of charges is the price of the
   sum. */
TEST(a_purse_is_valid_after_every_step_and_never_spends_more_than_its_hold)
{
    uint64_t state = 2;
    for (int round = 0; round < 300; round++) {
        struct fmd_purse purse;
        uint64_t running[16] = {0};
        int64_t charged = 0;
        fmd_purse_open(&purse, next(&state) % 100000, 1 + next(&state) % 100000000);
        for (int step = 0; step < 300; step++) {
            uint64_t *span = &running[next(&state) % 16];
            if (next(&state) % 2 == 0) {
                *span += fmd_purse_promise(&purse, (uint64_t)next(&state) << next(&state) % 12);
            } else {
                const uint64_t used =
                    next(&state) % 4 == 0 ? *span * 2 + 5 : *span / (1 + next(&state) % 3);
                charged += fmd_purse_settle(&purse, *span, used);
                *span = 0;
            }
            if (!CHECK_TRUE(fmd_purse_is_valid(&purse) && charged == purse.spent,
                            "hold %lld spent %lld charged %lld", (long long)purse.hold,
                            (long long)purse.spent, (long long)charged))
                return;
        }
    }
}

TEST(dollars_are_read_as_they_are_written)
{
    uint64_t state = 3;
    for (int i = 0; i < 100000; i++) {
        char text[FMD_TEXT_DOLLARS];
        int64_t found;
        const int64_t nano = (int64_t)next(&state) << next(&state) % 31;
        fmd_text_dollars(nano, text);
        if (!CHECK_TRUE(fmd_text_money(text, &found) && found == nano, "%lld is %s",
                        (long long)nano, text))
            return;
    }
    static const char *const wrong[] = {"",    ".",  "1.",        ".5x", "-1", "+1", "1.0000000001",
                                        "1e3", " 1", "9223372037"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_TRUE(!fmd_text_money(wrong[i], &(int64_t){0}), "accepted: %s", wrong[i]);
}

/* ---- The ledger ------------------------------------------------------------------------------------------
   */

static char folder_path[] = "/tmp/fastmapd-ledger-XXXXXX";
static int folder = -1;

static struct fmd_ledger *open_ledger(void)
{
    struct fmd_ledger *ledger = NULL;
    const int rc = fmd_ledger_open(folder, folder_path, true, &ledger);
    CHECK_TRUE(rc == 0, "%s", fm_base_last_error());
    return ledger;
}

static struct fmd_ledger *fresh(void)
{
    strcpy(folder_path + strlen(folder_path) - 6, "XXXXXX");
    if (!CHECK_TRUE(mkdtemp(folder_path) != NULL, "%s", folder_path))
        return NULL;
    folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return open_ledger();
}

static void forget(struct fmd_ledger *ledger)
{
    static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm",
                                        "ledger.key"};
    fmd_ledger_close(ledger);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlinkat(folder, names[i], 0);
    close(folder);
    rmdir(folder_path);
}

static void account(struct fmd_ledger *ledger, const char *name, int64_t nano,
                    struct fmd_limits limits, struct fmd_token *token)
{
    char text[FM_SERVICE_TOKEN_BYTES], id[FM_SERVICE_ID_BYTES];
    CHECK_EQ_INT(fmd_ledger_add_account(ledger, name), 0);
    CHECK_EQ_INT(fmd_ledger_credit(ledger, name, nano, NULL), 0);
    CHECK_EQ_INT(fmd_ledger_add_token(ledger, name, limits, text), 0);
    CHECK_TRUE(fm_service_token_parse(text, strlen(text), id), "%s", text);
    CHECK_EQ_INT(fmd_ledger_find_token(ledger, id, token), 1);
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    fm_service_token_key(text, key);
    CHECK_EQ_MEM(token->key, key, sizeof key);
}

static const struct fmd_limits no_limits = {-1, -1};

static enum fmd_verdict open_map(struct fmd_ledger *ledger, const struct fmd_token *token,
                                 const char *key, int64_t budget, struct fmd_map_row *row)
{
    enum fmd_verdict verdict = FMD_NO_CREDIT;
    const uint8_t digest[32] = {1};
    const struct fmd_opening opening = {token, key, digest, budget, 10, PRICE, 7};
    CHECK_TRUE(fmd_ledger_open_map(ledger, &opening, &verdict, row) == 0, "%s",
               fm_base_last_error());
    return verdict;
}

static int settle(struct fmd_ledger *ledger, const struct fmd_token *token, const char *map,
                  int64_t span, int64_t cpu_ns, struct fmd_settlement *out)
{
    *out = (struct fmd_settlement){
        .map = map, .account = token->account, .token = token->id, .span = span, .cpu_ns = cpu_ns};
    return fmd_ledger_settle(ledger, out);
}

static void balances(struct fmd_ledger *ledger)
{
    int64_t wrong = -1;
    FILE *null = fopen("/dev/null", "w");
    CHECK_TRUE(fmd_ledger_audit(ledger, null, &wrong) == 0, "%s", fm_base_last_error());
    CHECK_EQ_INT(wrong, 0);
    fclose(null);
}

TEST(a_map_holds_charges_and_gives_back)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row, again;
    struct fmd_settlement s;
    struct fmd_standing standing;
    account(ledger, "a", 1000, no_limits, &token);
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 600, &row), FMD_OPENED);
    CHECK_EQ_INT(fmd_ledger_standing(ledger, &token, &standing), 0);
    CHECK_TRUE(standing.balance == 400 && standing.held == 600, "%lld %lld",
               (long long)standing.balance, (long long)standing.held);
    CHECK_EQ_INT(settle(ledger, &token, row.id, 1, 72000 * 100, &s), 0);
    CHECK_TRUE(s.charge == 100 && s.spent == 100 && s.left == 500, "%lld", (long long)s.charge);
    CHECK_TRUE(settle(ledger, &token, row.id, 1, 72000 * 100, &s) != 0, "charged twice: %lld",
               (long long)s.charge);
    CHECK_TRUE(settle(ledger, &token, row.id, 2, 72000 * 501, &s) != 0, "beyond the hold: %lld",
               (long long)s.charge);
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 600, &again), FMD_KNOWN);
    CHECK_TRUE(strcmp(again.id, row.id) == 0 && again.spent == 100 && again.spans == 1, "%s",
               again.id);
    CHECK_EQ_INT(open_map(ledger, &token, "k2", 600, &again), FMD_OPENED);
    CHECK_EQ_INT(again.hold, 400);
    CHECK_EQ_INT(open_map(ledger, &token, "k3", 600, &again), FMD_NO_CREDIT);
    CHECK_EQ_INT(fmd_ledger_close_map(ledger, row.id), 0);
    CHECK_EQ_INT(fmd_ledger_close_map(ledger, row.id), 0);
    CHECK_TRUE(settle(ledger, &token, row.id, 3, 1, &s) != 0, "after the end: %lld",
               (long long)s.charge);
    fmd_ledger_standing(ledger, &token, &standing);
    CHECK_TRUE(standing.balance == 500 && standing.held == 400 && standing.day_spent == 100,
               "%lld %lld %lld", (long long)standing.balance, (long long)standing.held,
               (long long)standing.day_spent);
    balances(ledger);
    forget(ledger);
}

TEST(a_token_spends_no_more_a_day_than_its_limit_and_nothing_once_revoked)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token, found;
    struct fmd_map_row first, second;
    struct fmd_settlement s;
    account(ledger, "a", 1000, (struct fmd_limits){2, 300}, &token);
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 200, &first), FMD_OPENED);
    CHECK_EQ_INT(settle(ledger, &token, first.id, 1, 72000 * 150, &s), 0);
    CHECK_EQ_INT(open_map(ledger, &token, "k2", 200, &second), FMD_OPENED);
    CHECK_EQ_INT(second.hold, 100);
    CHECK_EQ_INT(fmd_ledger_close_map(ledger, first.id), 0);
    CHECK_EQ_INT(fmd_ledger_close_map(ledger, second.id), 0);
    CHECK_EQ_INT(open_map(ledger, &token, "k3", 1000, &second), FMD_OPENED);
    CHECK_EQ_INT(second.hold, 150);
    CHECK_EQ_INT(fmd_ledger_revoke_token(ledger, token.id), 0);
    CHECK_EQ_INT(fmd_ledger_find_token(ledger, token.id, &found), 0);
    CHECK_TRUE(fmd_ledger_revoke_token(ledger, token.id) != 0, "%s", token.id);
    balances(ledger);
    forget(ledger);
}

TEST(a_restart_gives_back_what_was_held_and_keeps_what_was_charged)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row;
    struct fmd_settlement s;
    struct fmd_standing standing;
    int64_t closed = 0;
    account(ledger, "a", 1000, no_limits, &token);
    open_map(ledger, &token, "k1", 600, &row);
    settle(ledger, &token, row.id, 1, 72000 * 7 - 1, &s);
    fmd_ledger_close(ledger);
    ledger = open_ledger();
    CHECK_EQ_INT(fmd_ledger_recover(ledger, 8, &closed), 0);
    CHECK_EQ_INT(closed, 0);
    CHECK_EQ_INT(fmd_ledger_recover(ledger, 7, &closed), 0);
    CHECK_EQ_INT(closed, 1);
    fmd_ledger_standing(ledger, &token, &standing);
    CHECK_TRUE(standing.balance == 993 && standing.held == 0, "%lld %lld",
               (long long)standing.balance, (long long)standing.held);
    balances(ledger);
    forget(ledger);
}

/* ---- Many at once --------------------------------------------------------------------------- */

enum { THREADS = 8, SPANS = 300 };

struct customer {
    struct fmd_ledger *ledger;
    const struct fmd_token *token;
    const char *map; /* of the account: each thread sends its own spans */
    int number;
    uint64_t cpu_ns;
    int64_t charged;
    bool failed;
};

static void *send_spans(void *argument)
{
    struct customer *c = argument;
    uint64_t state = (uint64_t)c->number + 10;
    for (int i = 0; i < SPANS; i++) {
        struct fmd_settlement s;
        const int64_t cpu_ns = next(&state) % 1000000;
        if (settle(c->ledger, c->token, c->map, c->number * SPANS + i, cpu_ns, &s) != 0)
            c->failed = true;
        c->cpu_ns += (uint64_t)cpu_ns;
        c->charged += s.charge;
    }
    return NULL;
}

TEST(two_accounts_at_once_are_charged_exactly)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token tokens[2];
    struct fmd_map_row rows[2];
    struct customer customers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < 2; i++) {
        account(ledger, i == 0 ? "a" : "b", 1000000000, no_limits, &tokens[i]);
        CHECK_EQ_INT(open_map(ledger, &tokens[i], "k", 100000000, &rows[i]), FMD_OPENED);
    }
    for (int i = 0; i < THREADS; i++) {
        customers[i] = (struct customer){ledger, &tokens[i % 2], rows[i % 2].id, i, 0, 0, false};
        pthread_create(&threads[i], NULL, send_spans, &customers[i]);
    }
    uint64_t cpu_ns[2] = {0};
    int64_t charged[2] = {0};
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_TRUE(!customers[i].failed, "thread %d: %s", i, fm_base_last_error());
        cpu_ns[i % 2] += customers[i].cpu_ns;
        charged[i % 2] += customers[i].charged;
    }
    for (int i = 0; i < 2; i++) {
        struct fmd_standing standing;
        CHECK_EQ_INT(charged[i], fmd_money_price(cpu_ns[i], PRICE));
        CHECK_EQ_INT(fmd_ledger_close_map(ledger, rows[i].id), 0);
        fmd_ledger_standing(ledger, &tokens[i], &standing);
        CHECK_EQ_INT(standing.balance, 1000000000 - charged[i]);
        CHECK_EQ_INT(standing.held, 0);
    }
    balances(ledger);
    forget(ledger);
}

TEST(an_audit_names_money_from_nowhere)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    char command[256], *said = NULL;
    size_t length;
    int64_t wrong = 0;
    account(ledger, "a", 1000, no_limits, &token);
    snprintf(command, sizeof command,
             "sqlite3 %s/ledger.db 'UPDATE books SET given = given + 5 WHERE id = 4'", folder_path);
    if (system(command) != 0) {
        forget(ledger);
        SKIP("sqlite3 is not installed (Debian: sqlite3)");
    }
    FILE *to = open_memstream(&said, &length);
    CHECK_EQ_INT(fmd_ledger_audit(ledger, to, &wrong), 0);
    fclose(to);
    CHECK_EQ_INT(wrong, 2);
    CHECK_CONTAINS(said, "book 4 has 1005, should have 1000");
    free(said);
    forget(ledger);
}
