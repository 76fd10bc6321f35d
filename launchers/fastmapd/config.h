/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The settings of fastmapd: one table (config_table.c) that the file, the flags, --help and the man page
 * go by. A flag wins over the file, the file over the default.
 */
#ifndef FMD_CONFIG_H
#define FMD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FMD_CONFIG_TEXT 512 /* bytes of a text value, its NUL included */

enum fmd_metrics { FMD_METRICS_LOOPBACK, FMD_METRICS_ALL, FMD_METRICS_OFF };
enum fmd_log_level { FMD_LOG_ERROR, FMD_LOG_INFO, FMD_LOG_DEBUG };

struct fmd_config {
    char state[FMD_CONFIG_TEXT];
    char ledger[FMD_CONFIG_TEXT]; /* "": in the state folder */
    char listen[FMD_CONFIG_TEXT];
    char certificate[FMD_CONFIG_TEXT]; /* "": made in the state folder */
    char key[FMD_CONFIG_TEXT];
    int64_t port; /* 0: the system chooses */
    int64_t price;
    int64_t first_credit;
    int64_t hold_least;
    int64_t vcpus; /* 0: one for each processor */
    int64_t connections, connections_address;
    int64_t header_s, body_s, request_s, keep_s, drain_s;
    int64_t lease_s, skew_s, attempts;
    int64_t blob_bytes, part_bytes, account_bytes, store_bytes;
    int64_t span_bytes, spans_in_flight, spans_map, kept_bytes;
    int64_t maps_account, map_idle_s, span_s, worker_bytes, workers_bytes, worker_idle_s;
    int64_t metrics;    /* enum fmd_metrics */
    int64_t log;        /* enum fmd_log_level */
    int64_t unconfined; /* run_programs_without_a_sandbox */
};

/* All defaults. */
void fmd_config_default(struct fmd_config *config);

/* Sets one key from text; `where` begins the sentence. CONFIG if the key or the value is wrong. */
int fmd_config_set(struct fmd_config *config, const char *where, const char *key,
                   const char *value);

/* Reads "key = value" lines (length bytes, no NUL needed) over config; # begins a comment. CONFIG names the
   line. */
int fmd_config_parse(struct fmd_config *config, const char *name, const char *text, size_t length);

/* The file, which nobody but its owner may change. */
int fmd_config_read(struct fmd_config *config, const char *path);

/* Takes --key=value and --key value (and --config FILE first of all) out of argv; what is left are commands.
   argc and argv are changed. */
int fmd_config_flags(struct fmd_config *config, int *argc, char **argv);

/* Combinations that make no sense. */
int fmd_config_check(const struct fmd_config *config);

/* A line for each key: key, accepted values, default, explanation; by tabs. */
void fmd_config_print(FILE *to);

#endif
