/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values of settings from text, whichever source they come from. Numbers of bytes take K, M, G or T;
 * amounts of money are dollars with up to nine decimals, kept as nano-dollars.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "config_table.h"
#include "money.h"
#include "paths.h"
#include "text.h"

enum { FILE_MOST = 65536, KEY_BYTES = 64 };

static const struct fmd_config_row *find(const char *key)
{
    for (size_t i = 0; i < fmd_config_count; i++)
        if (strcmp(fmd_config_rows[i].key, key) == 0)
            return &fmd_config_rows[i];
    return NULL;
}

/* ---- One value -------------------------------------------------------------------------------------- */

static bool take_bytes(const char *text, int64_t *out)
{
    static const char units[] = "KMGT";
    char digits[32];
    const size_t length = strlen(text);
    const char *unit = length > 0 ? strchr(units, text[length - 1]) : NULL;
    if (length == 0 || length >= sizeof digits)
        return false;
    memcpy(digits, text, length + 1);
    if (unit != NULL)
        digits[length - 1] = '\0';
    const int shift = unit == NULL ? 0 : 10 * (int)(unit - units + 1);
    if (!fmd_text_number(digits, out) || *out > INT64_MAX >> shift)
        return false;
    *out <<= shift;
    return true;
}

static bool take_word(const struct fmd_config_row *row, const char *text, int64_t *out)
{
    for (int64_t i = 0; row->words[i] != NULL; i++)
        if (strcmp(row->words[i], text) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool take_number(const struct fmd_config_row *row, const char *text, int64_t *out)
{
    switch (row->kind) {
    case FMD_CONFIG_WORD: return take_word(row, text, out);
    case FMD_CONFIG_COUNT:
        return fmd_text_number(text, out) && *out >= row->least && *out <= row->most;
    case FMD_CONFIG_BYTES: return take_bytes(text, out) && *out >= row->least && *out <= row->most;
    case FMD_CONFIG_MONEY:
        return fmd_text_money(text, out) && *out >= row->least && *out <= row->most;
    case FMD_CONFIG_STRING: break;
    }
    return false;
}

/* "a number from 1 to 3600", "loopback, all or off". */
static void describe(const struct fmd_config_row *row, char *text, size_t bytes)
{
    char least[32], most[32];
    switch (row->kind) {
    case FMD_CONFIG_WORD:
        snprintf(text, bytes, row->words[2] == NULL ? "%s or %s" : "%s, %s or %s", row->words[0],
                 row->words[1], row->words[2]);
        break;
    case FMD_CONFIG_COUNT:
        snprintf(text, bytes, "a number from %" PRId64 " to %" PRId64, row->least, row->most);
        break;
    case FMD_CONFIG_BYTES:
        snprintf(text, bytes,
                 "a number of bytes from %" PRId64 " to %" PRId64 ", with K, M, G or T", row->least,
                 row->most);
        break;
    case FMD_CONFIG_MONEY:
        fmd_text_dollars(row->least, least);
        fmd_text_dollars(row->most, most);
        snprintf(text, bytes, "US$ from %s to %s", least, most);
        break;
    case FMD_CONFIG_STRING:
        snprintf(text, bytes, "text of up to %d bytes", FMD_CONFIG_TEXT - 1);
        break;
    }
}

static int refuse_value(const struct fmd_config_row *row, const char *where, const char *value)
{
    char accepted[160];
    describe(row, accepted, sizeof accepted);
    return fm_base_fail(FASTMAP_ERR_CONFIG, "%s: %s is %.40s, but must be %s", where, row->key,
                        value, accepted);
}

static int set_row(struct fmd_config *config, const struct fmd_config_row *row, const char *where,
                   const char *value)
{
    void *field = (char *)config + row->field;
    if (row->kind == FMD_CONFIG_STRING) {
        if (strlen(value) >= FMD_CONFIG_TEXT)
            return refuse_value(row, where, value);
        strcpy(field, value);
        return 0;
    }
    int64_t number;
    if (!take_number(row, value, &number))
        return refuse_value(row, where, value);
    memcpy(field, &number, sizeof number);
    return 0;
}

int fmd_config_set(struct fmd_config *config, const char *where, const char *key, const char *value)
{
    const struct fmd_config_row *row = find(key);
    if (row == NULL)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s: there is no setting %.40s; fastmapd --help lists them", where,
                            key);
    return set_row(config, row, where, value);
}

void fmd_config_default(struct fmd_config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < fmd_config_count; i++)
        if (set_row(config, &fmd_config_rows[i], "default", fmd_config_rows[i].fallback) != 0)
            abort(); /* a row that contradicts itself; the tests run this */
}

/* ---- Files ------------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Copies text without blanks around it. */
static bool trim(const char *text, size_t length, char *out, size_t bytes)
{
    while (length > 0 && is_blank(text[0]))
        text++, length--;
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    if (length >= bytes || memchr(text, '\0', length) != NULL)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

static int parse_line(struct fmd_config *config, const char *where, const char *line, size_t length)
{
    char key[KEY_BYTES], value[FMD_CONFIG_TEXT];
    const char *equals = memchr(line, '=', length);
    if (equals == NULL || !trim(line, (size_t)(equals - line), key, sizeof key) ||
        !trim(equals + 1, length - (size_t)(equals - line) - 1, value, sizeof value))
        return fm_base_fail(FASTMAP_ERR_CONFIG, "%s: not `key = value`, or too long", where);
    return fmd_config_set(config, where, key, value);
}

static bool says_nothing(const char *line, size_t length)
{
    while (length > 0 && is_blank(line[0]))
        line++, length--;
    return length == 0 || line[0] == '#';
}

int fmd_config_parse(struct fmd_config *config, const char *name, const char *text, size_t length)
{
    for (unsigned number = 1; length > 0; number++) {
        char where[128];
        const char *end = memchr(text, '\n', length);
        const size_t bytes = end == NULL ? length : (size_t)(end - text);
        snprintf(where, sizeof where, "%.100s:%u", name, number);
        if (!says_nothing(text, bytes) && parse_line(config, where, text, bytes) != 0)
            return FASTMAP_ERR_CONFIG;
        text += bytes + (end != NULL);
        length -= bytes + (end != NULL);
    }
    return 0;
}

int fmd_config_read(struct fmd_config *config, const char *path)
{
    char *text;
    size_t length;
    int rc = fmd_paths_read(path, FMD_PATHS_TRUSTED, FILE_MOST, &text, &length);
    if (rc == 0) {
        rc = fmd_config_parse(config, path, text, length);
        free(text);
    }
    return rc;
}

/* ---- Flags ------------------------------------------------------------------------------------------ */

/* --some-key=value or --some-key value: where the value is; *taken arguments are used up. */
static const char *split_flag(int left, char **argv, char key[KEY_BYTES], int *taken)
{
    const char *name = argv[0] + 2;
    const size_t length = strcspn(name, "=");
    if (length >= KEY_BYTES)
        return NULL;
    for (size_t i = 0; i <= length; i++)
        key[i] = (char)(i == length ? '\0' : name[i] == '-' ? '_' : name[i]);
    *taken = name[length] == '=' ? 1 : 2;
    if (*taken > left)
        return NULL;
    return name[length] == '=' ? name + length + 1 : argv[1];
}

/* The flags that are settings, or --config alone. Others stay in argv: they are the commands' own. */
static int take_flags(struct fmd_config *config, bool files, int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1, taken; i < *argc; i += taken) {
        char key[KEY_BYTES];
        taken = 1;
        const bool is_flag = strncmp(argv[i], "--", 2) == 0;
        const char *value = is_flag ? split_flag(*argc - i, argv + i, key, &taken) : NULL;
        const bool wanted =
            is_flag && value != NULL && (files ? strcmp(key, "config") == 0 : find(key) != NULL);
        if (!wanted) {
            taken = 1;
            argv[kept++] = argv[i];
            continue;
        }
        const int rc =
            files ? fmd_config_read(config, value) : fmd_config_set(config, argv[i], key, value);
        if (rc != 0)
            return rc;
    }
    *argc = kept;
    return 0;
}

int fmd_config_flags(struct fmd_config *config, int *argc, char **argv)
{
    const int rc = take_flags(config, true, argc, argv);
    return rc != 0 ? rc : take_flags(config, false, argc, argv);
}

int fmd_config_check(const struct fmd_config *config)
{
    if ((config->certificate[0] == '\0') != (config->key[0] == '\0'))
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "certificate and key belong together: give both or neither");
    if (config->part_bytes > config->blob_bytes && config->blob_bytes < 4096)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "blob_bytes is too small for any program");
    return 0;
}

void fmd_config_print(FILE *to)
{
    for (size_t i = 0; i < fmd_config_count; i++) {
        const struct fmd_config_row *row = &fmd_config_rows[i];
        char accepted[160];
        describe(row, accepted, sizeof accepted);
        fprintf(to, "%s\t%s\t%s\t%s\n", row->key, accepted, row->fallback, row->doc);
    }
}
