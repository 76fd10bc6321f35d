/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of settings, and values as one source gave them. Internal to the settings: other code sees
 * settings.h only.
 *
 * To add a setting: a field in struct fastmap_config and in struct fm_base_settings, a name in enum
 * fm_base_key, a row in settings_table.c, an entry in docs/man/fastmap.conf.5. Nothing else.
 */
#ifndef FM_BASE_SETTINGS_TABLE_H
#define FM_BASE_SETTINGS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/settings.h"

enum fm_base_key {
    FM_BASE_KEY_SECRET,
    FM_BASE_KEY_SECRET_FILE,
    FM_BASE_KEY_EXEC_POLICY,
    FM_BASE_KEY_VERBOSITY,
    FM_BASE_KEY_MAX_LOCAL_WORKERS,
    FM_BASE_KEY_BIND,
    FM_BASE_KEY_PROGRESS,
    FM_BASE_KEY_RANKS,
    FM_BASE_KEY_WORKERS,
    FM_BASE_KEY_VERIFY,
    FM_BASE_KEY_CLOUD_URL,
    FM_BASE_KEY_CLOUD_CA_FILE,
    FM_BASE_KEY_CLOUD_PIN,
    FM_BASE_KEY_MAX_CLOUD_WORKERS,
    FM_BASE_KEY_MAX_CHARGE,
    FM_BASE_KEY_CONFIRM_CHARGES,
    FM_BASE_KEYS /* how many; as an answer: no such key */
};

#define FM_BASE_SETTING_PREFIX "FASTMAP_"

/* A value as a source gave it. The text still belongs to the source. */
struct fm_base_value {
    unsigned
        line;   /* in a file, from 1; 1 in other sources; 0: the source says nothing of this key */
    int number; /* of a key whose values are words or numbers */
    const char *text; /* of a key whose value is text */
};

/* All that one source says. */
struct fm_base_layer {
    struct fm_base_value values[FM_BASE_KEYS];
};

/* The key of that name (length bytes, lower case), or of that environment variable. */
enum fm_base_key fm_base_settings_find(const char *name, size_t length);
enum fm_base_key fm_base_settings_find_variable(const char *name, size_t length);

#define FM_BASE_VARIABLE_BYTES 64

/* A key's name, and its variable: FASTMAP_ and the name in upper case. */
const char *fm_base_settings_name(enum fm_base_key key);
void fm_base_settings_variable(enum fm_base_key key, char variable[FM_BASE_VARIABLE_BYTES]);

/* The key that was probably meant by an unknown name, or FM_BASE_KEYS. */
enum fm_base_key fm_base_settings_nearest(const char *name);

#define FM_BASE_LIST_BYTES 224

/* Writes "secret, secret_file, ...": all keys. */
void fm_base_settings_list(char text[FM_BASE_LIST_BYTES]);

/* Checks a text and sets value->number or value->text. `where` begins the sentence of the CONFIG error:
   the file and line, or the variable. A text that might be a secret is not shown. */
int fm_base_settings_parse(enum fm_base_key key, const char *where, const char *text,
                           struct fm_base_value *value);

/* Takes what the struct says, which must have the size of this library's; ARGUMENT if out of range. */
int fm_base_settings_take_struct(const struct fastmap_config *config, struct fm_base_layer *layer);

/* The defaults as a layer that says everything but the secrets. */
void fm_base_settings_take_defaults(struct fm_base_layer *layer);

/* Stores the values of a layer, but for the secret, in the fields of settings; texts are copied. MEMORY: the
   caller frees what was stored. */
int fm_base_settings_store(const struct fm_base_layer *layer, struct fm_base_settings *settings);

/* Frees the texts that store() made. */
void fm_base_settings_free_texts(struct fm_base_settings *settings);

#endif
