/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session's settings: asked of the caller's struct, the environment and the configuration file, checked,
 * and resolved into plain values. settings_table.c has the one list of keys; fastmap.conf(5) tells users.
 */
#ifndef FM_BASE_SETTINGS_H
#define FM_BASE_SETTINGS_H

#include <fastmap.h>
#include <stdint.h>
#include <stdio.h>

/* Resolved: no field is "default" any more. */
struct fm_base_settings {
    char *secret; /* the token, from `secret` or out of `secret_file`; NULL: none. Never shown */
    enum fastmap_exec_policy exec_policy;
    enum fastmap_verbosity verbosity;
    int max_local_workers; /* 0: as many as there are cores to use */
    enum fastmap_bind bind;
    enum fastmap_progress progress;
    enum fastmap_ranks ranks;
    enum fastmap_workers workers;
    enum fastmap_verify verify;
    char *cloud_url; /* NULL: none, as with the next two */
    char *cloud_ca_file;
    char *cloud_pin;
    int64_t max_charge;    /* nano-dollars; -1: no limit */
    int max_cloud_workers; /* 0: as many as there are to be had */
    enum fastmap_confirm confirm_charges;
};

/*
 * Resolves config (NULL: says nothing) over the environment over the file over the defaults.
 * Returns 0, or with *out untouched ARGUMENT (the struct's values), CONFIG (the environment's and the
 * file's), SECRET (a file that holds a secret) or MEMORY. In a set-user-id program environment and file
 * are not read. Threads: any, as far as nobody changes the environment meanwhile.
 */
int fm_base_settings_load(const struct fastmap_config *config, struct fm_base_settings *out);

/* Wipes and frees the secret, frees the texts. For settings that were loaded; twice is harmless. */
void fm_base_settings_free(struct fm_base_settings *settings);

/* Prints the table, a line per key: key, variable, accepted values, default, explanation; by tabs. */
void fm_base_settings_print(FILE *to);

#endif
