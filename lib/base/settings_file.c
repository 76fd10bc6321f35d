/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configuration file's grammar. A file is valid if and only if
 *   (1) it is at most FM_BASE_FILE_MAX bytes, lines at most FM_BASE_FILE_LINE_MAX, with no NUL byte;
 *       a UTF-8 byte order mark may come first, lines end in LF or CRLF, the last may lack its end;
 *   (2) each line is blank, or a comment (first character '#', after blanks), or `key = value` with blanks
 *       wherever they please around key and value;
 *   (3) each key is in the table, and there once;
 *   (4) each value is not empty and one that its key accepts; it may stand in '...' or "...", which are
 *       not part of it, and has no comment after it.
 * Of a line that breaks (2) nothing is shown: it may be a secret that was pasted without its key.
 */
#include "base/settings_file.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

enum { KEY_SHOWN_MAX = 32, WHERE_BYTES = 256 };

/* The line being read. */
struct line {
    const char *path;
    unsigned number; /* from 1 */
    char *text;
    size_t length;
};

#define PLACE(line) FM_BASE_PATH((line)->path), (line)->number /* printf("%s%s:%u") */

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Takes the blanks off both ends. */
static void trim(char **text, size_t *length)
{
    while (*length > 0 && is_blank((*text)[0])) {
        (*text)++;
        (*length)--;
    }
    while (*length > 0 && is_blank((*text)[*length - 1]))
        (*length)--;
}

static void unquote(char **text, size_t *length)
{
    const char quote = (*text)[0];
    if (*length >= 2 && (quote == '"' || quote == '\'') && (*text)[*length - 1] == quote) {
        (*text)++;
        *length -= 2;
    }
}

static int fail_unknown_key(const struct line *line, const char *key, size_t length)
{
    char shown[KEY_SHOWN_MAX + 1];
    char keys[FM_BASE_LIST_BYTES];
    fm_base_settings_list(keys);
    if (length > KEY_SHOWN_MAX)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "%s%s:%u: unknown key of %zu characters; known: %s",
                            PLACE(line), length, keys);
    snprintf(shown, sizeof shown, "%.*s", (int)length, key);
    const enum fm_base_key meant = fm_base_settings_nearest(shown);
    if (meant == FM_BASE_KEYS)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "%s%s:%u: unknown key '%s'; known: %s", PLACE(line),
                            shown, keys);
    return fm_base_fail(FASTMAP_ERR_CONFIG,
                        "%s%s:%u: unknown key '%s'; did you mean '%s'? Known: %s", PLACE(line),
                        shown, fm_base_settings_name(meant), keys);
}

static int take_value(const struct line *line, enum fm_base_key key, char *text, size_t length,
                      struct fm_base_value *value)
{
    const char *name = fm_base_settings_name(key);
    if (value->line != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s%s:%u: %s is set already in line %u; remove one of the two lines",
                            PLACE(line), name, value->line);
    unquote(&text, &length);
    if (length == 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s%s:%u: %s has no value; give one, or remove the line", PLACE(line),
                            name);
    char where[WHERE_BYTES];
    snprintf(where, sizeof where, "%s%s:%u: %s", PLACE(line), name);
    text[length] = '\0';
    const int rc = fm_base_settings_parse(key, where, text, value);
    if (rc == 0)
        value->line = line->number;
    return rc;
}

static int parse_assignment(const struct line *line, struct fm_base_layer *layer)
{
    char *key_text = line->text;
    char *equals = memchr(line->text, '=', line->length);
    if (equals == NULL || equals == line->text)
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "%s%s:%u: the line is not of the form key = value; write it so, or begin "
            "it with # to make it a comment",
            PLACE(line));
    size_t key_length = (size_t)(equals - line->text);
    char *value_text = equals + 1;
    size_t value_length = line->length - key_length - 1;
    trim(&key_text, &key_length);
    trim(&value_text, &value_length);
    const enum fm_base_key key = fm_base_settings_find(key_text, key_length);
    if (key == FM_BASE_KEYS)
        return fail_unknown_key(line, key_text, key_length);
    return take_value(line, key, value_text, value_length, &layer->values[key]);
}

static int parse_line(struct line *line, struct fm_base_layer *layer)
{
    if (line->length > FM_BASE_FILE_LINE_MAX)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s%s:%u: the line is %zu bytes long, more than %d; shorten it",
                            PLACE(line), line->length, FM_BASE_FILE_LINE_MAX);
    if (memchr(line->text, '\0', line->length) != NULL)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s%s:%u: the line has a NUL byte in it; save the file as plain text",
                            PLACE(line));
    trim(&line->text, &line->length);
    if (line->length == 0 || line->text[0] == '#')
        return 0;
    return parse_assignment(line, layer);
}

int fm_base_settings_parse_file(const char *path, char *text, size_t length,
                                struct fm_base_layer *layer)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const char *end = text + length;
    int rc = 0;
    if (length >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0)
        text += sizeof mark - 1;
    for (unsigned number = 1; text < end && rc == 0; number++) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        char *line_end = newline != NULL ? newline : text + (end - text);
        struct line line = {path, number, text, (size_t)(line_end - text)};
        rc = parse_line(&line, layer);
        text = line_end + 1;
    }
    return rc;
}
