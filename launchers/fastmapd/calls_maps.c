/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Maps: opening, looking at, closing. To open one, in this order: the terms are read, the program is staged
 * and fits this processor, the shared block is there, the credit is held, workers may start. Whatever fails
 * gives back what was taken before it.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "calls.h"
#include "cpu.h"
#include "log.h"
#include "maps.h"
#include "metrics.h"
#include "terms.h"

#define WAIT_NS INT64_C(2000000000) /* for vCPUs that other hosts have */

/* ---- Looking at ------------------------------------------------------------------------------------------
   */

/* The answer for a map as the ledger has it. */
static void tell(struct fmd_request *request, const char *id)
{
    struct fmd_map_row row;
    struct fmd_standing standing;
    int rc = fmd_ledger_find_map(request->service->ledger, request->token.account, id, &row);
    if (rc == 0) {
        fmd_answer_error(&request->answer, FMD_ERR_map, "this account has no such map");
        return;
    }
    if (rc == 1)
        rc = fmd_ledger_standing(request->service->ledger, &request->token, &standing);
    if (rc != 0) {
        fmd_request_refuse_ledger(request, rc);
        return;
    }
    const int64_t left = row.hold - row.spent;
    fmd_answer_json(&request->answer, 200,
                    json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "map", row.id, "state",
                              row.is_open ? "open" : "closed", "spans", (json_int_t)row.spans,
                              "cpu_ns", (json_int_t)row.cpu_ns, "charged", (json_int_t)row.spent,
                              "hold", (json_int_t)(row.is_open ? left : 0), "released",
                              (json_int_t)(row.is_open ? 0 : left), "balance",
                              (json_int_t)standing.balance));
}

void fmd_call_map_show(struct fmd_request *request)
{
    tell(request, fmd_request_piece(request, 0));
}

/* A map of another host, which may be dead: what it still computes is not charged any more. */
static int close_elsewhere(const struct fmd_request *request, const char *id)
{
    struct fmd_ledger *ledger = request->service->ledger;
    struct fmd_map_row row;
    const int found = fmd_ledger_find_map(ledger, request->token.account, id, &row);
    return found == 1 && row.is_open ? fmd_ledger_close_map(ledger, id) : found < 0 ? found : 0;
}

void fmd_call_map_close(struct fmd_request *request)
{
    const char *id = fmd_request_piece(request, 0);
    struct fmd_maps *maps = request->service->maps;
    struct fmd_open *open = fmd_maps_find(maps, request->token.account, id);
    const int rc = open != NULL ? fmd_maps_close(maps, open) : close_elsewhere(request, id);
    if (open != NULL)
        fmd_maps_put(maps, open);
    if (rc == 0)
        tell(request, id);
    else
        fmd_request_refuse_ledger(request, rc);
}

/* ---- Opening ---------------------------------------------------------------------------------------------
   */

/* What opening has gathered so far. */
struct opening {
    struct fmd_terms terms;
    struct fmd_tree *tree;
    struct fmd_map_row row;
    enum fmd_verdict verdict;
};

static bool check_terms(struct fmd_request *request, struct opening *o)
{
    char sentence[FMD_TERMS_SENTENCE];
    if (!fmd_terms_parse(request->text == NULL ? "" : request->text, request->length, &o->terms,
                         sentence)) {
        fmd_answer_error(&request->answer, FMD_ERR_request, "%s", sentence);
        return false;
    }
    o->terms.pool.account = request->token.name;
    o->terms.pool.token = request->token.id;
    return true;
}

/* The same key again opens nothing: the limit does not apply. */
static bool is_again(const struct fmd_request *request, const struct opening *o)
{
    return fmd_maps_has_key(request->service->maps, request->token.account, o->terms.key);
}

/* Adds to `lacks` each word of a list with blanks between that this processor has not. */
static void add_lacking(const char *words, json_t *lacks)
{
    char word[64];
    for (size_t length; *words != '\0'; words += length + (words[length] == ' ')) {
        length = strcspn(words, " ");
        if (length == 0 || length >= sizeof word)
            continue;
        memcpy(word, words, length);
        word[length] = '\0';
        if (!fmd_cpu_has(word))
            json_array_append_new(lacks, json_string(word));
    }
}

static bool check_cpu(struct fmd_request *request, struct opening *o)
{
    size_t i;
    const json_t *feature;
    json_t *lacks = json_array();
    json_array_foreach(o->terms.features, i, feature)
        add_lacking(json_string_value(feature), lacks);
    if (o->tree->cpu != NULL)
        add_lacking(o->tree->cpu, lacks);
    if (json_array_size(lacks) == 0) {
        json_decref(lacks);
        return true;
    }
    fmd_answer_error(&request->answer, FMD_ERR_cpu,
                     "this host's processor lacks what the program may use");
    fmd_answer_add(&request->answer, "lacks", lacks);
    return false;
}

static bool stage(struct fmd_request *request, struct opening *o)
{
    struct fmd_store_missing *missing = NULL;
    size_t count = 0;
    const enum fmd_store_answer answer = fmd_store_stage(
        request->service->store, request->token.name, o->terms.program, &o->tree, &missing, &count);
    if (answer == FMD_STORE_OK)
        return true;
    o->tree = NULL;
    if (answer == FMD_STORE_NONE)
        fmd_answer_error(&request->answer, FMD_ERR_program,
                         "this account has no such program here; send its manifest");
    else
        fmd_call_refuse(request, answer);
    if (answer == FMD_STORE_MISSING)
        fmd_answer_add(&request->answer, "missing", fmd_call_missing(missing, count));
    return false;
}

static bool open_shared(struct fmd_request *request, struct opening *o)
{
    uint64_t bytes;
    if (!o->terms.has_shared)
        return true;
    const enum fmd_store_answer answer =
        fmd_store_read(request->service->store, request->token.name, o->terms.shared,
                       &o->terms.pool.shared_fd, &bytes);
    if (answer != FMD_STORE_OK) {
        o->terms.pool.shared_fd = -1;
        fmd_answer_error(&request->answer, FMD_ERR_blob, "the shared block is not here; upload it");
        return false;
    }
    if (bytes == o->terms.pool.shared_bytes)
        return true;
    fmd_answer_error(&request->answer, FMD_ERR_request,
                     "the shared block has %" PRIu64 " bytes, not what `size` says", bytes);
    return false;
}

static bool check_count(struct fmd_request *request, struct opening *o)
{
    if (is_again(request, o) || fmd_maps_count(request->service->maps, request->token.account) <
                                    (size_t)request->service->config->maps_account)
        return true;
    fmd_answer_error(&request->answer, FMD_ERR_maps,
                     "the account has as many open maps as it may; close one");
    return false;
}

/* Nobody knows whether it was opened: it is closed when that can be said. */
static void refuse_opening(struct fmd_request *request, const struct opening *o, int rc)
{
    if (rc == FMD_LEDGER_AWAY && o->row.id[0] != '\0')
        fmd_maps_forget(request->service->maps, o->row.id);
    fmd_request_refuse_ledger(request, rc == FMD_LEDGER_CLOSED ? FMD_LEDGER_AWAY : rc);
}

/* Where other hosts have all of the token's vCPUs, they are waited for: one that has more than its part gives
   some back when a span of it ends. */
static int open_in_ledger(const struct fmd_request *request, struct opening *o,
                          const struct fmd_opening *asked)
{
    static const struct timespec nap = {0, 100000000};
    struct fmd_ledger *ledger = request->service->ledger;
    const int64_t end_ns = fmd_now_ns() + WAIT_NS;
    int rc;
    while ((rc = fmd_ledger_open_map(ledger, asked, &o->verdict, &o->row)) == 0 &&
           o->verdict == FMD_NO_VCPUS && fmd_now_ns() < end_ns)
        nanosleep(&nap, NULL);
    if (rc == 0 && o->verdict == FMD_NO_VCPUS)
        rc = fmd_ledger_unshare(ledger, asked->token->id, asked->host);
    return rc;
}

/* Digest of the body: what makes two openings with one key the same. */
static bool hold(struct fmd_request *request, struct opening *o)
{
    const struct fmd_config *config = request->service->config;
    const int64_t vcpus = fmd_call_vcpus(request);
    const struct fmd_opening asked = {
        .token = &request->token,
        .key = o->terms.key,
        .digest = request->claim.digest,
        .budget = o->terms.budget,
        .least = config->hold_least,
        .price = config->price,
        .vcpus = o->terms.pool.vcpus < vcpus ? o->terms.pool.vcpus : vcpus,
        .host = atomic_load(&request->service->host),
    };
    const int rc = open_in_ledger(request, o, &asked);
    if (rc != 0) {
        refuse_opening(request, o, rc);
        return false;
    }
    o->terms.pool.vcpus = (unsigned)o->row.vcpus;
    o->terms.pool.token_vcpus = o->row.usable > 0 ? (unsigned)o->row.usable : 0;
    if (o->verdict == FMD_NO_VCPUS)
        fmd_answer_error(&request->answer, FMD_ERR_maps,
                         "this token's vCPUs are all in use on other hosts; close a map");
    if (o->verdict == FMD_CONFLICT)
        fmd_answer_error(&request->answer, FMD_ERR_conflict,
                         "the key was used for another map; choose another");
    else if (o->verdict == FMD_NO_CREDIT)
        fmd_answer_error(&request->answer, FMD_ERR_credit,
                         "budget, balance or today's limit leave less than a map must hold; add "
                         "credit to the account");
    return o->verdict == FMD_OPENED || o->verdict == FMD_KNOWN;
}

static void tell_opened(struct fmd_request *request, const struct fmd_map_row *row, unsigned vcpus,
                        unsigned status)
{
    const struct fmd_config *config = request->service->config;
    fmd_answer_json(
        &request->answer, status,
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I}", "map", row->id, "vcpus", (int)vcpus,
                  "hold", (json_int_t)row->hold, "price", (json_int_t)row->price, "cpu_ns",
                  (json_int_t)fmd_money_affords(row->hold, row->price), "span_bytes",
                  (json_int_t)config->span_bytes, "spans_in_flight",
                  (json_int_t)config->spans_in_flight, "idle_s", (json_int_t)config->map_idle_s));
}

/* The same key again: the map is open here, or being opened, or over. It may also be open on another
   host, from which the client has come away: then it ends there. */
static void tell_known(struct fmd_request *request, const struct opening *o)
{
    struct fmd_open *open =
        fmd_maps_find(request->service->maps, request->token.account, o->row.id);
    if (open != NULL) {
        tell_opened(request, &o->row, open->granted, 200);
        fmd_maps_put(request->service->maps, open);
        return;
    }
    if (o->row.is_open && o->row.host == atomic_load(&request->service->host)) {
        fmd_answer_error(&request->answer, FMD_ERR_busy, "the map is being opened; ask again");
        return;
    }
    const int rc = o->row.is_open ? fmd_ledger_close_map(request->service->ledger, o->row.id) : 0;
    if (rc != 0)
        fmd_request_refuse_ledger(request, rc);
    else
        fmd_answer_error(&request->answer, FMD_ERR_closed,
                         "the map with this key is closed; choose another key");
}

static void start(struct fmd_request *request, struct opening *o)
{
    struct fmd_service *service = request->service;
    struct fmd_map *map = NULL;
    struct fmd_open *open = NULL;
    const int rc = fmd_pool_map_open(service->pool, o->tree, &o->terms.pool, &map);
    o->tree = NULL; /* the pool's now */
    if (rc == 0 && (open = fmd_maps_add(service->maps, &request->token, &o->row, o->terms.key,
                                        &o->terms.pool, map)) == NULL)
        fmd_pool_map_close(map);
    if (open == NULL) {
        if (fmd_ledger_close_map(service->ledger, o->row.id) != 0)
            fmd_maps_forget(service->maps, o->row.id);
        fmd_answer_error(&request->answer,
                         rc == FASTMAP_ERR_ARGUMENT ? FMD_ERR_function : FMD_ERR_full, "%s",
                         rc != 0 ? fm_base_last_error() : "no memory for another map");
        request->answer.retry_s = 1;
        return;
    }
    fmd_log(FMD_LOG_INFO, "map-opened", "request=%s map=%s account=%s token=%s hold=%lld vcpus=%u",
            request->id, open->id, request->token.name, request->token.id, (long long)o->row.hold,
            open->granted);
    tell_opened(request, &o->row, open->granted, 201);
    fmd_maps_put(service->maps, open);
}

void fmd_call_map_open(struct fmd_request *request)
{
    static bool (*const steps[])(struct fmd_request * request, struct opening * o) = {
        check_terms, check_count, stage, check_cpu, open_shared, hold};
    struct opening o = {.terms.pool.shared_fd = -1};
    size_t i = 0;
    while (i < sizeof steps / sizeof steps[0] && steps[i](request, &o))
        i++;
    if (i == sizeof steps / sizeof steps[0]) {
        if (o.verdict == FMD_KNOWN)
            tell_known(request, &o);
        else
            start(request, &o);
    }
    if (o.tree != NULL)
        fmd_store_drop(o.tree);
    if (o.terms.pool.shared_fd >= 0)
        close(o.terms.pool.shared_fd);
    fmd_terms_free(&o.terms);
}
