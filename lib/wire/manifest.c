/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Manifests as text. The decoder takes a line apart from left to right and accepts one spelling only; the
 * encoder writes and then decodes what it wrote, so that there is one home for what is valid.
 */
#include "wire/manifest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static const char first_line[] = "fastmap-program 1";

/* What each is called, and how many of them a program has. */
static const struct {
    const char *name;
    unsigned least, most;
} roles[FM_WIRE_ROLES] = {
    [FM_WIRE_ROLE_EXECUTABLE] = {"executable", 1, 1},
    [FM_WIRE_ROLE_LOADER] = {"loader", 1, 1},
    [FM_WIRE_ROLE_WORKER] = {"worker", 1, 1},
    [FM_WIRE_ROLE_FASTMAP] = {"fastmap", 0, 1},
    [FM_WIRE_ROLE_LIBRARY] = {"library", 0, FM_WIRE_MANIFEST_FILES},
};

const char *fm_wire_manifest_role(enum fm_wire_role role)
{
    return roles[role].name;
}

void fm_wire_manifest_hex(const uint8_t sha256[FM_WIRE_MANIFEST_SHA256], char hex[65])
{
    for (size_t i = 0; i < FM_WIRE_MANIFEST_SHA256; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
}

/* ---- What a line may hold ---- */

/* Where in the text, and what of a line is left: up to the NUL that has replaced its newline. */
struct cursor {
    char *at;
    char *end;
    unsigned line;
};

/* Ends the next line with a NUL and gives it. NULL: there is none. */
static char *next_line(struct cursor *cursor)
{
    char *line = cursor->at;
    char *newline = line < cursor->end ? memchr(line, '\n', (size_t)(cursor->end - line)) : NULL;
    cursor->line++;
    if (newline == NULL)
        return NULL;
    *newline = '\0';
    cursor->at = newline + 1;
    return line;
}

/* Cuts the text at its first space; NULL where it has none. */
static char *next_word(char **rest)
{
    char *word = *rest;
    char *space = strchr(word, ' ');
    if (space == NULL)
        return NULL;
    *space = '\0';
    *rest = space + 1;
    return word;
}

static bool is_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_' && c != '-' && c != '.')
            return false;
    }
    return length > 0;
}

static int compare_words(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static bool are_sorted_words(const char *text)
{
    const char *last = NULL;
    size_t last_length = 0;
    for (const char *word = text; *text != '\0'; word = text) {
        const size_t length = strcspn(word, " ");
        if (!is_word(word, length) ||
            (last != NULL && compare_words(last, last_length, word, length) >= 0))
            return false;
        text = word + length;
        if (*text == ' ' && *++text == '\0')
            return false;
        last = word;
        last_length = length;
    }
    return true;
}

static bool is_component(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20u || text[i] == 0x7F)
            return false;
    return length > 0 && !(length == 1 && text[0] == '.') &&
           !(length == 2 && text[0] == '.' && text[1] == '.');
}

static bool is_path(const char *path)
{
    if (path[0] != '/' || strlen(path) >= FM_WIRE_MANIFEST_PATH)
        return false;
    while (*path == '/') {
        const size_t length = strcspn(++path, "/");
        if (!is_component(path, length))
            return false;
        path += length;
    }
    return true;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_sha256(const char *hex, uint8_t sha256[FM_WIRE_MANIFEST_SHA256])
{
    if (strlen(hex) != 2 * (size_t)FM_WIRE_MANIFEST_SHA256)
        return false;
    for (size_t i = 0; i < FM_WIRE_MANIFEST_SHA256; i++) {
        const int high = hex_value(hex[2 * i]);
        const int low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        sha256[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool take_bytes(const char *digits, uint64_t *bytes)
{
    const size_t length = strlen(digits);
    if (length == 0 || length > 19 || strspn(digits, "0123456789") != length ||
        (digits[0] == '0' && length > 1))
        return false;
    *bytes = strtoull(digits, NULL, 10);
    return *bytes <= (uint64_t)INT64_MAX;
}

static bool take_role(const char *word, enum fm_wire_role *role)
{
    for (size_t i = 0; i < FM_WIRE_ROLES; i++)
        if (strcmp(word, roles[i].name) == 0) {
            *role = (enum fm_wire_role)i;
            return true;
        }
    return false;
}

/* ---- Decoding: each returns NULL, or what is wrong with the cursor's line ---- */

static const char *take_head(struct cursor *cursor, struct fm_wire_manifest *manifest)
{
    const char *line = next_line(cursor);
    if (line == NULL || strcmp(line, first_line) != 0)
        return "is not \"fastmap-program 1\"";
    line = next_line(cursor);
    if (line == NULL || strncmp(line, "machine ", 8) != 0 || !is_word(line + 8, strlen(line + 8)))
        return "is not \"machine\" and its name";
    manifest->machine = line + 8;
    line = next_line(cursor);
    if (line == NULL || strncmp(line, "cpu", 3) != 0)
        return "is not \"cpu\" and its features";
    manifest->cpu = line + 3 + (line[3] == ' ');
    const bool has_features = line[3] == ' ' && line[4] != '\0';
    return (line[3] == '\0' || has_features) && are_sorted_words(manifest->cpu)
               ? NULL
               : "has features that are not in order";
}

static const char *take_file(char *line, struct fm_wire_file *file)
{
    const char *role = next_word(&line);
    const char *hex = role != NULL ? next_word(&line) : NULL;
    const char *bytes = hex != NULL ? next_word(&line) : NULL;
    file->path = line;
    if (bytes == NULL || !take_role(role, &file->role))
        return "is not a file's role, SHA-256, bytes and path";
    if (!take_sha256(hex, file->sha256))
        return "has no SHA-256 in 64 lower-case hexadecimal digits";
    if (!take_bytes(bytes, &file->bytes))
        return "has no number of bytes below 2^63";
    return is_path(line) ? NULL : "has no absolute path in its shortest form";
}

/* Folders first: '/' sorts as if it were the least byte, so that what lies in a folder follows it at once. */
static int compare_paths(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    const unsigned first = *a == '/' ? 1 : (unsigned char)*a;
    const unsigned second = *b == '/' ? 1 : (unsigned char)*b;
    return (first > second) - (first < second);
}

static bool is_folder_of(const char *folder, const char *path)
{
    const size_t length = strlen(folder);
    return strncmp(folder, path, length) == 0 && path[length] == '/';
}

static const char *take_files(struct cursor *cursor, struct fm_wire_manifest *manifest)
{
    const char *last = "";
    for (char *line = next_line(cursor); line != NULL; line = next_line(cursor)) {
        struct fm_wire_file *file = &manifest->files[manifest->count++];
        const char *wrong = take_file(line, file);
        if (wrong != NULL)
            return wrong;
        if (compare_paths(last, file->path) >= 0 ||
            (last[0] != '\0' && is_folder_of(last, file->path)))
            return "is not in the order of paths, or the path before is its folder";
        last = file->path;
    }
    return cursor->at == cursor->end ? NULL : "has no newline";
}

static int check_roles(const struct fm_wire_manifest *manifest)
{
    unsigned counts[FM_WIRE_ROLES] = {0};
    for (size_t i = 0; i < manifest->count; i++)
        counts[manifest->files[i].role]++;
    for (size_t role = 0; role < FM_WIRE_ROLES; role++)
        if (counts[role] < roles[role].least || counts[role] > roles[role].most)
            return fm_base_fail(
                FASTMAP_ERR_PROGRAM,
                "the manifest has %u files whose role is %s, where there may be %u to "
                "%u; send a manifest as fastmap writes it",
                counts[role], roles[role].name, roles[role].least, roles[role].most);
    return 0;
}

static size_t count_lines(const char *text, size_t length)
{
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

static int decode_all(size_t length, struct fm_wire_manifest *manifest)
{
    struct cursor cursor = {.at = manifest->text, .end = manifest->text + length};
    const char *wrong = take_head(&cursor, manifest);
    if (wrong == NULL)
        wrong = take_files(&cursor, manifest);
    if (wrong != NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "line %u of the manifest %s; send a manifest as fastmap writes it",
                            cursor.line, wrong);
    return check_roles(manifest);
}

int fm_wire_manifest_decode(const char *text, size_t length, struct fm_wire_manifest *manifest)
{
    const size_t lines = length <= FM_WIRE_MANIFEST_MOST ? count_lines(text, length) : SIZE_MAX;
    if (lines > FM_WIRE_MANIFEST_FILES + 3 || memchr(text, '\0', length) != NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the manifest has over %zu bytes, over %d files or a NUL; send a "
                            "manifest as fastmap writes it",
                            FM_WIRE_MANIFEST_MOST, FM_WIRE_MANIFEST_FILES);
    struct fm_wire_manifest found = {.text = malloc(length + 1),
                                     .files = calloc(lines + 1, sizeof *found.files)};
    int rc;
    if (found.text == NULL || found.files == NULL) {
        rc = fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a manifest of %zu bytes; free some",
                          length);
    } else {
        if (length > 0)
            memcpy(found.text, text, length);
        found.text[length] = '\0';
        rc = decode_all(length, &found);
    }
    if (rc == 0)
        *manifest = found;
    else
        fm_wire_manifest_free(&found);
    return rc;
}

void fm_wire_manifest_free(struct fm_wire_manifest *manifest)
{
    free(manifest->files);
    free(manifest->text);
    *manifest = (struct fm_wire_manifest){0};
}

/* ---- Encoding ---- */

static int compare_files(const void *a, const void *b)
{
    return compare_paths(((const struct fm_wire_file *)a)->path,
                         ((const struct fm_wire_file *)b)->path);
}

static void write_all(FILE *out, const struct fm_wire_manifest *manifest)
{
    (void)fprintf(out, "%s\nmachine %s\ncpu%s%s\n", first_line, manifest->machine,
                  manifest->cpu[0] != '\0' ? " " : "", manifest->cpu);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct fm_wire_file *file = &manifest->files[i];
        char hex[65];
        fm_wire_manifest_hex(file->sha256, hex);
        (void)fprintf(out, "%s %s %" PRIu64 " %s\n", roles[file->role].name, hex, file->bytes,
                      file->path);
    }
}

/* A newline in a path would make it two lines, of which the second could pass for a file. */
static int check_paths(const struct fm_wire_manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++)
        if (!is_path(manifest->files[i].path))
            return fm_base_fail(FASTMAP_ERR_PROGRAM,
                                "the path %s%s cannot be written in a manifest; move the file to "
                                "one without control characters, \".\" and \"..\"",
                                FM_BASE_PATH(manifest->files[i].path));
    return 0;
}

int fm_wire_manifest_encode(const struct fm_wire_manifest *manifest, char **text, size_t *length)
{
    char *written = NULL;
    size_t bytes = 0;
    int rc = check_paths(manifest);
    if (rc != 0)
        return rc;
    if (manifest->count > 0)
        qsort(manifest->files, manifest->count, sizeof *manifest->files, compare_files);
    FILE *out = open_memstream(&written, &bytes);
    if (out != NULL)
        write_all(out, manifest);
    if (out == NULL || fclose(out) != 0) {
        free(written);
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a manifest; free some");
    }
    struct fm_wire_manifest again = {0};
    rc = fm_wire_manifest_decode(written, bytes, &again);
    if (rc != 0) {
        free(written);
        return rc;
    }
    fm_wire_manifest_free(&again);
    *text = written;
    *length = bytes;
    return 0;
}
