/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON to structs and back. Nothing that a service says is believed beyond what makes sense: money is never
 * negative and never above what was held, sizes fit the machine, and what was asked for is never exceeded.
 */
#include <inttypes.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "program/cpu.h"
#include "tier/cloud/cloud.h"

#define FENV_MOST 32 /* as the workers take it */

bool fm_cloud_terms_integer(const json_t *json, const char *member, int64_t least, int64_t most,
                            int64_t *value)
{
    const json_t *found = json_object_get(json, member);
    if (!json_is_integer(found))
        return false;
    const int64_t number = json_integer_value(found);
    if (number < least || number > most)
        return false;
    *value = number;
    return true;
}

/* ---- What comes -------------------------------------------------------------------------------------- */

bool fm_cloud_terms_account(const json_t *json, struct fm_tier_cloud_account *account,
                            struct fm_cloud_limits *limits)
{
    const json_t *inner = json_object_get(json, "limits");
    int64_t vcpus, span_bytes, part_bytes, blob_bytes, spans, span_s;
    if (!fm_cloud_terms_integer(json, "balance", INT64_MIN, INT64_MAX, &account->balance) ||
        !fm_cloud_terms_integer(json, "price", 0, INT64_MAX / 1000000, &account->price) ||
        !fm_cloud_terms_integer(json, "vcpus", 0, 1 << 20, &vcpus) ||
        !fm_cloud_terms_integer(inner, "hold_least", 0, INT64_MAX, &account->hold_least) ||
        !fm_cloud_terms_integer(inner, "span_bytes", 1, INT64_MAX, &span_bytes) ||
        !fm_cloud_terms_integer(inner, "part_bytes", 1, INT64_MAX, &part_bytes) ||
        !fm_cloud_terms_integer(inner, "blob_bytes", 1, INT64_MAX, &blob_bytes) ||
        !fm_cloud_terms_integer(inner, "spans_in_flight", 1, INT32_MAX, &spans) ||
        !fm_cloud_terms_integer(inner, "span_s", 1, INT32_MAX, &span_s))
        return false;
    account->vcpus = (int)vcpus;
    account->trail = json_is_true(json_object_get(json, "trail"));
    *limits = (struct fm_cloud_limits){(size_t)span_bytes, (size_t)part_bytes, (size_t)blob_bytes,
                                       (int)spans, (double)span_s};
    return true;
}

bool fm_cloud_terms_packs(const json_t *json)
{
    const json_t *encodings = json_object_get(json, "encodings");
    for (size_t i = 0; fm_service_coding_is_there() && i < json_array_size(encodings); i++) {
        const char *name = json_string_value(json_array_get(encodings, i));
        if (name != NULL && strcmp(name, FM_SERVICE_CODING) == 0)
            return true;
    }
    return false;
}

bool fm_cloud_terms_grant(const json_t *json, const struct fm_tier_cloud_map *asked,
                          struct fm_cloud_map *map, struct fm_tier_cloud_grant *grant)
{
    const char *id = json_string_value(json_object_get(json, "map"));
    int64_t vcpus, span_bytes, spans;
    if (id == NULL || !fm_service_id_is_valid(id) ||
        !fm_cloud_terms_integer(json, "vcpus", 1, asked->vcpus, &vcpus) ||
        !fm_cloud_terms_integer(json, "hold", 1, asked->budget, &map->hold) ||
        !fm_cloud_terms_integer(json, "price", 0, INT64_MAX / 1000000, &map->price) ||
        !fm_cloud_terms_integer(json, "span_bytes", 1, INT64_MAX, &span_bytes) ||
        !fm_cloud_terms_integer(json, "spans_in_flight", 1, INT32_MAX, &spans))
        return false;
    memcpy(map->id, id, sizeof map->id);
    map->span_bytes = (size_t)span_bytes;
    map->in_flight_most = spans < FM_CLOUD_FLIGHT_MOST ? (int)spans : FM_CLOUD_FLIGHT_MOST;
    grant->vcpus = (int)vcpus;
    grant->hold = map->hold;
    grant->span_bytes = map->span_bytes;
    grant->spans_in_flight = map->in_flight_most;
    return true;
}

bool fm_cloud_terms_bill(const json_t *json, const struct fm_cloud_map *map,
                         struct fm_tier_cloud_bill *bill)
{
    const char *id = json_string_value(json_object_get(json, "map"));
    int64_t charged, balance;
    if (id == NULL || strcmp(id, map->id) != 0 ||
        !fm_cloud_terms_integer(json, "charged", map->spent, map->hold, &charged) ||
        !fm_cloud_terms_integer(json, "balance", INT64_MIN, INT64_MAX, &balance))
        return false;
    *bill = (struct fm_tier_cloud_bill){charged - map->before, balance, true};
    return true;
}

/* ---- What goes --------------------------------------------------------------------------------------- */

static json_t *key(void)
{
    uint8_t random[16];
    char text[2 * sizeof random + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return NULL;
    fm_service_hex(random, sizeof random, text);
    return json_string(text);
}

static json_t *features(void)
{
    char text[FM_PROGRAM_CPU_BYTES];
    char *rest = text;
    json_t *list = json_array();
    fm_program_cpu(text, sizeof text);
    for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " "))
        if (word[0] != '\0')
            json_array_append_new(list, json_string(word));
    return list;
}

static bool travels(const char *entry)
{
    static const char *const prefixes[] = {"OMP_", "OPENBLAS_", "MKL_", "GOMP_", "KMP_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* What is not UTF-8 is left out: no such value means anything to these libraries. */
static json_t *variables(void)
{
    json_t *object = json_object();
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        const char *equals = strchr(*entry, '=');
        char name[128];
        if (equals == NULL || !travels(*entry) || (size_t)(equals - *entry) >= sizeof name)
            continue;
        memcpy(name, *entry, (size_t)(equals - *entry));
        name[equals - *entry] = '\0';
        json_object_set_new(object, name, json_string(equals + 1));
    }
    return object;
}

static void add_floating_point(json_t *body, const struct fm_tier_cloud_map *map)
{
    char text[2 * FENV_MOST + 1];
    if (map->fenv == NULL || map->fenv_bytes == 0 || map->fenv_bytes > FENV_MOST)
        return;
    fm_service_hex(map->fenv, map->fenv_bytes, text);
    json_object_set_new(body, "floating_point", json_string(text));
}

static void add_stack(json_t *body)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        limit.rlim_cur <= INT64_MAX)
        json_object_set_new(body, "stack_bytes", json_integer((json_int_t)limit.rlim_cur));
}

char *fm_cloud_terms_describe(const struct fm_tier_cloud_map *map, const char *program,
                              const char *module, uint64_t offset, const char *shared_name)
{
    json_t *body = json_pack(
        "{ss, s{ss, sI, ss}, sI, sI, si, sb, so, so}", "program", program, "function", "module",
        module, "offset", (json_int_t)offset, "kind", map->is_block ? "block" : "element",
        "in_size", (json_int_t)map->in_size, "out_size", (json_int_t)map->out_size, "vcpus",
        map->vcpus, "stop", map->stop, "features", features(), "variables", variables());
    if (body == NULL)
        return NULL;
    if (map->shared != NULL)
        json_object_set_new(
            body, "shared",
            json_pack("{ss, sI}", "digest", shared_name, "size", (json_int_t)map->shared_size));
    if (map->trail) /* a service without trails refuses a member that it does not know */
        json_object_set_new(body, "trail", json_true());
    add_floating_point(body, map);
    add_stack(body);
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

char *fm_cloud_terms_open(const char *described, int64_t budget)
{
    json_t *body = json_loads(described, 0, NULL);
    if (body == NULL)
        return NULL;
    json_object_set_new(body, "key", key());
    json_object_set_new(body, "budget", json_integer(budget));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
