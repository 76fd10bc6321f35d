/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client asks of a map: a row for each member, with the function that takes it. Unknown members are
 * refused: a client that sends one means something that this service does not do.
 */
#include "terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/hex.h"

enum { VALUE_BYTES = 4096, NAME_MOST = 64, SIZE_MOST = 1 << 30 };

static bool take_number(const json_t *value, int64_t most, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > most)
        return false;
    *out = json_integer_value(value);
    return true;
}

static bool take_u64(const json_t *value, int64_t most, uint64_t *out)
{
    int64_t number;
    if (!take_number(value, most, &number))
        return false;
    *out = (uint64_t)number;
    return true;
}

/* A string without NUL in it. */
static const char *text_of(const json_t *value, size_t most)
{
    const char *text = json_string_value(value);
    return text != NULL && strlen(text) == json_string_length(value) && strlen(text) <= most ? text
                                                                                             : NULL;
}

static bool take_digest(const json_t *value, uint8_t digest[FMD_STORE_SHA256])
{
    const char *text = text_of(value, FM_SERVICE_HEX_BYTES - 1);
    return text != NULL && strlen(text) == FM_SERVICE_HEX_BYTES - 1 &&
           fm_service_unhex(text, FMD_STORE_SHA256, digest);
}

/* ---- Members ---------------------------------------------------------------------------------------------
   */

static bool take_key(const json_t *value, struct fmd_terms *terms)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    terms->key = text_of(value, FMD_KEY_BYTES - 1);
    return terms->key != NULL && strlen(terms->key) >= 16 &&
           strspn(terms->key, letters) == strlen(terms->key);
}

static bool take_program(const json_t *value, struct fmd_terms *terms)
{
    return take_digest(value, terms->program);
}

static bool take_function(const json_t *value, struct fmd_terms *terms)
{
    const char *kind = text_of(json_object_get(value, "kind"), 16);
    terms->pool.module = text_of(json_object_get(value, "module"), FM_WIRE_WORKER_PATH - 1);
    terms->pool.block = kind != NULL && strcmp(kind, "block") == 0;
    return json_object_size(value) == 3 && terms->pool.module != NULL && kind != NULL &&
           (terms->pool.block || strcmp(kind, "element") == 0) &&
           take_u64(json_object_get(value, "offset"), INT64_MAX, &terms->pool.offset);
}

static bool take_in_size(const json_t *value, struct fmd_terms *terms)
{
    return take_u64(value, SIZE_MOST, &terms->pool.in_size);
}

static bool take_out_size(const json_t *value, struct fmd_terms *terms)
{
    return take_u64(value, SIZE_MOST, &terms->pool.out_size);
}

static bool take_shared(const json_t *value, struct fmd_terms *terms)
{
    if (json_is_null(value))
        return true;
    terms->has_shared = true;
    return json_object_size(value) == 2 &&
           take_digest(json_object_get(value, "digest"), terms->shared) &&
           take_u64(json_object_get(value, "size"), INT64_MAX, &terms->pool.shared_bytes) &&
           terms->pool.shared_bytes > 0;
}

static bool take_vcpus(const json_t *value, struct fmd_terms *terms)
{
    int64_t vcpus;
    if (!take_number(value, 1 << 20, &vcpus) || vcpus == 0)
        return false;
    terms->pool.vcpus = (unsigned)vcpus;
    return true;
}

static bool take_budget(const json_t *value, struct fmd_terms *terms)
{
    return take_number(value, INT64_MAX, &terms->budget) && terms->budget > 0;
}

static bool take_stop(const json_t *value, struct fmd_terms *terms)
{
    terms->pool.stop = json_is_true(value);
    return json_is_boolean(value);
}

static bool take_trail(const json_t *value, struct fmd_terms *terms)
{
    terms->pool.trail = json_is_true(value);
    return json_is_boolean(value);
}

static bool take_floating_point(const json_t *value, struct fmd_terms *terms)
{
    const char *text = text_of(value, 2 * sizeof terms->fenv);
    if (text == NULL || strlen(text) % 2 != 0 ||
        !fm_service_unhex(text, strlen(text) / 2, terms->fenv))
        return false;
    terms->pool.fenv = terms->fenv;
    terms->pool.fenv_bytes = (uint32_t)strlen(text) / 2;
    return true;
}

static bool take_stack(const json_t *value, struct fmd_terms *terms)
{
    return take_u64(value, INT64_MAX, &terms->pool.stack_bytes);
}

static bool is_taken(const char *name)
{
    static const char *const prefixes[] = {"OMP_", "OPENBLAS_", "MKL_", "GOMP_", "KMP_"};
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (strspn(name, letters) != strlen(name))
        return false;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Other variables than those are left out: they mean nothing to a worker. */
static bool take_variables(const json_t *value, struct fmd_terms *terms)
{
    const char *name;
    json_t *member;
    size_t count = 0;
    if (!json_is_object(value))
        return false;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const char *text = text_of(member, VALUE_BYTES);
        if (text == NULL)
            return false;
        if (count == FMD_TERMS_VARIABLES || strlen(name) > NAME_MOST || !is_taken(name))
            continue;
        if (asprintf(&terms->variables[count], "%s=%s", name, text) < 0) {
            terms->variables[count] = NULL;
            return false;
        }
        count++;
    }
    terms->pool.variables = (const char *const *)terms->variables;
    return true;
}

static bool take_features(const json_t *value, struct fmd_terms *terms)
{
    size_t i;
    const json_t *feature;
    if (!json_is_array(value) || json_array_size(value) > 1024)
        return false;
    json_array_foreach(value, i, feature) if (text_of(feature, 64) == NULL) return false;
    terms->features = (json_t *)(uintptr_t)value;
    return true;
}

static const struct {
    const char *name;
    bool is_needed;
    bool (*take)(const json_t *value, struct fmd_terms *terms);
    const char *must_be;
} members[] = {
    {"key", true, take_key, "16 to 64 letters, digits, - or _"},
    {"program", true, take_program, "the digest of a manifest"},
    {"function", true, take_function,
     "{\"module\", \"offset\", \"kind\": \"element\" or \"block\"}"},
    {"in_size", true, take_in_size, "bytes, up to 1 GiB"},
    {"out_size", true, take_out_size, "bytes, up to 1 GiB"},
    {"shared", false, take_shared, "{\"digest\", \"size\"} or null"},
    {"vcpus", true, take_vcpus, "a number from 1 on"},
    {"budget", true, take_budget, "nano-dollars, above 0"},
    {"stop", false, take_stop, "true or false"},
    {"trail", false, take_trail, "true or false"},
    {"floating_point", false, take_floating_point, "up to 32 bytes in hexadecimal"},
    {"stack_bytes", false, take_stack, "a number of bytes"},
    {"variables", false, take_variables, "an object of texts"},
    {"features", false, take_features, "an array of names"},
};

enum { MEMBERS = sizeof members / sizeof members[0] };

static bool is_known(const char *name)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (strcmp(members[i].name, name) == 0)
            return true;
    return false;
}

static bool refuse(char sentence[FMD_TERMS_SENTENCE], const char *name, const char *why,
                   const char *what)
{
    snprintf(sentence, FMD_TERMS_SENTENCE, "the member %.40s %s%.90s", name, why, what);
    return false;
}

static bool take_all(struct fmd_terms *terms, char sentence[FMD_TERMS_SENTENCE])
{
    const char *name;
    json_t *value;
    json_object_foreach(terms->json, name, value) if (!is_known(name)) return refuse(
        sentence, name, "is not known", "");
    for (size_t i = 0; i < MEMBERS; i++) {
        value = json_object_get(terms->json, members[i].name);
        if (value == NULL && members[i].is_needed)
            return refuse(sentence, members[i].name, "is missing", "");
        if (value != NULL && !members[i].take(value, terms))
            return refuse(sentence, members[i].name, "must be ", members[i].must_be);
    }
    return true;
}

static bool fits_trail(const struct fmd_terms *terms, char sentence[FMD_TERMS_SENTENCE])
{
    const struct fmd_pool_terms *pool = &terms->pool;
    if (!pool->trail)
        return true;
    if (pool->block)
        return refuse(sentence, "trail", "must be ", "false for a function of a block");
    if (pool->in_size < FM_WIRE_WORKER_TRAIL_BYTES)
        return refuse(sentence, "in_size", "must be ", "16 at least, with a trail");
    if (pool->out_size < FM_WIRE_WORKER_TRAIL_BYTES)
        return refuse(sentence, "out_size", "must be ", "16 at least, with a trail");
    return true;
}

bool fmd_terms_parse(const char *text, size_t length, struct fmd_terms *terms,
                     char sentence[FMD_TERMS_SENTENCE])
{
    json_error_t error;
    *terms = (struct fmd_terms){.pool.shared_fd = -1};
    terms->json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(terms->json))
        return take_all(terms, sentence) && fits_trail(terms, sentence);
    snprintf(sentence, FMD_TERMS_SENTENCE, "the body is no JSON object: line %d: %.100s",
             error.line, error.text);
    return false;
}

void fmd_terms_free(struct fmd_terms *terms)
{
    for (size_t i = 0; i < FMD_TERMS_VARIABLES; i++)
        free(terms->variables[i]);
    json_decref(terms->json);
    *terms = (struct fmd_terms){0};
}
