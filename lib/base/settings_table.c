/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one list of settings: a row per key says where it lives in the structs, what it accepts, its default
 * and its explanation. Everything that parses, checks, stores or documents a value is driven by the row.
 * Where values come from, and which source wins, is decided in settings.c.
 */
#include "base/settings_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/values.h"

enum { SHOWN_BYTES = 40 };

struct word {
    const char *word;
    int value;
};

struct row {
    const char *name;
    size_t in_config;
    size_t in_settings;       /* but of secrets */
    const struct word *words; /* ended by a NULL word; NULL: the value is text */
    int least, most;          /* numbers that are accepted beside the words; most 0: none */
    int fallback;             /* the default, of rows with words */
    const char *accepts;      /* what a text is */
    int (*check)(int code, const char *where, const char *text); /* of texts; NULL: any will do */
    int (*store)(const char *text, void *field); /* of texts, NULL or checked; NULL: elsewhere */
    const char *doc;
};

static const struct word exec_policy_words[] = {{"ADAPTIVE", FASTMAP_EXEC_POLICY_ADAPTIVE},
                                                {"LOCAL", FASTMAP_EXEC_POLICY_LOCAL},
                                                {"CLOUD", FASTMAP_EXEC_POLICY_CLOUD},
                                                {NULL, 0}};
static const struct word verbosity_words[] = {{"SILENT", FASTMAP_VERBOSITY_SILENT},
                                              {"QUIET", FASTMAP_VERBOSITY_QUIET},
                                              {"NORMAL", FASTMAP_VERBOSITY_NORMAL},
                                              {"LOUD", FASTMAP_VERBOSITY_LOUD},
                                              {NULL, 0}};
static const struct word width_words[] = {{"AUTO", 0}, {NULL, 0}};
static const struct word bind_words[] = {
    {"CORE", FASTMAP_BIND_CORE}, {"NONE", FASTMAP_BIND_NONE}, {NULL, 0}};
static const struct word progress_words[] = {
    {"AUTO", FASTMAP_PROGRESS_AUTO}, {"OFF", FASTMAP_PROGRESS_OFF}, {NULL, 0}};

static const struct word ranks_words[] = {
    {"AUTO", FASTMAP_RANKS_AUTO}, {"OFF", FASTMAP_RANKS_OFF}, {NULL, 0}};

static const struct word workers_words[] = {
    {"THREADS", FASTMAP_WORKERS_THREADS}, {"PROCESSES", FASTMAP_WORKERS_PROCESSES}, {NULL, 0}};
static const struct word verify_words[] = {
    {"OFF", FASTMAP_VERIFY_OFF}, {"ON", FASTMAP_VERIFY_ON}, {NULL, 0}};

static const struct word confirm_words[] = {{"AUTO", FASTMAP_CONFIRM_AUTO},
                                            {"ON", FASTMAP_CONFIRM_ON},
                                            {"OFF", FASTMAP_CONFIRM_OFF},
                                            {NULL, 0}};

/* ---- Fields of texts ------------------------------------------------------------------------------ */

static int check_secret(int code, const char *where, const char *text)
{
    return fm_base_secret_check_text(code, where, text, strlen(text));
}

static int store_text(const char *text, void *field)
{
    const size_t bytes = text != NULL ? strlen(text) + 1 : 0;
    char *copy = text != NULL ? malloc(bytes) : NULL;
    if (text != NULL && copy == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a setting's %zu bytes; free some",
                            bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    memcpy(field, &copy, sizeof copy);
    return 0;
}

static int store_dollars(const char *text, void *field)
{
    int64_t nano = -1;
    if (text != NULL)
        fm_base_values_dollars(text, &nano);
    memcpy(field, &nano, sizeof nano);
    return 0;
}

/* ---- The table ------------------------------------------------------------------------------------ */

#define IN_CONFIG(key) .name = #key, .in_config = offsetof(struct fastmap_config, key)
#define IN_BOTH(key) IN_CONFIG(key), .in_settings = offsetof(struct fm_base_settings, key)

static const struct row rows[FM_BASE_KEYS] = {
    [FM_BASE_KEY_SECRET] = {IN_CONFIG(secret), .accepts = "token", .check = check_secret,
                            .doc = "The API token of the cloud service."},
    [FM_BASE_KEY_SECRET_FILE] = {IN_CONFIG(secret_file), .accepts = "path",
                                 .doc = "A file that holds the API token, for your eyes only."},
    [FM_BASE_KEY_EXEC_POLICY] = {IN_BOTH(exec_policy), .words = exec_policy_words,
                                 .fallback = FASTMAP_EXEC_POLICY_ADAPTIVE,
                                 .doc = "Where maps may run: wherever it pays, never outside "
                                        "this machine and its MPI job, or in the cloud alone."},
    [FM_BASE_KEY_VERBOSITY] = {IN_BOTH(verbosity), .words = verbosity_words,
                               .fallback = FASTMAP_VERBOSITY_NORMAL,
                               .doc = "How much is said on standard error."},
    [FM_BASE_KEY_MAX_LOCAL_WORKERS] = {IN_BOTH(max_local_workers), .words = width_words, .least = 1,
                                       .most = 4096, .fallback = 0,
                                       .doc =
                                           "How many threads compute, the caller included; AUTO: "
                                           "one per core that the process may use."},
    [FM_BASE_KEY_BIND] = {IN_BOTH(bind), .words = bind_words, .fallback = FASTMAP_BIND_CORE,
                          .doc = "Whether each worker thread is bound to one core."},
    [FM_BASE_KEY_PROGRESS] = {IN_BOTH(progress), .words = progress_words,
                              .fallback = FASTMAP_PROGRESS_AUTO,
                              .doc = "Whether a map that lasts shows how far it is."},
    [FM_BASE_KEY_RANKS] = {IN_BOTH(ranks), .words = ranks_words, .fallback = FASTMAP_RANKS_AUTO,
                           .doc = "Whether a map is computed by all ranks of an MPI job together."},
    [FM_BASE_KEY_WORKERS] = {IN_BOTH(workers), .words = workers_words,
                             .fallback = FASTMAP_WORKERS_THREADS,
                             .doc = "Whether elements run in threads of the program or in worker "
                                    "processes."},
    [FM_BASE_KEY_VERIFY] = {IN_BOTH(verify), .words = verify_words, .fallback = FASTMAP_VERIFY_OFF,
                            .doc = "Whether one early element is also computed in the program, and "
                                   "compared with a worker process's."},
    [FM_BASE_KEY_CLOUD_URL] = {IN_BOTH(cloud_url), .accepts = "https://host:port",
                               .check = fm_base_values_check_url, .store = store_text,
                               .doc = "The cloud service."},
    [FM_BASE_KEY_CLOUD_CA_FILE] = {IN_BOTH(cloud_ca_file), .accepts = "path", .store = store_text,
                                   .doc = "Certificates that the cloud service is checked by, "
                                          "instead of the system's."},
    [FM_BASE_KEY_CLOUD_PIN] = {IN_BOTH(cloud_pin), .accepts = "sha256//base64",
                               .check = fm_base_values_check_pin, .store = store_text,
                               .doc = "The public key that its certificate must have."},
    [FM_BASE_KEY_MAX_CLOUD_WORKERS] = {IN_BOTH(max_cloud_workers), .words = width_words, .least = 1,
                                       .most = 65536, .fallback = 0,
                                       .doc = "How many vCPUs a map may have in the cloud; AUTO: "
                                              "as many as the account is granted."},
    [FM_BASE_KEY_MAX_CHARGE] = {IN_BOTH(max_charge), .accepts = "US$",
                                .check = fm_base_values_check_dollars, .store = store_dollars,
                                .doc = "How much the maps of a session may cost together."},
    [FM_BASE_KEY_CONFIRM_CHARGES] = {IN_BOTH(confirm_charges), .words = confirm_words,
                                     .fallback = FASTMAP_CONFIRM_AUTO,
                                     .doc = "Whether the user is asked before a map costs money; "
                                            "AUTO: unless max_charge is set."},
};

/* Fields of rows with words are read and written as int, whichever enum they are. */
_Static_assert(sizeof(enum fastmap_verbosity) == sizeof(int), "enums of settings are ints");

/* ---- Lists for sentences ------------------------------------------------------------------------ */

/* Text that grows piece by piece; what no longer fits is left out. */
struct list {
    char *text;
    size_t bytes;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct list *list, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int wanted = vsnprintf(list->text + list->length, list->bytes - list->length, fmt, args);
    va_end(args);
    const size_t room = list->bytes - list->length - 1;
    list->length += wanted < 0 ? 0 : (size_t)wanted < room ? (size_t)wanted : room;
}

static const char *separator(const struct list *list)
{
    return list->length > 0 ? ", " : "";
}

/* "1 to 4096, AUTO"; with_numbers, for a struct: "1 to 4096, AUTO (0)". */
static void list_accepted(const struct row *row, bool with_numbers, char text[FM_BASE_LIST_BYTES])
{
    struct list list = {text, FM_BASE_LIST_BYTES, 0};
    text[0] = '\0';
    if (row->words == NULL)
        add(&list, "%s", row->accepts);
    if (row->most > 0)
        add(&list, "%d to %d", row->least, row->most);
    for (const struct word *w = row->words; w != NULL && w->word != NULL; w++) {
        add(&list, "%s%s", separator(&list), w->word);
        if (with_numbers)
            add(&list, " (%d)", w->value);
    }
}

void fm_base_settings_list(char text[FM_BASE_LIST_BYTES])
{
    struct list list = {text, FM_BASE_LIST_BYTES, 0};
    text[0] = '\0';
    for (size_t key = 0; key < FM_BASE_KEYS; key++)
        add(&list, "%s%s", separator(&list), rows[key].name);
}

/* ---- Names -------------------------------------------------------------------------------------- */

static char upper(char c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

void fm_base_settings_variable(enum fm_base_key key, char variable[FM_BASE_VARIABLE_BYTES])
{
    struct list list = {variable, FM_BASE_VARIABLE_BYTES, 0};
    add(&list, "%s", FM_BASE_SETTING_PREFIX);
    for (const char *c = rows[key].name; *c != '\0'; c++)
        add(&list, "%c", upper(*c));
}

const char *fm_base_settings_name(enum fm_base_key key)
{
    return rows[key].name;
}

enum fm_base_key fm_base_settings_find(const char *name, size_t length)
{
    size_t key = 0;
    while (key < FM_BASE_KEYS &&
           (strlen(rows[key].name) != length || memcmp(rows[key].name, name, length) != 0))
        key++;
    return (enum fm_base_key)key;
}

enum fm_base_key fm_base_settings_find_variable(const char *name, size_t length)
{
    for (size_t key = 0; key < FM_BASE_KEYS; key++) {
        char variable[FM_BASE_VARIABLE_BYTES];
        fm_base_settings_variable((enum fm_base_key)key, variable);
        if (strlen(variable) == length && memcmp(variable, name, length) == 0)
            return (enum fm_base_key)key;
    }
    return FM_BASE_KEYS;
}

/* A name is near if about one letter in three is wrong at most. */
static bool is_near(size_t distance, const char *meant)
{
    return distance <= 1 + strlen(meant) / 4;
}

enum fm_base_key fm_base_settings_nearest(const char *name)
{
    enum fm_base_key nearest = FM_BASE_KEYS;
    size_t least = SIZE_MAX;
    for (size_t key = 0; key < FM_BASE_KEYS; key++) {
        const size_t distance = fm_base_text_distance(name, rows[key].name);
        if (distance < least && is_near(distance, rows[key].name)) {
            least = distance;
            nearest = (enum fm_base_key)key;
        }
    }
    return nearest;
}

/* ---- Values from text ----------------------------------------------------------------------------- */

static const struct word *find_word(const struct row *row, const char *text)
{
    for (const struct word *w = row->words; w->word != NULL; w++)
        if (strcasecmp(w->word, text) == 0)
            return w;
    return NULL;
}

static const char *nearest_word(const struct row *row, const char *text)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (const struct word *w = row->words; w->word != NULL; w++) {
        const size_t distance = fm_base_text_distance(text, w->word);
        if (distance < least && is_near(distance, w->word)) {
            least = distance;
            nearest = w->word;
        }
    }
    return nearest;
}

/* Digits only: no sign, no space, no fraction. */
static bool parse_number(const struct row *row, const char *text, int *number)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0' || digits > 9)
        return false;
    *number = atoi(text);
    return *number >= row->least && *number <= row->most;
}

static int fail_unknown_value(const struct row *row, const char *where, const char *text)
{
    char accepted[FM_BASE_LIST_BYTES];
    list_accepted(row, false, accepted);
    const char *meant = nearest_word(row, text);
    const char *comment = strchr(text, '#') != NULL ? " (a comment needs a line of its own)" : "";
    const char *cut = strlen(text) > SHOWN_BYTES ? "..." : "";
    if (meant == NULL)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "%s: unknown value '%.*s%s'%s; accepted: %s", where,
                            SHOWN_BYTES, text, cut, comment, accepted);
    return fm_base_fail(FASTMAP_ERR_CONFIG,
                        "%s: unknown value '%.*s%s'%s; did you mean '%s'? Accepted: %s", where,
                        SHOWN_BYTES, text, cut, comment, meant, accepted);
}

static int parse_word(const struct row *row, const char *where, const char *text, int *number)
{
    const struct word *word = find_word(row, text);
    if (word != NULL) {
        *number = word->value;
        return 0;
    }
    return parse_number(row, text, number) ? 0 : fail_unknown_value(row, where, text);
}

static int parse_text(enum fm_base_key key, int code, const char *where, const char *text)
{
    if (text[0] == '\0' && key != FM_BASE_KEY_SECRET)
        return fm_base_fail(code, "%s is empty; give a %s or leave it out", where,
                            rows[key].accepts);
    return rows[key].check != NULL ? rows[key].check(code, where, text) : 0;
}

int fm_base_settings_parse(enum fm_base_key key, const char *where, const char *text,
                           struct fm_base_value *value)
{
    if (rows[key].words != NULL)
        return parse_word(&rows[key], where, text, &value->number);
    const int rc = parse_text(key, FASTMAP_ERR_CONFIG, where, text);
    if (rc == 0)
        value->text = text;
    return rc;
}

/* ---- Values from and to structs ------------------------------------------------------------------- */

static bool is_accepted_number(const struct row *row, int number)
{
    for (const struct word *w = row->words; w->word != NULL; w++)
        if (w->value == number)
            return true;
    return row->most > 0 && number >= row->least && number <= row->most;
}

static int take_number(const struct row *row, const void *config, struct fm_base_value *value)
{
    int number;
    memcpy(&number, (const char *)config + row->in_config, sizeof number);
    if (number == 0)
        return 0;
    if (!is_accepted_number(row, number)) {
        char accepted[FM_BASE_LIST_BYTES];
        list_accepted(row, true, accepted);
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "the field %s of struct fastmap_config is %d; accepted: %s, or 0 to leave "
            "it to environment and file",
            row->name, number, accepted);
    }
    *value = (struct fm_base_value){.line = 1, .number = number};
    return 0;
}

static int take_text(enum fm_base_key key, const void *config, struct fm_base_value *value)
{
    char where[64];
    const char *text;
    memcpy(&text, (const char *)config + rows[key].in_config, sizeof text);
    if (text == NULL)
        return 0;
    snprintf(where, sizeof where, "the field %s of struct fastmap_config", rows[key].name);
    const int rc = parse_text(key, FASTMAP_ERR_ARGUMENT, where, text);
    if (rc == 0)
        *value = (struct fm_base_value){.line = 1, .text = text};
    return rc;
}

int fm_base_settings_take_struct(const struct fastmap_config *config, struct fm_base_layer *layer)
{
    int rc = 0;
    for (size_t key = 0; key < FM_BASE_KEYS && rc == 0; key++) {
        struct fm_base_value *value = &layer->values[key];
        rc = rows[key].words != NULL ? take_number(&rows[key], config, value)
                                     : take_text((enum fm_base_key)key, config, value);
    }
    return rc;
}

void fm_base_settings_take_defaults(struct fm_base_layer *layer)
{
    for (size_t key = 0; key < FM_BASE_KEYS; key++)
        if (rows[key].words != NULL)
            layer->values[key] = (struct fm_base_value){.line = 1, .number = rows[key].fallback};
}

int fm_base_settings_store(const struct fm_base_layer *layer, struct fm_base_settings *settings)
{
    int rc = 0;
    for (size_t key = 0; key < FM_BASE_KEYS && rc == 0; key++) {
        const struct row *row = &rows[key];
        void *field = (char *)settings + row->in_settings;
        if (row->words != NULL)
            memcpy(field, &layer->values[key].number, sizeof(int));
        else if (row->store != NULL)
            rc = row->store(layer->values[key].text, field);
    }
    return rc;
}

void fm_base_settings_free_texts(struct fm_base_settings *settings)
{
    for (size_t key = 0; key < FM_BASE_KEYS; key++)
        if (rows[key].store == store_text) {
            char *text;
            char *none = NULL;
            void *field = (char *)settings + rows[key].in_settings;
            memcpy(&text, field, sizeof text);
            free(text);
            memcpy(field, &none, sizeof none);
        }
}

/* ---- Documentation -------------------------------------------------------------------------------- */

static const char *default_word(const struct row *row)
{
    for (const struct word *w = row->words; w != NULL && w->word != NULL; w++)
        if (w->value == row->fallback)
            return w->word;
    return "none";
}

void fm_base_settings_print(FILE *to)
{
    for (size_t key = 0; key < FM_BASE_KEYS; key++) {
        const struct row *row = &rows[key];
        char variable[FM_BASE_VARIABLE_BYTES];
        char accepted[FM_BASE_LIST_BYTES];
        fm_base_settings_variable((enum fm_base_key)key, variable);
        list_accepted(row, false, accepted);
        fprintf(to, "%s\t%s\t%s\t%s\t%s\n", row->name, variable, accepted, default_word(row),
                row->doc);
    }
}
