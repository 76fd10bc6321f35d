/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides where settings come from and who wins: the caller's struct over the environment over the file
 * over the defaults. What a key accepts is the table's business, what a file looks like settings_file.c's.
 *
 * The first map of a program pays for this: one pass over the environment, one open() that mostly fails.
 */
#include "base/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/settings_file.h"
#include "base/settings_table.h"
#include "base/text.h"

/* What the struct ended with in version 0.1, padding included: callers built then pass this size. */
#define FIRST_END (offsetof(struct fastmap_config, progress) + sizeof(enum fastmap_progress))
#define FIRST_ALIGN alignof(struct fastmap_config)
#define FIRST_SIZE ((FIRST_END + FIRST_ALIGN - 1) / FIRST_ALIGN * FIRST_ALIGN)
_Static_assert(FIRST_SIZE <= sizeof(struct fastmap_config), "the struct only grows");

/* ---- The struct --------------------------------------------------------------------------------- */

static int load_struct(const struct fastmap_config *config, struct fm_base_layer *layer)
{
    struct fastmap_config known = {0}; /* fields that an older caller does not have stay 0 */
    if (config == NULL)
        return 0;
    if (config->size < FIRST_SIZE || config->size > sizeof known || config->size % FIRST_ALIGN != 0)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "the field size of struct fastmap_config is %zu, this library knows %zu "
            "to %zu; fill the struct with FASTMAP_CONFIG(), and run with the library "
            "that the program was built for or a newer one",
            config->size, (size_t)FIRST_SIZE, sizeof known);
    memcpy(&known, config, config->size);
    return fm_base_settings_take_struct(&known, layer);
}

/* ---- The environment ------------------------------------------------------------------------------ */

static int fail_unknown_variable(const char *name, size_t length)
{
    char unknown[FM_BASE_VARIABLE_BYTES];
    char meant_variable[FM_BASE_VARIABLE_BYTES];
    char keys[FM_BASE_LIST_BYTES];
    snprintf(unknown, sizeof unknown, "%.*s",
             (int)(length < sizeof unknown ? length : sizeof unknown), name);
    fm_base_settings_list(keys);
    const enum fm_base_key meant =
        fm_base_settings_nearest(unknown + strlen(FM_BASE_SETTING_PREFIX));
    if (meant == FM_BASE_KEYS)
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "unknown environment variable %s; unset it. Known: FASTMAP_ and, in upper "
            "case, config, %s",
            unknown, keys);
    fm_base_settings_variable(meant, meant_variable);
    return fm_base_fail(
        FASTMAP_ERR_CONFIG,
        "unknown environment variable %s; did you mean %s? Otherwise unset it. Known: "
        "FASTMAP_ and, in upper case, config, %s",
        unknown, meant_variable, keys);
}

/* FASTMAP_CONFIG is read elsewhere; FASTMAP_WORKER_... is between a process and its workers. */
static bool is_no_setting(const char *entry, size_t length)
{
    static const char config[] = FM_BASE_SETTING_PREFIX "CONFIG";
    static const char worker[] = FM_BASE_SETTING_PREFIX "WORKER_";
    return (length == sizeof config - 1 && memcmp(entry, config, length) == 0) ||
           strncmp(entry, worker, sizeof worker - 1) == 0;
}

/* One "NAME=value" whose name begins with FASTMAP_. An empty value says nothing. */
static int take_variable(const char *entry, struct fm_base_layer *layer)
{
    const size_t length = strcspn(entry, "=");
    if (is_no_setting(entry, length))
        return 0;
    const enum fm_base_key key = fm_base_settings_find_variable(entry, length);
    if (key == FM_BASE_KEYS)
        return fail_unknown_variable(entry, length);
    struct fm_base_value *value = &layer->values[key];
    if (entry[length] == '\0' || entry[length + 1] == '\0' || value->line != 0)
        return 0;
    char where[FM_BASE_VARIABLE_BYTES];
    fm_base_settings_variable(key, where);
    const int rc = fm_base_settings_parse(key, where, entry + length + 1, value);
    if (rc == 0)
        value->line = 1;
    return rc;
}

static int load_environment(struct fm_base_layer *layer)
{
    static const char prefix[] = FM_BASE_SETTING_PREFIX;
    int rc = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL && rc == 0; entry++)
        if (strncmp(*entry, prefix, sizeof prefix - 1) == 0)
            rc = take_variable(*entry, layer);
    return rc;
}

/* ---- The file ------------------------------------------------------------------------------------- */

/* A file's text; the layer made from it points into it. */
struct file {
    char path[PATH_MAX + 1]; /* a path cut to fit is still too long for open(), which says so */
    bool is_default;         /* nobody asked for it by name: it need not exist */
    char *text;              /* NULL: there is none */
    size_t length;
};

static const char *variable_value(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* False: there is nowhere to look. */
static bool find_path(struct file *file)
{
    const char *named = variable_value("FASTMAP_CONFIG");
    const char *xdg = variable_value("XDG_CONFIG_HOME");
    const char *home = variable_value("HOME");
    int length;
    file->is_default = named == NULL;
    if (named != NULL)
        length = snprintf(file->path, sizeof file->path, "%s", named);
    else if (xdg != NULL && xdg[0] == '/') /* its standard has relative ones ignored */
        length = snprintf(file->path, sizeof file->path, "%s/fastmap/config", xdg);
    else if (home != NULL)
        length = snprintf(file->path, sizeof file->path, "%s/.config/fastmap/config", home);
    else
        return false;
    return length > 0;
}

static int fail_to_read(const struct file *file)
{
    return fm_base_fail(FASTMAP_ERR_CONFIG, "cannot read the configuration file %s%s: %s; %s",
                        FM_BASE_PATH(file->path), strerror(errno),
                        file->is_default
                            ? "make it readable, or set FASTMAP_CONFIG=/dev/null to do "
                              "without one"
                            : "correct or unset FASTMAP_CONFIG");
}

static int read_text(int fd, struct file *file)
{
    while (file->length <= FM_BASE_FILE_MAX) {
        const ssize_t got =
            read(fd, file->text + file->length, FM_BASE_FILE_MAX + 1 - file->length);
        if (got == 0)
            return 0;
        if (got > 0)
            file->length += (size_t)got;
        else if (errno != EINTR)
            return fail_to_read(file);
    }
    return fm_base_fail(FASTMAP_ERR_CONFIG,
                        "the configuration file %s%s is larger than %zu bytes; shorten it",
                        FM_BASE_PATH(file->path), FM_BASE_FILE_MAX);
}

static int parse_opened(int fd, struct file *file, struct fm_base_layer *layer)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fail_to_read(file);
    int rc = read_text(fd, file);
    if (rc == 0)
        rc = fm_base_settings_parse_file(file->path, file->text, file->length, layer);
    if (rc == 0 && layer->values[FM_BASE_KEY_SECRET].line != 0)
        rc = fm_base_secret_check_file(file->path, &status);
    return rc;
}

static int load_file(struct file *file, struct fm_base_layer *layer)
{
    if (!find_path(file))
        return 0;
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return file->is_default && (errno == ENOENT || errno == ENOTDIR) ? 0 : fail_to_read(file);
    int rc;
    file->text = malloc(FM_BASE_FILE_MAX + 1);
    if (file->text == NULL)
        rc =
            fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to read the configuration file; free some");
    else
        rc = parse_opened(fd, file, layer);
    close(fd);
    return rc;
}

/* ---- Together ------------------------------------------------------------------------------------- */

/* From the strongest to the weakest. */
enum source { FROM_STRUCT, FROM_ENVIRONMENT, FROM_FILE, FROM_DEFAULTS, SOURCES };

/* Two secrets in one source are a mistake; in two sources the stronger wins, as for every key. */
static int check_one_secret(const struct fm_base_layer *layer, const char *source)
{
    if (layer->values[FM_BASE_KEY_SECRET].line == 0 ||
        layer->values[FM_BASE_KEY_SECRET_FILE].line == 0)
        return 0;
    return fm_base_fail(FASTMAP_ERR_CONFIG,
                        "%s sets both secret and secret_file; keep one of the two", source);
}

static int load_layers(const struct fastmap_config *config, struct fm_base_layer layers[SOURCES],
                       struct file *file)
{
    /* A set-user-id program's environment belongs to somebody whom its files may not be shown to. */
    const bool is_trusted = getauxval(AT_SECURE) == 0;
    fm_base_settings_take_defaults(&layers[FROM_DEFAULTS]);
    int rc = load_struct(config, &layers[FROM_STRUCT]);
    if (rc == 0)
        rc = check_one_secret(&layers[FROM_STRUCT], "struct fastmap_config");
    if (rc == 0 && is_trusted)
        rc = load_environment(&layers[FROM_ENVIRONMENT]);
    if (rc == 0)
        rc = check_one_secret(&layers[FROM_ENVIRONMENT], "the environment");
    if (rc == 0 && is_trusted)
        rc = load_file(file, &layers[FROM_FILE]);
    if (rc == 0)
        rc = check_one_secret(&layers[FROM_FILE], "the configuration file");
    return rc;
}

/* The secret of the strongest source that says one in either way. */
static int resolve_secret(const struct fm_base_layer layers[SOURCES], char **secret)
{
    for (size_t source = 0; source < SOURCES; source++) {
        const char *text = layers[source].values[FM_BASE_KEY_SECRET].text;
        const char *path = layers[source].values[FM_BASE_KEY_SECRET_FILE].text;
        if (path != NULL)
            return fm_base_secret_read(path, secret);
        if (text != NULL) {
            *secret = fm_base_secret_copy(text, strlen(text));
            return *secret != NULL ? 0 : FASTMAP_ERR_MEMORY;
        }
    }
    return 0;
}

static int resolve(const struct fm_base_layer layers[SOURCES], struct fm_base_settings *out)
{
    struct fm_base_layer merged = {0};
    struct fm_base_settings settings = {0};
    for (size_t source = SOURCES; source-- > 0;)
        for (size_t key = 0; key < FM_BASE_KEYS; key++)
            if (layers[source].values[key].line != 0)
                merged.values[key] = layers[source].values[key];
    int rc = resolve_secret(layers, &settings.secret);
    if (rc == 0)
        rc = fm_base_settings_store(&merged, &settings);
    if (rc == 0)
        *out = settings;
    else
        fm_base_settings_free(&settings);
    return rc;
}

int fm_base_settings_load(const struct fastmap_config *config, struct fm_base_settings *out)
{
    struct fm_base_layer layers[SOURCES] = {0};
    struct file file = {0};
    int rc = load_layers(config, layers, &file);
    if (rc == 0)
        rc = resolve(layers, out);
    if (file.text != NULL)
        explicit_bzero(file.text, file.length);
    free(file.text);
    return rc;
}

void fm_base_settings_free(struct fm_base_settings *settings)
{
    fm_base_secret_free(settings->secret);
    settings->secret = NULL;
    fm_base_settings_free_texts(settings);
}
