/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of calls: a row each, as docs/PROTOCOL.md has them.
 */
#include <stddef.h>
#include <string.h>

#include "calls.h"

#define SETTING(name) .body = offsetof(struct fmd_config, name)

static const struct fmd_route routes[] = {
    {"GET", {"v1", "health"}, .is_open = true, .in_drain = true, .finish = fmd_call_health},
    {"GET", {"metrics"}, .is_open = true, .in_drain = true, .finish = fmd_call_metrics},
    {"GET", {"v1", "account"}, .in_drain = true, .finish = fmd_call_account},
    {"GET", {"v1", "blobs", "*"}, .finish = fmd_call_blob},
    {"PUT",
     {"v1", "blobs", "*"},
     {"size", "offset"},
     SETTING(part_bytes),
     .begin = fmd_call_part_begin,
     .receive = fmd_call_part_receive,
     .finish = fmd_call_part_finish,
     .forget = fmd_call_part_forget},
    {"POST", {"v1", "programs"}, .most = 1 << 20, .finish = fmd_call_program},
    {"POST", {"v1", "maps"}, .most = 1 << 16, .finish = fmd_call_map_open},
    {"GET", {"v1", "maps", "*"}, .in_drain = true, .finish = fmd_call_map_show},
    {"DELETE", {"v1", "maps", "*"}, .in_drain = true, .finish = fmd_call_map_close},
    {"POST",
     {"v1", "maps", "*", "spans", "*"},
     {"first", "count"},
     SETTING(span_bytes),
     .is_of_host = true,
     .begin = fmd_call_span_begin,
     .receive = fmd_call_span_receive,
     .finish = fmd_call_span_finish,
     .forget = fmd_call_span_forget},
};

static bool path_fits(const struct fmd_route *route, const struct fmd_target *target)
{
    size_t i = 0;
    for (; i < target->segments && route->path[i] != NULL; i++)
        if (strcmp(route->path[i], "*") != 0 && strcmp(route->path[i], target->segment[i]) != 0)
            return false;
    return i == target->segments && route->path[i] == NULL;
}

/* v2, v17: a version of another day. */
static bool is_version(const char *segment)
{
    return segment[0] == 'v' && segment[1] != '\0' &&
           strspn(segment + 1, "0123456789") == strlen(segment + 1);
}

const struct fmd_route *fmd_route_find(const char *method, const struct fmd_target *target,
                                       enum fmd_error *error)
{
    *error = is_version(target->segment[0]) && strcmp(target->segment[0], "v1") != 0
                 ? FMD_ERR_version
                 : FMD_ERR_route;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_fits(&routes[i], target))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
        *error = FMD_ERR_method;
    }
    return NULL;
}
