/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receipts as text. Reading is driven by a table with a row for each word; a word that stands twice, or a
 * number with anything but digits in it, refuses the whole.
 */
#include "service/receipt.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/hex.h"

static const char *const status_words[FM_SERVICE_STATUSES] = {"done", "cut", "late", "died",
                                                              "lost"};

const char *fm_service_status_word(enum fm_service_status status)
{
    return status_words[status];
}

/* ---- Writing ---------------------------------------------------------------------------------------- */

/* Appends to text and returns the new length. */
__attribute__((format(printf, 3, 4))) static size_t add(char *text, size_t length, const char *fmt,
                                                        ...)
{
    va_list args;
    va_start(args, fmt);
    const int more = vsnprintf(text + length, FM_SERVICE_RECEIPT_BYTES - length, fmt, args);
    va_end(args);
    return length + (more < 0 ? 0 : (size_t)more);
}

static size_t add_failure(char *text, size_t length, const char *before,
                          const struct fm_service_failure *failure)
{
    length = add(text, length, "%s%" PRIu64, before, failure->index);
    if (failure->count != 1)
        length = add(text, length, "+%" PRIu64, failure->count);
    return add(text, length, ":%" PRId32, failure->code);
}

size_t fm_service_receipt_format(const struct fm_service_receipt *receipt,
                                 char text[FM_SERVICE_RECEIPT_BYTES])
{
    size_t length =
        add(text, 0,
            "map=%s span=%" PRIu64 " status=%s computed=%" PRIu64 " failed=%" PRIu64 " failures=%s",
            receipt->map, receipt->span, status_words[receipt->status], receipt->computed,
            receipt->failed, receipt->failures == 0 ? "-" : "");
    for (size_t i = 0; i < receipt->failures; i++)
        length = add_failure(text, length, i == 0 ? "" : ",", &receipt->failure[i]);
    length = add(text, length,
                 " raised=%" PRIu32 " cpu_ns=%" PRIu64 " charge=%" PRId64 " spent=%" PRId64
                 " left=%" PRId64,
                 receipt->raised, receipt->cpu_ns, receipt->charge, receipt->spent, receipt->left);
    return receipt->vcpus > 0 ? add(text, length, " vcpus=%" PRIu32, receipt->vcpus) : length;
}

/* ---- Reading ---------------------------------------------------------------------------------------- */

struct word {
    const char *text;
    size_t length;
};

static bool take_u64(struct word word, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < word.length; i++) {
        const unsigned digit = (unsigned)word.text[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return word.length > 0;
}

static bool take_money(struct word word, int64_t *out)
{
    uint64_t value;
    if (!take_u64(word, &value) || value > INT64_MAX)
        return false;
    *out = (int64_t)value;
    return true;
}

static bool take_raised(struct word word, struct fm_service_receipt *out)
{
    uint64_t value;
    if (!take_u64(word, &value) || value > UINT32_MAX)
        return false;
    out->raised = (uint32_t)value;
    return true;
}

/* Where it stands it says something. */
static bool take_vcpus(struct word word, struct fm_service_receipt *out)
{
    uint64_t value;
    if (!take_u64(word, &value) || value == 0 || value > UINT32_MAX)
        return false;
    out->vcpus = (uint32_t)value;
    return true;
}

static bool take_code(struct word word, int32_t *out)
{
    const bool negative = word.length > 0 && word.text[0] == '-';
    uint64_t value;
    if (!take_u64((struct word){word.text + negative, word.length - negative}, &value))
        return false;
    if (value == 0 || value > (uint64_t)INT32_MAX + negative)
        return false;
    *out = (int32_t)(negative ? -(int64_t)value : (int64_t)value);
    return true;
}

/* index, or index+count with a count other than 1. */
static bool take_range(struct word word, struct fm_service_failure *out)
{
    const char *plus = memchr(word.text, '+', word.length);
    out->count = 1;
    if (plus == NULL)
        return take_u64(word, &out->index);
    const size_t before = (size_t)(plus - word.text);
    return take_u64((struct word){word.text, before}, &out->index) &&
           take_u64((struct word){plus + 1, word.length - before - 1}, &out->count) &&
           out->count > 1;
}

static bool take_failure(struct word word, struct fm_service_failure *out)
{
    const char *colon = memchr(word.text, ':', word.length);
    if (colon == NULL)
        return false;
    const struct word range = {word.text, (size_t)(colon - word.text)};
    return take_range(range, out) &&
           take_code((struct word){colon + 1, word.length - range.length - 1}, &out->code);
}

static bool take_failures(struct word word, struct fm_service_receipt *out)
{
    out->failures = 0;
    if (word.length == 1 && word.text[0] == '-')
        return true;
    for (;;) {
        const char *comma = memchr(word.text, ',', word.length);
        const size_t length = comma == NULL ? word.length : (size_t)(comma - word.text);
        if (out->failures == FM_SERVICE_FAILURES ||
            !take_failure((struct word){word.text, length}, &out->failure[out->failures]))
            return false;
        out->failures++;
        if (comma == NULL)
            return true;
        word = (struct word){comma + 1, word.length - length - 1};
    }
}

static bool take_status(struct word word, struct fm_service_receipt *out)
{
    for (int i = 0; i < FM_SERVICE_STATUSES; i++)
        if (strlen(status_words[i]) == word.length &&
            memcmp(status_words[i], word.text, word.length) == 0) {
            out->status = (enum fm_service_status)i;
            return true;
        }
    return false;
}

static bool take_map(struct word word, struct fm_service_receipt *out)
{
    uint8_t bytes[8];
    if (word.length != sizeof out->map - 1)
        return false;
    memcpy(out->map, word.text, word.length);
    out->map[word.length] = '\0';
    return fm_service_unhex(out->map, sizeof bytes, bytes);
}

#define NUMBER(field)                                                          \
    static bool take_##field(struct word word, struct fm_service_receipt *out) \
    {                                                                          \
        return take_u64(word, &out->field);                                    \
    }
#define MONEY(field)                                                           \
    static bool take_##field(struct word word, struct fm_service_receipt *out) \
    {                                                                          \
        return take_money(word, &out->field);                                  \
    }
NUMBER(span)
NUMBER(computed)
NUMBER(failed)
NUMBER(cpu_ns)
MONEY(charge)
MONEY(spent)
MONEY(left)

static const struct {
    const char *name;
    bool (*take)(struct word word, struct fm_service_receipt *out);
} fields[] = {
    {"map", take_map},           {"span", take_span},     {"status", take_status},
    {"computed", take_computed}, {"failed", take_failed}, {"failures", take_failures},
    {"cpu_ns", take_cpu_ns},     {"charge", take_charge}, {"spent", take_spent},
    {"raised", take_raised},     {"left", take_left},     {"vcpus", take_vcpus},
};

enum {
    FIELDS = sizeof fields / sizeof fields[0],
    NEEDED = (1 << (FIELDS - 1)) - 1 /* all but the last */
};

/* One name=value; *seen has a bit for each field that stood before. */
static bool take_word(struct word word, unsigned *seen, struct fm_service_receipt *out)
{
    const char *equals = memchr(word.text, '=', word.length);
    if (equals == NULL)
        return false;
    const size_t length = (size_t)(equals - word.text);
    for (size_t i = 0; i < FIELDS; i++) {
        if (strlen(fields[i].name) != length || memcmp(fields[i].name, word.text, length) != 0)
            continue;
        if ((*seen & 1u << i) != 0)
            return false;
        *seen |= 1u << i;
        return fields[i].take((struct word){equals + 1, word.length - length - 1}, out);
    }
    return true;
}

bool fm_service_receipt_parse(const char *text, struct fm_service_receipt *receipt)
{
    struct fm_service_receipt found = {0};
    unsigned seen = 0;
    if (strnlen(text, FM_SERVICE_RECEIPT_BYTES) == FM_SERVICE_RECEIPT_BYTES)
        return false;
    for (;;) {
        const size_t length = strcspn(text, " ");
        if (!take_word((struct word){text, length}, &seen, &found))
            return false;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    if ((seen & NEEDED) != NEEDED)
        return false;
    *receipt = found;
    return true;
}
