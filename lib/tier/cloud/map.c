/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens and closes a map, and lets it rest in between: opening costs a round trip and the start of workers,
 * which a program that calls map after map should pay once. The program is offered only where the service
 * says that it lacks it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "program/companion.h"
#include "program/files.h"
#include "program/module.h"
#include "tier/cloud/cloud.h"
#include "tier/cloud/say.h"

/* What goes out to open one map. */
struct opening {
    const struct fm_tier_cloud_map *asked;
    struct fm_program program;
    struct fm_cloud_shared shared;
    char name[FM_SERVICE_HEX_BYTES]; /* of the program */
    char *module;                    /* as the manifest has it; "" for the executable */
    uint64_t offset;
    char *described; /* what the map is for */
    char *why;
};

/* ---- The program ------------------------------------------------------------------------------------- */

/* The path of the function's module in the shortest form, which the manifest has. */
static bool locate(struct opening *opening)
{
    struct fm_program_function *found = malloc(sizeof *found);
    if (found == NULL)
        return fm_cloud_say(opening->why, "no memory for the function's name; free some");
    bool good = fm_program_locate(opening->asked->function, found) == 0;
    if (!good)
        fm_cloud_say(opening->why, "%s", fm_base_last_error());
    opening->offset = found->offset;
    if (good)
        opening->module =
            found->module[0] != '\0' ? fm_program_files_absolute(found->module) : strdup("");
    free(found);
    if (good && opening->module == NULL)
        good = fm_cloud_say(opening->why, "no memory for the function's name; free some");
    return good;
}

static bool gather(struct opening *opening)
{
    char worker[PATH_MAX];
    if (!fm_program_companion("fastmap-worker.so", worker))
        return fm_cloud_say(opening->why, "%.150s is missing; install fastmap anew", worker);
    if (fm_program_gather(opening->asked->function, worker, &opening->program) != 0)
        return fm_cloud_say(opening->why, "%s", fm_base_last_error());
    fm_service_hex(opening->program.sha256, sizeof opening->program.sha256, opening->name);
    return locate(opening);
}

/* ---- Opening ----------------------------------------------------------------------------------------- */

static bool check_asked(const struct fm_tier_cloud_map *asked, char why[FM_TIER_CLOUD_WHY])
{
    if (asked->shared != NULL && asked->shared_size == 0)
        return fm_cloud_say(why, "shared has no size, so that it cannot be sent; pass its bytes");
    if (asked->budget <= 0 || asked->vcpus <= 0)
        return fm_cloud_say(why, "nothing may be spent on the map; raise max_charge");
    return true;
}

/* Whether the service says that it lacks something that it was thought to have. */
static bool is_lacking(const struct fm_cloud_call *call)
{
    static const char *const words[] = {"missing", "program", "blob"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (call->end == FM_CLOUD_REFUSED && strcmp(call->word, words[i]) == 0)
            return true;
    return false;
}

/* False with *lacking set: upload first. */
static bool ask(struct fm_cloud *cloud, struct opening *opening, struct fm_tier_cloud_grant *grant,
                bool *lacking)
{
    char *body = fm_cloud_terms_open(opening->described, opening->asked->budget);
    *lacking = false;
    if (body == NULL)
        return fm_cloud_say(opening->why, "no memory for a map in the cloud; free some");
    struct fm_cloud_call call = {.method = "POST",
                                 .target = "/v1/maps",
                                 .body = body,
                                 .body_bytes = strlen(body),
                                 .seconds = 2 * FM_CLOUD_CALL_S};
    fm_cloud_call_run(&cloud->line, &call);
    *lacking = is_lacking(&call);
    bool good = call.end == FM_CLOUD_GOOD;
    if (!good)
        fm_cloud_say(opening->why, "%s", call.why);
    else if (!fm_cloud_terms_grant(call.json, opening->asked, &cloud->map, grant))
        good = fm_cloud_say(opening->why,
                            "the map that %s grants makes no sense; update the service or fastmap",
                            cloud->line.url);
    fm_cloud_call_drop(&call);
    free(body);
    return good;
}

static bool describe(struct opening *opening)
{
    if (!fm_cloud_shared_wait(&opening->shared))
        return fm_cloud_say(opening->why, "the map was given up");
    if (opening->described == NULL)
        opening->described = fm_cloud_terms_describe(opening->asked, opening->name, opening->module,
                                                     opening->offset, opening->shared.name);
    return opening->described != NULL ||
           fm_cloud_say(opening->why, "no memory for a map in the cloud; free some");
}

/* The service has had most programs before, this one or an earlier process's, and then it takes one round
   trip; it says so where it lacks anything. */
static bool negotiate(struct fm_cloud *cloud, struct opening *opening,
                      struct fm_tier_cloud_grant *grant)
{
    bool lacking = false;
    if (!describe(opening))
        return false;
    if (ask(cloud, opening, grant, &lacking))
        return true;
    return lacking &&
           fm_cloud_upload(cloud, &opening->program, &opening->shared, grant, opening->why) &&
           ask(cloud, opening, grant, &lacking);
}

/* Goes on with a map that rests, if what is asked for is the same and may cost what is left of its hold. */
static bool take_up(struct fm_cloud *cloud, struct opening *opening,
                    struct fm_tier_cloud_grant *grant)
{
    struct fm_cloud_map *map = &cloud->map;
    const struct fm_tier_cloud_map *asked = opening->asked;
    const int64_t left = map->hold - map->spent;
    if (!map->rests || left < asked->resting_least || left > asked->resting_most ||
        !describe(opening) || strcmp(map->described, opening->described) != 0)
        return false;
    map->rests = false;
    map->before = map->spent;
    *grant = map->grant;
    return true;
}

static bool open_new(struct fm_cloud *cloud, struct opening *opening,
                     struct fm_tier_cloud_grant *grant)
{
    struct fm_cloud_map *map = &cloud->map;
    struct fm_tier_cloud_bill bill; /* nothing was spent while it rested */
    fm_cloud_map_close(cloud, &bill);
    memset(map, 0, sizeof *map); /* too large for a temporary */
    map->in_size = opening->asked->in_size;
    map->out_size = opening->asked->out_size;
    map->vcpus_most = opening->asked->vcpus;
    fm_cloud_warm_begin(cloud, opening->asked->vcpus);
    map->open = negotiate(cloud, opening, grant);
    map->grant = *grant;
    map->grant.uploaded = 0;
    map->grant.upload_bytes_per_s = 0;
    map->described = opening->described;
    opening->described = NULL;
    return map->open;
}

bool fm_cloud_map_open(struct fm_cloud *cloud, const struct fm_tier_cloud_map *asked,
                       struct fm_tier_cloud_grant *grant, char why[FM_TIER_CLOUD_WHY])
{
    struct opening opening = {.asked = asked, .why = why};
    why[0] = '\0';
    *grant = (struct fm_tier_cloud_grant){0};
    if (!check_asked(asked, why))
        return false;
    fm_cloud_shared_begin(&opening.shared, &cloud->line, asked->shared, asked->shared_size);
    const bool good =
        gather(&opening) && (take_up(cloud, &opening, grant) || open_new(cloud, &opening, grant));
    fm_cloud_shared_wait(&opening.shared);
    fm_program_free(&opening.program);
    free(opening.module);
    free(opening.described);
    return good;
}

/* ---- Closing ----------------------------------------------------------------------------------------- */

/* Where the caller has given up, the call is still made, but for a short time: what is held should come
   back, though it would by itself. */
void fm_cloud_map_close(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill)
{
    struct fm_cloud_map *map = &cloud->map;
    struct fm_cloud_call call = {.method = "DELETE", .seconds = FM_CLOUD_CALL_S};
    *bill = (struct fm_tier_cloud_bill){.charged = map->spent - map->before};
    fm_cloud_spans_drop(map);
    free(map->described);
    map->described = NULL;
    map->rests = false;
    if (!map->open)
        return;
    const struct fm_tier_cloud_service service = cloud->line.service;
    if (fm_cloud_line_gives_up(&cloud->line)) {
        cloud->line.service.give_up = NULL;
        cloud->line.service.patience = 0;
        call.seconds = FM_CLOUD_CLOSE_S;
    }
    snprintf(call.target, sizeof call.target, "/v1/maps/%s", map->id);
    fm_cloud_call_run(&cloud->line, &call);
    cloud->line.service = service;
    if (call.end == FM_CLOUD_GOOD)
        fm_cloud_terms_bill(call.json, map, bill);
    fm_cloud_call_drop(&call);
    map->open = false;
}

bool fm_cloud_map_rest(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill)
{
    struct fm_cloud_map *map = &cloud->map;
    if (!map->open || map->over || map->in_flight > 0)
        return false;
    *bill = (struct fm_tier_cloud_bill){.charged = map->spent - map->before};
    map->before = map->spent;
    map->rests = true;
    cloud->warm_s = fm_cloud_now();
    return true;
}
