/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: a map's life, from arguments to report, and the sessions that maps run in. The one place
 * where the scheduler's decisions meet the tiers that carry them out.
 */
#ifndef FM_ENGINE_ENGINE_H
#define FM_ENGINE_ENGINE_H

#include <fastmap.h>
#include <stdbool.h>

#include "base/settings.h"

struct fm_engine_cloud;

struct fastmap_session {
    struct fm_base_settings settings;
    bool terminal;                 /* standard error can show a status line */
    struct fm_engine_cloud *cloud; /* made when it is first looked for; NULL: not yet, or none */
    fastmap_confirm_func *confirm; /* NULL: the terminal */
    void *confirm_context;
    _Atomic bool no_cloud; /* it was looked for in vain */
};

/* Sessions: see fastmap.h for what the public calls promise. */
int fm_engine_session_make(const struct fastmap_config *config, struct fastmap_session **session);
int fm_engine_session_end(struct fastmap_session *session);
int fm_engine_global_make(const struct fastmap_config *config);
int fm_engine_global_end(void);

/* The process-wide session, made from environment and file if there is none. NULL: an error has been
   recorded, its code is in *error. */
struct fastmap_session *fm_engine_global(int *error);

/* Threads that the session's maps may use. */
int fm_engine_width(const struct fastmap_session *session);

/* Runs a map; session NULL: the process-wide one. */
int fm_engine_run(struct fastmap_session *session, const struct fastmap_map *map,
                  struct fastmap_report *report);

/* What a map would take: see fastmap_estimate(). */
int fm_engine_estimate(struct fastmap_session *session, const struct fastmap_map *map,
                       struct fastmap_forecast *estimate);

/* A report in words: see fastmap_explain(). */
int fm_engine_explain(const struct fastmap_report *report, char *text, size_t bytes);

/* The communicator that maps are over, by its Fortran handle: see fastmap_set_comm_f(). */
int fm_engine_set_comm(int handle);

/* Computes what others ask for: see fastmap_serve(). */
int fm_engine_serve(void);

/* The element that the calling thread computes; SIZE_MAX outside maps. */
size_t fm_engine_index(void);

#endif
