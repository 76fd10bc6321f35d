/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of fastmapd that decide without a connection: which signatures were used, who has to wait, which
 * spans are known, which settings and paths are taken.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../launchers/fastmapd/attempts.h"
#include "../../launchers/fastmapd/certificate.h"
#include "../../launchers/fastmapd/config_table.h"
#include "../../launchers/fastmapd/cpu.h"
#include "../../launchers/fastmapd/deal.h"
#include "../../launchers/fastmapd/log.h"
#include "../../launchers/fastmapd/paths.h"
#include "../../launchers/fastmapd/replay.h"
#include "../../launchers/fastmapd/seal.h"
#include "../../launchers/fastmapd/spans.h"
#include "../../launchers/fastmapd/terms.h"
#include "../test.h"
#include "base/error.h"

/* ---- Signatures that were used ---------------------------------------------------------------------------
   */

static enum fmd_replay_answer use(struct fmd_replay *replay, uint64_t number, int64_t now_s)
{
    const uint64_t parts[2] = {number * UINT64_C(0x9e3779b97f4a7c15), ~number};
    uint8_t signature[FMD_REPLAY_BYTES];
    memcpy(signature, parts, sizeof signature);
    return fmd_replay_use(replay, signature, now_s);
}

TEST(a_signature_is_fresh_once_within_its_window)
{
    struct fmd_replay *replay = fmd_replay_new(100);
    for (int64_t now = 1000; now < 1000 + 100000; now += 7) {
        if (!CHECK_EQ_INT(use(replay, (uint64_t)now, now), FMD_REPLAY_FRESH))
            break;
        for (int64_t before = now; before >= 1000 && before >= now - 100; before -= 7)
            if (!CHECK_EQ_INT(use(replay, (uint64_t)before, now), FMD_REPLAY_USED))
                break;
    }
    fmd_replay_free(replay);
}

TEST(a_hundred_thousand_signatures_a_second_are_all_remembered)
{
    struct fmd_replay *replay = fmd_replay_new(100);
    size_t fresh = 0, used = 0;
    for (uint64_t i = 1; i <= 100000; i++)
        fresh += use(replay, i, 5) == FMD_REPLAY_FRESH;
    for (uint64_t i = 1; i <= 100000; i++)
        used += use(replay, i, 105) == FMD_REPLAY_USED;
    CHECK_EQ_SIZE(fresh, 100000);
    CHECK_EQ_SIZE(used, 100000);
    fmd_replay_free(replay);
}

/* ---- Who has to wait ------------------------------------------------------------------------ */

static struct sockaddr_in address_of(uint32_t number)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(number)};
}

TEST(an_address_has_so_many_failures_a_minute)
{
    struct fmd_attempts *attempts = malloc(sizeof *attempts);
    const uint64_t secret[2] = {1, 2};
    const struct sockaddr_in guesser = address_of(1), other = address_of(77);
    fmd_attempts_init(attempts, 6, secret);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ_INT(fmd_attempts_wait(attempts, (const struct sockaddr *)&guesser, 1000), 0);
        fmd_attempts_failed(attempts, (const struct sockaddr *)&guesser, 1000);
    }
    const int64_t wait_s = fmd_attempts_wait(attempts, (const struct sockaddr *)&guesser, 1000);
    CHECK_TRUE(wait_s >= 10 && wait_s <= 11, "%lld s", (long long)wait_s);
    CHECK_EQ_INT(fmd_attempts_wait(attempts, (const struct sockaddr *)&other, 1000), 0);
    CHECK_EQ_INT(
        fmd_attempts_wait(attempts, (const struct sockaddr *)&guesser, 1000 + 1000 * wait_s), 0);
    free(attempts);
}

TEST(an_ipv6_neighbourhood_counts_as_one_and_ipv4_in_ipv6_as_ipv4)
{
    struct fmd_attempts *attempts = malloc(sizeof *attempts);
    const uint64_t secret[2] = {3, 4};
    struct sockaddr_in6 one = {.sin6_family = AF_INET6}, two = {.sin6_family = AF_INET6},
                        mapped = two;
    const struct sockaddr_in four = address_of(0x01020304);
    one.sin6_addr.s6_addr[0] = two.sin6_addr.s6_addr[0] = 0x20;
    two.sin6_addr.s6_addr[15] = 9;
    memset(&mapped.sin6_addr.s6_addr[10], 0xff, 2);
    memcpy(&mapped.sin6_addr.s6_addr[12], "\1\2\3\4", 4);
    fmd_attempts_init(attempts, 1, secret);
    fmd_attempts_failed(attempts, (struct sockaddr *)&one, 0);
    CHECK_TRUE(fmd_attempts_wait(attempts, (struct sockaddr *)&two, 0) > 0, "%s", "the same /64");
    CHECK_EQ_INT(fmd_attempts_wait(attempts, (struct sockaddr *)&mapped, 0), 0);
    fmd_attempts_failed(attempts, (struct sockaddr *)&mapped, 0);
    CHECK_TRUE(fmd_attempts_wait(attempts, (const struct sockaddr *)&four, 0) > 0, "%s",
               "the same IPv4");
    free(attempts);
}

/* ---- Spans ---------------------------------------------------------------------------------- */

static enum fmd_spans_answer begin(struct fmd_spans *spans, uint64_t number, uint64_t count,
                                   struct fmd_outcome **outcome)
{
    const struct fmd_span_name name = {number, 0, count, {1}};
    return fmd_spans_begin(spans, &name, outcome);
}

TEST(a_span_is_new_running_kept_and_gone)
{
    struct fmd_spans *spans = fmd_spans_new(1000);
    struct fmd_outcome *outcome = fmd_outcome_new(600), *found = NULL,
                       *second = fmd_outcome_new(600);
    CHECK_EQ_INT(begin(spans, 1, 5, &found), FMD_SPANS_NEW);
    CHECK_EQ_INT(begin(spans, 1, 5, &found), FMD_SPANS_RUNNING);
    CHECK_EQ_INT(begin(spans, 1, 6, &found), FMD_SPANS_CONFLICT);
    fmd_spans_forget(spans, 1);
    CHECK_EQ_INT(begin(spans, 1, 6, &found), FMD_SPANS_NEW);
    fmd_spans_end(spans, 1, outcome);
    CHECK_EQ_INT(begin(spans, 1, 6, &found), FMD_SPANS_KEPT);
    CHECK_TRUE(found == outcome, "%p", (void *)found);
    fmd_outcome_drop(found);
    CHECK_EQ_INT(begin(spans, 2, 6, &found), FMD_SPANS_NEW);
    fmd_spans_end(spans, 2, second);
    CHECK_EQ_INT(begin(spans, 1, 6, &found), FMD_SPANS_GONE);
    CHECK_EQ_INT(begin(spans, 1, 5, &found), FMD_SPANS_CONFLICT);
    fmd_outcome_drop(outcome);
    fmd_outcome_drop(second);
    fmd_spans_free(spans);
}

TEST(a_hundred_thousand_spans_keep_their_names)
{
    struct fmd_spans *spans = fmd_spans_new(0);
    struct fmd_outcome *outcome = fmd_outcome_new(1), *found;
    size_t fresh = 0, gone = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        fresh += begin(spans, i * 4096, 1, &found) == FMD_SPANS_NEW;
        fmd_spans_end(spans, i * 4096, outcome);
    }
    for (uint64_t i = 0; i < 100000; i++)
        gone += begin(spans, i * 4096, 1, &found) == FMD_SPANS_GONE;
    CHECK_EQ_SIZE(fresh, 100000);
    CHECK_EQ_SIZE(gone, 100000);
    CHECK_EQ_SIZE(fmd_spans_count(spans), 100000);
    fmd_outcome_drop(outcome);
    fmd_spans_free(spans);
}

/* ---- Settings ------------------------------------------------------------------------------- */

TEST(flags_win_over_the_file_and_leave_commands_alone)
{
    struct fmd_config config;
    char path[] = "/tmp/fastmapd-config-XXXXXX";
    const int fd = mkstemp(path);
    static const char text[] = "# fastmapd\nport = 8443\nkeep_s = 7\n\nprice = 0.06\n";
    CHECK_TRUE(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
    close(fd);
    char *argv[] = {(char *)"fastmapd",
                    (char *)"--port",
                    (char *)"9000",
                    (char *)"account",
                    (char *)"--config",
                    path,
                    (char *)"--kept-bytes=1K",
                    (char *)"list",
                    (char *)"--note",
                    (char *)"x",
                    NULL};
    int argc = 10;
    fmd_config_default(&config);
    CHECK_TRUE(fmd_config_flags(&config, &argc, argv) == 0, "%s", fm_base_last_error());
    CHECK_TRUE(config.port == 9000 && config.keep_s == 7 && config.kept_bytes == 1024 &&
                   config.price == 60000000,
               "%lld %lld %lld %lld", (long long)config.port, (long long)config.keep_s,
               (long long)config.kept_bytes, (long long)config.price);
    CHECK_EQ_INT(argc, 5);
    CHECK_EQ_STR(argv[1], "account");
    CHECK_EQ_STR(argv[3], "--note");
    chmod(path, 0666);
    CHECK_EQ_INT(fmd_config_read(&config, path), FASTMAP_ERR_CONFIG);
    CHECK_CONTAINS(fm_base_last_error(), "chmod go-w");
    unlink(path);
}

TEST(a_wrong_setting_is_named_with_its_line_and_what_it_may_be)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"port = 1\nkeep_s = 0\n", "file:2: keep_s is 0, but must be a number from 1 to 3600"},
        {"\n\nprot = 1", "file:3: there is no setting prot"},
        {"price = five", "file:1: price is five, but must be US$ from 0.000000001"},
        {"metrics = some", "must be loopback, all or off"},
        {"span_bytes = 1", "a number of bytes from 4096"},
        {"port", "file:1: not `key = value`"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmd_config config;
        fmd_config_default(&config);
        CHECK_EQ_INT(fmd_config_parse(&config, "file", rows[i].text, strlen(rows[i].text)),
                     FASTMAP_ERR_CONFIG);
        CHECK_CONTAINS(fm_base_last_error(), rows[i].part);
    }
}

/* ---- Secrets, logs, processors -------------------------------------------------------------- */

TEST(a_sealed_key_opens_only_as_it_was_sealed)
{
    uint8_t master[FMD_SEAL_KEY] = {1}, other[FMD_SEAL_KEY] = {2}, sealed[FMD_SEAL_SEALED],
            found[32];
    const uint8_t key[32] = {3};
    CHECK_TRUE(fmd_seal(master, "id", key, sealed), "%s", "sealed");
    CHECK_TRUE(fmd_unseal(master, "id", sealed, found), "%s", "opened");
    CHECK_EQ_MEM(found, key, sizeof key);
    CHECK_TRUE(!fmd_unseal(master, "di", sealed, found), "%s", "another token's");
    CHECK_TRUE(!fmd_unseal(other, "id", sealed, found), "%s", "another ledger's");
    sealed[20] ^= 1;
    CHECK_TRUE(!fmd_unseal(master, "id", sealed, found), "%s", "changed");
}

TEST(what_is_logged_stays_one_word_on_one_line)
{
    char quoted[FMD_LOG_QUOTED], big[2000];
    CHECK_EQ_STR(fmd_log_quote("a \"b\"\n\\c\x7f", quoted), "\"a \\\"b\\\"\\x0a\\\\c\\x7f\"");
    memset(big, '\n', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    CHECK_TRUE(strlen(fmd_log_quote(big, quoted)) < sizeof quoted, "%s", quoted);
    CHECK_CONTAINS(quoted, "...\"");
}

TEST(processor_features_are_whole_words)
{
    char part[64];
    snprintf(part, sizeof part, "%.*s", (int)strcspn(fmd_cpu_features(), " ") - 1,
             fmd_cpu_features());
    CHECK_TRUE(!fmd_cpu_has("no_such_feature") && !fmd_cpu_has("") &&
                   (part[0] == '\0' || !fmd_cpu_has(part)),
               "%s", part);
    snprintf(part, sizeof part, "%.*s", (int)strcspn(fmd_cpu_features(), " "), fmd_cpu_features());
    CHECK_TRUE(fmd_cpu_has(part), "%s", part);
}

TEST(a_certificate_is_made_once_and_must_fit_its_key)
{
    char folder[] = "/tmp/fastmapd-tls-XXXXXX", chain[128], key[128];
    struct fmd_certificate first = {0}, second = {0};
    CHECK_TRUE(mkdtemp(folder) != NULL, "%s", folder);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY);
    snprintf(chain, sizeof chain, "%s/certificate.pem", folder);
    snprintf(key, sizeof key, "%s/certificate.key", folder);
    CHECK_EQ_INT(fmd_certificate_make(fd, "127.0.0.1"), 0);
    CHECK_TRUE(fmd_certificate_load(chain, key, &first) == 0, "%s", fm_base_last_error());
    CHECK_EQ_INT(fmd_certificate_make(fd, "127.0.0.1"), 0);
    CHECK_EQ_INT(fmd_certificate_load(chain, key, &second), 0);
    CHECK_EQ_STR(first.pin, second.pin);
    fmd_certificate_free(&second);
    unlink(chain);
    CHECK_EQ_INT(fmd_paths_write(fd, "other.key", first.key, strlen(first.key)), 0);
    CHECK_EQ_INT(fmd_certificate_make(fd, "::1"), 0);
    CHECK_EQ_INT(renameat(fd, "other.key", fd, "certificate.key"), 0);
    CHECK_EQ_INT(fmd_certificate_load(chain, key, &second), FASTMAP_ERR_CONFIG);
    CHECK_CONTAINS(fm_base_last_error(), "is not that of the certificate");
    unlink(chain);
    unlink(key);
    close(fd);
    rmdir(folder);
    fmd_certificate_free(&first);
}

/* ---- Terms of a map ------------------------------------------------------------------------ */

static bool parse_terms(const char *more, struct fmd_terms *terms,
                        char sentence[FMD_TERMS_SENTENCE])
{
    char text[1000];
    snprintf(text, sizeof text,
             "{\"key\":\"0123456789abcdef\",\"program\":\"%064d\",\"function\":{\"module\":\"\","
             "\"offset\":7,"
             "\"kind\":\"block\"},\"in_size\":8,\"out_size\":16,\"vcpus\":2,\"budget\":1000%s}",
             0, more);
    return fmd_terms_parse(text, strlen(text), terms, sentence);
}

TEST(a_worker_gets_the_variables_that_mean_something_to_it_and_no_others)
{
    struct fmd_terms terms;
    char sentence[FMD_TERMS_SENTENCE] = "";
    CHECK_TRUE(
        parse_terms(
            ",\"variables\":{\"LD_PRELOAD\":\"x\",\"OMP_NUM_THREADS\":\"2\",\"OMP_\\nX\":\"y\"}",
            &terms, sentence),
        "%s", sentence);
    CHECK_EQ_STR(terms.variables[0], "OMP_NUM_THREADS=2");
    CHECK_TRUE(terms.variables[1] == NULL, "%s", terms.variables[1]);
    fmd_terms_free(&terms);
}

TEST(elements_with_trails_are_as_large_as_these_at_least)
{
    static const struct {
        unsigned in_size, out_size;
        const char *sentence;
    } rows[] = {{16, 16, ""},
                {24, 1040, ""},
                {15, 16, "the member in_size must be 16 at least, with a trail"},
                {16, 0, "the member out_size must be 16 at least, with a trail"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmd_terms terms;
        char text[500], sentence[FMD_TERMS_SENTENCE] = "";
        snprintf(text, sizeof text,
                 "{\"key\":\"0123456789abcdef\",\"program\":\"%064d\",\"function\":{"
                 "\"module\":\"\",\"offset\":7,\"kind\":\"element\"},\"in_size\":%u,"
                 "\"out_size\":%u,\"vcpus\":2,\"budget\":1000,\"trail\":true}",
                 0, rows[i].in_size, rows[i].out_size);
        const bool good = fmd_terms_parse(text, strlen(text), &terms, sentence);
        CHECK_EQ_STR(sentence, rows[i].sentence);
        CHECK_EQ_INT(good && terms.pool.trail, rows[i].sentence[0] == '\0');
        fmd_terms_free(&terms);
    }
}

TEST(terms_that_are_wrong_are_refused_with_the_member)
{
    static const struct {
        const char *more, *part;
    } rows[] = {{",\"x\":1", "the member x is not known"},
                {",\"variables\":{\"OMP_X\":1}", "variables must be"},
                {",\"variables\":{\"OMP_X\":\"a\\u0000b\"}", "no JSON object"},
                {",\"features\":[\"avx2\",3]", "features must be"},
                {",\"floating_point\":\"8g\"", "floating_point must be"},
                {",\"shared\":{\"digest\":\"ab\",\"size\":1}", "shared must be"},
                {",\"budget\":5", "no JSON object"},
                {",\"stop\":1", "stop must be true or false"},
                {",\"trail\":1", "trail must be true or false"},
                {",\"trail\":true", "trail must be false for a function of a block"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fmd_terms terms;
        char sentence[FMD_TERMS_SENTENCE] = "";
        CHECK_TRUE(!parse_terms(rows[i].more, &terms, sentence), "accepted: %s", rows[i].more);
        CHECK_CONTAINS(sentence, rows[i].part);
        fmd_terms_free(&terms);
    }
}

/* ---- vCPUs ---- */

struct hand {
    int account, token;
    unsigned wants, gets;
};

/* Deals to all hands; accounts and tokens are numbered from 0. Returns what is left. */
static unsigned deal(const struct hand *hands, size_t count, unsigned vcpus, unsigned most_of_token)
{
    enum { MOST = 8 };
    struct fmd_claim claims[MOST];
    unsigned accounts[MOST] = {0}, left[MOST];
    for (size_t i = 0; i < MOST; i++)
        left[i] = most_of_token;
    for (size_t i = 0; i < count; i++)
        claims[i] = (struct fmd_claim){.next = i + 1 < count ? &claims[i + 1] : NULL,
                                       .wants = hands[i].wants,
                                       .account = &accounts[hands[i].account],
                                       .left = &left[hands[i].token]};
    const unsigned rest = fmd_deal(claims, vcpus);
    for (size_t i = 0; i < count; i++)
        CHECK_TRUE(claims[i].has == hands[i].gets, "hand %zu of %zu, of %u vCPUs: %u, not %u", i,
                   count, vcpus, claims[i].has, hands[i].gets);
    return rest;
}

#define DEAL(rest, vcpus, of_token, ...)                                                        \
    do {                                                                                        \
        const struct hand hands[] = {__VA_ARGS__};                                              \
        CHECK_EQ_INT(deal(hands, sizeof hands / sizeof hands[0], (vcpus), (of_token)), (rest)); \
    } while (0)

TEST(vcpus_are_dealt_so_that_who_has_fewer_comes_first)
{
    DEAL(0, 8, 99, {0, 0, 8, 8});
    DEAL(0, 8, 99, {0, 0, 8, 4}, {0, 0, 8, 4});
    DEAL(0, 8, 99, {0, 0, 8, 6}, {0, 0, 2, 2}, {0, 0, 0, 0});
    DEAL(0, 9, 99, {0, 0, 9, 4}, {0, 0, 1, 1}, {0, 0, 9, 4});
    DEAL(0, 7, 99, {0, 0, 9, 3}, {0, 0, 9, 2}, {0, 0, 9, 2});
    DEAL(5, 8, 99, {0, 0, 1, 1}, {0, 0, 2, 2});
    DEAL(0, 1, 99, {0, 0, 3, 1}, {0, 0, 3, 0});
    DEAL(0, 0, 99, {0, 0, 3, 0});
}

TEST(an_account_gets_no_more_for_having_more_maps)
{
    DEAL(0, 8, 99, {0, 0, 8, 4}, {1, 1, 8, 2}, {1, 1, 8, 2});
    DEAL(0, 8, 99, {0, 0, 1, 1}, {1, 1, 8, 4}, {1, 1, 8, 3});
    DEAL(0, 9, 99, {0, 0, 9, 3}, {1, 1, 9, 3}, {2, 2, 9, 3});
}

TEST(a_token_has_no_more_than_it_may_and_leaves_the_rest_to_others)
{
    DEAL(5, 8, 3, {0, 0, 8, 3});
    DEAL(2, 8, 3, {0, 0, 8, 2}, {0, 0, 8, 1}, {0, 1, 8, 3});
    DEAL(2, 8, 3, {0, 0, 8, 3}, {1, 1, 8, 3}, {2, 2, 0, 0});
}
