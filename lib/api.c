/* SPDX-License-Identifier: BSD-3-Clause */
/* The public calls. Arguments are checked where they are understood, in the engine. */
#include <fastmap.h>

#include "base/error.h"
#include "engine/engine.h"

#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

int fastmap(fastmap_func *func, const void *in, size_t in_size, void *out, size_t out_size,
            size_t n, const void *shared, size_t shared_size)
{
    /* Field by field: an initialiser would clear the struct first, which costs 10 ns. */
    struct fastmap_map map;
    map.size = sizeof map;
    map.func = func;
    map.block = NULL;
    map.in = in;
    map.in_size = in_size;
    map.out = out;
    map.out_size = out_size;
    map.n = n;
    map.shared = shared;
    map.shared_size = shared_size;
    map.label = NULL;
    map.on_error = FASTMAP_ON_ERROR_CONTINUE;
    map.element_seconds = 0;
    map.spread = FASTMAP_SPREAD_OWNED;
    map.workers = FASTMAP_WORKERS_DEFAULT;
    map.retries = 0;
    map.element_timeout = 0;
    map.verify = FASTMAP_VERIFY_DEFAULT;
    return fm_engine_run(NULL, &map, NULL);
}

int fastmap_run(const struct fastmap_map *map, struct fastmap_report *report)
{
    return fm_engine_run(NULL, map, report);
}

int fastmap_session_run(struct fastmap_session *session, const struct fastmap_map *map,
                        struct fastmap_report *report)
{
    return fm_engine_run(session, map, report);
}

int fastmap_estimate(struct fastmap_session *session, const struct fastmap_map *map,
                     struct fastmap_forecast *estimate)
{
    return fm_engine_estimate(session, map, estimate);
}

int fastmap_explain(const struct fastmap_report *report, char *text, size_t bytes)
{
    return fm_engine_explain(report, text, bytes);
}

size_t fastmap_index(void)
{
    return fm_engine_index();
}

int fastmap_set_comm_f(int fortran_comm)
{
    return fm_engine_set_comm(fortran_comm);
}

int fastmap_global_init(const struct fastmap_config *config)
{
    return fm_engine_global_make(config);
}

int fastmap_global_finalize(void)
{
    return fm_engine_global_end();
}

int fastmap_init(const struct fastmap_config *config, struct fastmap_session **session)
{
    if (session == NULL)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "session is NULL: pass the address of a struct fastmap_session pointer");
    return fm_engine_session_make(config, session);
}

int fastmap_finalize(struct fastmap_session *session)
{
    return session == NULL ? 0 : fm_engine_session_end(session);
}

const char *fastmap_strerror(int code)
{
    return fm_base_strerror(code);
}

const char *fastmap_last_error(void)
{
    return fm_base_last_error();
}

const char *fastmap_version(void)
{
    return VERSION_TEXT(FASTMAP_VERSION_MAJOR, FASTMAP_VERSION_MINOR, FASTMAP_VERSION_PATCH);
}

int fastmap_serve(void)
{
    return fm_engine_serve();
}
