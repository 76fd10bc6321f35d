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
#include "cutter.h"

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
static int64_t host; /* whose maps are opened */

/* PostgreSQL's address, or NULL for SQLite: the tests are the same (ledger_postgres.sh). */
static const char *address(void)
{
    return getenv("FM_TEST_LEDGER");
}

static struct fmd_ledger *open_at(const char *where)
{
    struct fmd_ledger *ledger = NULL;
    const int rc = fmd_ledger_open(folder, folder_path, where, true, &ledger);
    CHECK_TRUE(rc == 0, "%s", fm_base_last_error());
    return ledger;
}

static struct fmd_ledger *open_ledger(void)
{
    return open_at(address() != NULL ? address() : "");
}

/* Runs SQL behind the ledger's back. */
static bool meddle(const char *text)
{
    char command[512];
    if (address() != NULL)
        snprintf(command, sizeof command, "psql -X -q -d '%s' -c \"%s\" >/dev/null 2>&1", address(),
                 text);
    else
        snprintf(command, sizeof command, "sqlite3 %s/ledger.db \"%s\"", folder_path, text);
    return system(command) == 0;
}

static struct fmd_ledger *fresh(void)
{
    if (address() != NULL)
        CHECK_TRUE(meddle("DROP SCHEMA public CASCADE; CREATE SCHEMA public"), "psql at %s",
                   address());
    strcpy(folder_path + strlen(folder_path) - 6, "XXXXXX");
    if (!CHECK_TRUE(mkdtemp(folder_path) != NULL, "%s", folder_path))
        return NULL;
    folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct fmd_ledger *ledger = open_ledger();
    int64_t closed;
    CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &host, &closed), 0);
    return ledger;
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
    const struct fmd_opening opening = {.token = token,
                                        .key = key,
                                        .digest = digest,
                                        .budget = budget,
                                        .least = 10,
                                        .price = PRICE,
                                        .vcpus = 2,
                                        .host = host};
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
    CHECK_EQ_INT(settle(ledger, &token, row.id, 1, 72000 * 100, &s), FMD_LEDGER_TWICE);
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
    CHECK_EQ_INT(settle(ledger, &token, row.id, 3, 1, &s), FMD_LEDGER_CLOSED);
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
    account(ledger, "a", 1000, (struct fmd_limits){4, 300}, &token);
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
    int64_t closed = 0, other;
    const int64_t before = host;
    account(ledger, "a", 1000, no_limits, &token);
    open_map(ledger, &token, "k1", 600, &row);
    settle(ledger, &token, row.id, 1, 72000 * 7 - 1, &s);
    fmd_ledger_close(ledger);
    ledger = open_ledger();
    CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &other, &closed), 0);
    CHECK_EQ_INT(closed, 0);
    CHECK_EQ_INT(fmd_ledger_enter(ledger, before, 60, &other, &closed), 0);
    CHECK_EQ_INT(closed, 1);
    fmd_ledger_standing(ledger, &token, &standing);
    CHECK_TRUE(standing.balance == 993 && standing.held == 0, "%lld %lld",
               (long long)standing.balance, (long long)standing.held);
    balances(ledger);
    forget(ledger);
}

/* ---- Several hosts ---------------------------------------------------------------------------- */

/* The clock is the database's: a lease is made to have ended by moving its end. */
TEST(what_a_silent_host_holds_is_given_back_by_another_and_the_host_learns_so)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row, again;
    struct fmd_settlement s;
    struct fmd_standing standing;
    enum fmd_verdict verdict;
    int64_t closed = 0, other;
    bool stays = false;
    const uint8_t digest[32] = {1};
    account(ledger, "a", 1000, no_limits, &token);
    CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &other, &closed), 0);
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 600, &row), FMD_OPENED);
    CHECK_EQ_INT(settle(ledger, &token, row.id, 1, 72000 * 100, &s), 0);
    CHECK_EQ_INT(fmd_ledger_stay(ledger, other, 60, &stays, &closed), 0);
    CHECK_TRUE(stays && closed == 0, "%d %lld", stays, (long long)closed);
    if (!meddle("UPDATE hosts SET until = 5 WHERE id <> 0")) {
        forget(ledger);
        SKIP("sqlite3 is not installed (Debian: sqlite3)");
    }
    CHECK_EQ_INT(settle(ledger, &token, row.id, 2, 72000 * 10, &s), 0); /* nobody has looked yet */
    CHECK_EQ_INT(fmd_ledger_stay(ledger, other, 60, &stays, &closed), 0);
    CHECK_TRUE(stays && closed == 1, "%d %lld", stays, (long long)closed);
    CHECK_EQ_INT(settle(ledger, &token, row.id, 3, 72000 * 10, &s), FMD_LEDGER_CLOSED);
    fmd_ledger_standing(ledger, &token, &standing);
    CHECK_TRUE(standing.balance == 890 && standing.held == 0, "%lld %lld",
               (long long)standing.balance, (long long)standing.held);
    CHECK_EQ_INT(fmd_ledger_stay(ledger, host, 60, &stays, &closed), 0);
    CHECK_TRUE(!stays, "a lease that was taken away came back");
    const struct fmd_opening late = {.token = &token,
                                     .key = "k2",
                                     .digest = digest,
                                     .budget = 100,
                                     .least = 10,
                                     .price = PRICE,
                                     .vcpus = 1,
                                     .host = host};
    CHECK_EQ_INT(fmd_ledger_open_map(ledger, &late, &verdict, &again), FMD_LEDGER_CLOSED);
    CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &host, &closed), 0);
    CHECK_EQ_INT(open_map(ledger, &token, "k2", 600, &again), FMD_OPENED);
    balances(ledger);
    forget(ledger);
}

/* ---- vCPUs of a token ---- */

/* What a host has from now on; *usable of it may be in use. */
static int64_t share(struct fmd_ledger *ledger, const struct fmd_token *token, int64_t of,
                     int64_t wants, int64_t uses, int64_t *usable)
{
    struct fmd_share share = {.token = token->id, .host = of, .wants = wants, .uses = uses};
    CHECK_TRUE(fmd_ledger_share(ledger, &share) == 0, "%s", fm_base_last_error());
    *usable = share.usable;
    return share.vcpus;
}

static enum fmd_verdict open_on(struct fmd_ledger *ledger, const struct fmd_token *token,
                                int64_t of, const char *key, struct fmd_map_row *row)
{
    const int64_t own = host;
    host = of;
    const enum fmd_verdict verdict = open_map(ledger, token, key, 100, row);
    host = own;
    return verdict;
}

TEST(maps_of_a_token_share_its_vcpus_on_a_host_and_wait_for_those_of_others)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token, unlimited;
    struct fmd_map_row rows[5];
    int64_t other, closed, usable;
    account(ledger, "a", 1000, (struct fmd_limits){3, -1}, &token);
    account(ledger, "b", 1000, no_limits, &unlimited);
    CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &other, &closed), 0);
    CHECK_EQ_INT(open_map(ledger, &unlimited, "k0", 100, &rows[4]), FMD_OPENED);
    CHECK_EQ_INT(rows[4].usable, -1);
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 100, &rows[0]), FMD_OPENED);
    CHECK_EQ_INT(rows[0].usable, 2);
    CHECK_EQ_INT(open_map(ledger, &token, "k2", 100, &rows[1]), FMD_OPENED);
    CHECK_EQ_INT(rows[1].vcpus, 2);
    CHECK_EQ_INT(rows[1].usable, 3);
    CHECK_EQ_INT(open_map(ledger, &token, "k3", 100, &rows[2]), FMD_OPENED);
    CHECK_EQ_INT(rows[2].usable, 3);
    /* The other host wants two: it is due one, and gets it when it is not in use. */
    CHECK_EQ_INT(open_on(ledger, &token, other, "k4", &rows[3]), FMD_NO_VCPUS);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 3, &usable), 3);
    CHECK_EQ_INT(usable, 2);
    CHECK_EQ_INT(open_on(ledger, &token, other, "k4", &rows[3]), FMD_NO_VCPUS);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 2, &usable), 2);
    CHECK_EQ_INT(usable, 2);
    CHECK_EQ_INT(open_on(ledger, &token, other, "k4", &rows[3]), FMD_OPENED);
    CHECK_EQ_INT(rows[3].usable, 1);
    /* With nothing to do here, there is more for the other; with nothing over there, all is here again. */
    CHECK_EQ_INT(share(ledger, &token, host, 0, 2, &usable), 2);
    CHECK_EQ_INT(usable, 0);
    CHECK_EQ_INT(share(ledger, &token, host, 0, 1, &usable), 1);
    CHECK_EQ_INT(share(ledger, &token, other, 2, 1, &usable), 2);
    CHECK_EQ_INT(fmd_ledger_close_map(ledger, rows[3].id), 0);
    CHECK_EQ_INT(share(ledger, &token, other, 2, 2, &usable), 0); /* no map, no vCPUs */
    CHECK_EQ_INT(share(ledger, &token, host, 6, 1, &usable), 3);
    CHECK_EQ_INT(usable, 3);
    /* One that is refused, and does not wait, or is dead, is due nothing. */
    CHECK_EQ_INT(open_on(ledger, &token, other, "k5", &rows[3]), FMD_NO_VCPUS);
    CHECK_EQ_INT(fmd_ledger_unshare(ledger, token.id, other), 0);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 3, &usable), 3);
    CHECK_EQ_INT(usable, 3);
    CHECK_EQ_INT(open_on(ledger, &token, other, "k6", &rows[3]), FMD_NO_VCPUS);
    CHECK_EQ_INT(fmd_ledger_leave(ledger, other), 0);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 3, &usable), 3);
    CHECK_EQ_INT(usable, 3);
    /* A limit that is lowered is kept as soon as what runs allows it. */
    CHECK_EQ_INT(fmd_ledger_limit_token(ledger, token.id, (struct fmd_limits){1, -1}), 0);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 3, &usable), 3);
    CHECK_EQ_INT(usable, 1);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 1, &usable), 1);
    CHECK_EQ_INT(fmd_ledger_limit_token(ledger, token.id, no_limits), 0);
    CHECK_EQ_INT(share(ledger, &token, host, 6, 1, &usable), -1);
    balances(ledger);
    forget(ledger);
}

TEST(a_ledger_whose_maps_had_vcpus_for_good_is_brought_up)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row;
    account(ledger, "a", 1000, (struct fmd_limits){3, -1}, &token);
    if (!meddle("DROP TABLE shares; UPDATE house SET value = 2 WHERE key = 'version'"))
        SKIP("sqlite3, or psql, is not installed");
    fmd_ledger_close(ledger);
    ledger = open_ledger();
    CHECK_EQ_INT(open_map(ledger, &token, "k1", 100, &row), FMD_OPENED);
    CHECK_EQ_INT(row.usable, 2);
    balances(ledger);
    forget(ledger);
}

/* Hosts whose spans begin and end at random, and who share now and then: never more in use than the limit,
   and in the end each has its fair part. */
TEST(hosts_never_use_more_vcpus_of_a_token_than_it_may_have)
{
    enum { HOSTS = 4, LIMIT = 7 };
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row;
    uint64_t state = 5;
    int64_t hosts[HOSTS], usable[HOSTS], running[HOSTS] = {0}, wants[HOSTS] = {0}, closed;
    account(ledger, "a", 1000, (struct fmd_limits){LIMIT, -1}, &token);
    for (int i = 0; i < HOSTS; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%d", i);
        CHECK_EQ_INT(fmd_ledger_enter(ledger, -1, 60, &hosts[i], &closed), 0);
        CHECK_EQ_INT(open_on(ledger, &token, hosts[i], key, &row), i < 3            ? FMD_OPENED
                                                                   : row.usable > 0 ? FMD_OPENED
                                                                                    : FMD_NO_VCPUS);
        usable[i] = row.usable;
    }
    for (int step = 0; step < 3000; step++) {
        const int i = (int)(next(&state) % HOSTS);
        const bool settles = step > 2800;
        int64_t all = 0;
        if (settles)
            wants[i] = i == 0 ? 1 : 9;
        else if (next(&state) % 16 == 0)
            wants[i] = next(&state) % 9;
        if (next(&state) % 2 == 0)
            running[i] -= running[i] > 0;
        else if (running[i] < usable[i] && running[i] < wants[i])
            running[i]++;
        if (next(&state) % 2 == 0)
            (void)share(ledger, &token, hosts[i], wants[i],
                        running[i] > usable[i] ? running[i] : usable[i], &usable[i]);
        for (int j = 0; j < HOSTS; j++)
            all += running[j];
        if (!CHECK_TRUE(all <= LIMIT, "step %d: %lld in use", step, (long long)all))
            return;
    }
    CHECK_TRUE(usable[0] == 1 && usable[1] == 2 && usable[2] == 2 && usable[3] == 2,
               "%lld, %lld, %lld and %lld of 7", (long long)usable[0], (long long)usable[1],
               (long long)usable[2], (long long)usable[3]);
    forget(ledger);
}

TEST(a_signature_is_used_once_whoever_is_shown_it)
{
    struct fmd_ledger *ledger = fresh(), *second = open_ledger();
    const uint8_t one[FMD_LEDGER_SIGNATURE] = {1}, two[FMD_LEDGER_SIGNATURE] = {2};
    const int64_t later = 100;
    bool stays, fresh_one = false;
    int64_t closed;
    CHECK_EQ_INT(fmd_ledger_use_signature(ledger, one, later, &fresh_one), 0);
    CHECK_TRUE(fresh_one, "%s", "used before");
    CHECK_EQ_INT(fmd_ledger_use_signature(second, one, later, &fresh_one), 0);
    CHECK_TRUE(!fresh_one, "%s", "used twice");
    CHECK_EQ_INT(fmd_ledger_use_signature(second, two, -5, &fresh_one), 0);
    CHECK_EQ_INT(fmd_ledger_stay(ledger, host, 60, &stays, &closed), 0);
    CHECK_EQ_INT(fmd_ledger_use_signature(ledger, two, later, &fresh_one), 0);
    CHECK_TRUE(fresh_one, "%s", "kept beyond its time");
    fmd_ledger_close(second);
    forget(ledger);
}

TEST(a_host_with_another_key_is_refused_and_a_password_in_the_address_too)
{
    struct fmd_ledger *ledger = fresh(), *second = NULL;
    const uint8_t key[32] = {9};
    const int fd = openat(folder, "ledger.key", O_WRONLY | O_TRUNC);
    CHECK_EQ_INT(write(fd, key, sizeof key), sizeof key);
    close(fd);
    CHECK_TRUE(fmd_ledger_open(folder, folder_path, address() != NULL ? address() : "", true,
                               &second) != 0,
               "%s", "another key was taken");
    CHECK_CONTAINS(fm_base_last_error(), "another ledger.key");
    CHECK_TRUE(fmd_ledger_open(folder, folder_path, "postgresql://me:geheim@localhost/x", false,
                               &second) != 0,
               "%s", "opened");
    CHECK_TRUE(strstr(fm_base_last_error(), "geheim") == NULL, "%s", fm_base_last_error());
    CHECK_TRUE(
        fmd_ledger_open(folder, folder_path, "postgresql://me:geheim@[::/x", false, &second) != 0,
        "%s", "opened");
    CHECK_TRUE(strstr(fm_base_last_error(), "geheim") == NULL, "%s", fm_base_last_error());
    forget(ledger);
}

/* ---- Many at once --------------------------------------------------------------------------- */

enum { THREADS = 8, SPANS = 300, HOSTS = 3, MAPS = 20 };

struct customer {
    struct fmd_ledger *ledger;
    const struct fmd_token *token;
    const char *map; /* of the account: each thread sends its own spans */
    int number;
    uint64_t cpu_ns;
    int64_t charged;
    bool failed;
};

static void open_hosts(struct fmd_ledger *hosts[HOSTS], struct fmd_ledger *first)
{
    hosts[0] = first;
    for (int i = 1; i < HOSTS; i++)
        hosts[i] = open_ledger();
}

static void close_hosts(struct fmd_ledger *hosts[HOSTS])
{
    for (int i = 1; i < HOSTS; i++)
        fmd_ledger_close(hosts[i]);
}

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

/* Two accounts, each with a map, whose spans are settled by several hosts at once, with something done
   to the database meanwhile. */
static void settle_at_once(bool (*disturb)(void))
{
    struct fmd_ledger *ledger = fresh(), *hosts[HOSTS];
    struct fmd_token tokens[2];
    struct fmd_map_row rows[2];
    struct customer customers[THREADS];
    pthread_t threads[THREADS];
    open_hosts(hosts, ledger);
    for (int i = 0; i < 2; i++) {
        account(ledger, i == 0 ? "a" : "b", 1000000000, no_limits, &tokens[i]);
        CHECK_EQ_INT(open_map(ledger, &tokens[i], "k", 100000000, &rows[i]), FMD_OPENED);
    }
    for (int i = 0; i < THREADS; i++) {
        customers[i] =
            (struct customer){hosts[i % HOSTS], &tokens[i % 2], rows[i % 2].id, i, 0, 0, false};
        pthread_create(&threads[i], NULL, send_spans, &customers[i]);
    }
    for (int i = 0; disturb != NULL && i < 10; i++)
        CHECK_TRUE(disturb(), "time %d", i);
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
        CHECK_EQ_INT(fmd_ledger_standing(ledger, &tokens[i], &standing), 0);
        CHECK_EQ_INT(standing.balance, 1000000000 - charged[i]);
        CHECK_EQ_INT(standing.held, 0);
    }
    balances(ledger);
    close_hosts(hosts);
    forget(ledger);
}

TEST(two_accounts_at_once_on_three_hosts_are_charged_exactly)
{
    settle_at_once(NULL);
}

static bool end_sessions(void)
{
    usleep(30000);
    return meddle("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
                  "pg_backend_pid() AND application_name = 'fastmapd'");
}

/* In the middle of a transaction, between two, and while a commit's answer is awaited. */
TEST(connections_that_are_cut_off_lose_no_charge_and_make_none_twice)
{
    if (address() == NULL)
        SKIP("SQLite has no connections");
    settle_at_once(end_sessions);
}

/* The address with the wire between. The socket's folder is the address's parameter `host`. */
static bool find_wire(char *socket, char *wired, size_t bytes, struct cutter *cutter)
{
    const char *begin = strstr(address(), "host=");
    if (begin == NULL)
        return false;
    const int length = (int)strcspn(begin + 5, "&");
    snprintf(socket, bytes, "%.*s/.s.PGSQL.5432", length, begin + 5);
    if (cutter_start(cutter, socket) != 0)
        return false;
    snprintf(wired, bytes,
             "postgresql://fastmap@127.0.0.1:%d/postgres?sslmode=disable&gssencmode=disable",
             cutter->port);
    return true;
}

/* Whether the server has carried a commit out is not to be seen by the client, and decides what is right. */
TEST(a_commit_whose_answer_is_lost_is_neither_repeated_nor_forgotten)
{
    static struct cutter cutter; /* its threads outlive the test */
    static char socket[256];
    char wired[256];
    if (address() == NULL)
        SKIP("SQLite has no connections");
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    struct fmd_map_row row;
    struct fmd_settlement s;
    struct fmd_standing standing;
    account(ledger, "a", 1000, no_limits, &token);
    CHECK_TRUE(find_wire(socket, wired, sizeof wired, &cutter), "no wire to %s", address());
    struct fmd_ledger *cut = open_at(wired);
    if (cut == NULL)
        return;
    atomic_store(&cutter.cut_every, 3);
    CHECK_EQ_INT(open_map(cut, &token, "k", 500, &row), FMD_OPENED);
    for (int i = 0; i < 30; i++) {
        CHECK_TRUE(settle(cut, &token, row.id, i, 72000 * 10, &s) == 0, "span %d: %s", i,
                   fm_base_last_error());
        CHECK_TRUE(s.charge == 10 && s.spent == 10 * (i + 1), "span %d: %lld %lld", i,
                   (long long)s.charge, (long long)s.spent);
    }
    CHECK_TRUE(atomic_load(&cutter.cuts) >= 10, "cut %d times", atomic_load(&cutter.cuts));
    CHECK_EQ_INT(fmd_ledger_close_map(cut, row.id), 0);
    CHECK_EQ_INT(fmd_ledger_standing(ledger, &token, &standing), 0);
    CHECK_TRUE(standing.balance == 700 && standing.held == 0, "%lld %lld",
               (long long)standing.balance, (long long)standing.held);
    balances(ledger);
    fmd_ledger_close(cut);
    forget(ledger);
}

struct opener {
    struct fmd_ledger *ledger;
    const struct fmd_token *token;
    int number, opened;
    int64_t charged;
    bool failed;
};

/* Each map spends about half of what it holds. */
static void *open_and_spend(void *argument)
{
    struct opener *o = argument;
    uint64_t state = (uint64_t)o->number + 50;
    for (int i = 0; i < MAPS; i++) {
        struct fmd_map_row row;
        struct fmd_settlement s;
        char key[32];
        snprintf(key, sizeof key, "k%d.%d", o->number, i);
        if (open_map(o->ledger, o->token, key, 100, &row) != FMD_OPENED)
            continue;
        o->opened++;
        const int64_t nano = next(&state) % (uint32_t)(row.hold + 1);
        o->failed = o->failed || settle(o->ledger, o->token, row.id, 1, 72000 * nano, &s) != 0 ||
                    s.charge != nano || fmd_ledger_close_map(o->ledger, row.id) != 0;
        o->charged += s.charge;
    }
    return NULL;
}

TEST(hosts_that_open_maps_at_once_hold_no_more_than_balance_and_day_allow)
{
    static const struct {
        int64_t balance, day;
    } rows[] = {{2000, -1}, {1000000, 2000}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        struct fmd_ledger *ledger = fresh(), *hosts[HOSTS];
        struct fmd_token token;
        struct fmd_standing standing;
        struct opener openers[THREADS];
        pthread_t threads[THREADS];
        int64_t charged = 0;
        open_hosts(hosts, ledger);
        account(ledger, "a", rows[row].balance, (struct fmd_limits){-1, rows[row].day}, &token);
        for (int i = 0; i < THREADS; i++) {
            openers[i] = (struct opener){hosts[i % HOSTS], &token, i, 0, 0, false};
            pthread_create(&threads[i], NULL, open_and_spend, &openers[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            CHECK_TRUE(!openers[i].failed, "thread %d: %s", i, fm_base_last_error());
            charged += openers[i].charged;
        }
        CHECK_EQ_INT(fmd_ledger_standing(ledger, &token, &standing), 0);
        CHECK_TRUE(charged > 1900 && charged <= 2000, "%lld", (long long)charged);
        CHECK_EQ_INT(standing.balance, rows[row].balance - charged);
        CHECK_EQ_INT(standing.day_spent, charged);
        balances(ledger);
        close_hosts(hosts);
        forget(ledger);
    }
}

TEST(an_audit_names_money_from_nowhere)
{
    struct fmd_ledger *ledger = fresh();
    struct fmd_token token;
    char *said = NULL;
    size_t length;
    int64_t wrong = 0;
    account(ledger, "a", 1000, no_limits, &token);
    if (!meddle("UPDATE books SET given = given + 5 WHERE id = 4")) {
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
