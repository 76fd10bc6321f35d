/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends what the service lacks: files of the program, which it tells when the manifest is offered, and the
 * shared block, which it is asked for. A few blobs are on their way at once, each in parts, one after the
 * other, from where an earlier attempt (or an earlier process) has got to.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tier/cloud/cloud.h"
#include "tier/cloud/say.h"

#define LANES 4
#define PART_MOST ((size_t)16 << 20)
#define RESTARTS 3
#define PROBE ((size_t)128 << 10) /* the first part, where it is not known whether to pack more */
#define BYTES_TO_TELL 65536 /* below, the time says more of the latency than of the bandwidth */

struct blob {
    char name[FM_SERVICE_HEX_BYTES];
    const char *shown;  /* for sentences */
    const char *source; /* the file; or ... */
    const void *memory; /* ... */
    uint64_t size, have;
    unsigned restarts;
    bool begun;
};

struct lane {
    struct blob *blob; /* NULL: nothing to do */
    int fd;
    void *buffer;
    size_t part;
    struct fm_cloud_call call;
};

struct upload {
    struct fm_cloud *cloud;
    struct blob *blobs;
    size_t count;
    size_t part_most;
    uint64_t sent, carried; /* of the blobs; by the connections */
    double begun;
    struct fm_service_press press;
    struct lane lanes[LANES];
    char *why;
};

/* ---- What is lacking --------------------------------------------------------------------------------- */

static bool add_blob(struct upload *upload, const struct blob *blob)
{
    struct blob *blobs = realloc(upload->blobs, (upload->count + 1) * sizeof *blobs);
    if (blobs == NULL)
        return fm_cloud_say(upload->why, "no memory for the list of what is uploaded; free some");
    upload->blobs = blobs;
    blobs[upload->count++] = *blob;
    if (blob->size > upload->cloud->limits.blob_bytes)
        return fm_cloud_say(upload->why,
                            "%s has more bytes than the service takes (%zu); make it smaller",
                            blob->shown, upload->cloud->limits.blob_bytes);
    return true;
}

/* Only what the manifest names is ever sent. */
static bool add_file(struct upload *upload, const struct fm_program *program, const json_t *missing)
{
    const char *name = json_string_value(json_object_get(missing, "digest"));
    struct blob blob = {.begun = false};
    int64_t have = 0;
    for (size_t i = 0; name != NULL && i < program->count; i++) {
        const struct fm_program_file *file = &program->files[i];
        fm_service_hex(file->sha256, sizeof file->sha256, blob.name);
        if (strcmp(blob.name, name) != 0)
            continue;
        if (file->bytes > 0 &&
            !fm_cloud_terms_integer(missing, "have", 0, (int64_t)file->bytes, &have))
            break;
        blob.shown = file->path;
        blob.source = file->source;
        blob.size = file->bytes;
        blob.have = (uint64_t)have;
        return add_blob(upload, &blob);
    }
    return fm_cloud_say(upload->why,
                        "the service at %s wants a file that the program has not; update it",
                        upload->cloud->line.url);
}

static bool list_files(struct upload *upload, const struct fm_program *program)
{
    struct fm_cloud_call call = {.method = "POST",
                                 .target = "/v1/programs",
                                 .body = program->manifest,
                                 .body_bytes = program->manifest_bytes,
                                 .seconds = FM_CLOUD_CALL_S};
    fm_cloud_call_run(&upload->cloud->line, &call);
    bool good = call.end == FM_CLOUD_GOOD;
    if (!good)
        fm_cloud_say(upload->why, "%s", call.why);
    const json_t *missing = json_object_get(call.json, "missing");
    for (size_t i = 0; good && i < json_array_size(missing); i++)
        good = add_file(upload, program, json_array_get(missing, i));
    fm_cloud_call_drop(&call);
    return good;
}

static bool list_shared(struct upload *upload, const struct fm_cloud_shared *shared)
{
    struct fm_cloud_call call = {.method = "GET", .seconds = FM_CLOUD_CALL_S};
    struct blob blob = {.shown = "the shared block", .memory = shared->bytes, .size = shared->size};
    int64_t have = 0;
    bool good = true;
    memcpy(blob.name, shared->name, sizeof blob.name);
    snprintf(call.target, sizeof call.target, "/v1/blobs/%s", shared->name);
    fm_cloud_call_run(&upload->cloud->line, &call);
    if (call.end == FM_CLOUD_GOOD)
        good = fm_cloud_terms_integer(call.json, "have", 0, (int64_t)shared->size, &have);
    else if (strcmp(call.word, "blob") != 0)
        good = fm_cloud_say(upload->why, "%s", call.why);
    blob.have = (uint64_t)have;
    if (good && !json_is_true(json_object_get(call.json, "complete")))
        good = add_blob(upload, &blob);
    fm_cloud_call_drop(&call);
    return good;
}

/* ---- Lanes ------------------------------------------------------------------------------------------- */

static bool read_part(struct lane *lane, const void **bytes)
{
    const struct blob *blob = lane->blob;
    size_t got = 0;
    if (blob->memory != NULL) {
        *bytes = (const char *)blob->memory + blob->have;
        return true;
    }
    if (lane->buffer == NULL && (lane->buffer = malloc(PART_MOST)) == NULL)
        return false;
    while (got < lane->part) {
        const ssize_t more = pread(lane->fd, (char *)lane->buffer + got, lane->part - got,
                                   (off_t)(blob->have + got));
        if (more <= 0 && errno != EINTR)
            return false;
        got += more > 0 ? (size_t)more : 0;
    }
    *bytes = lane->buffer;
    return true;
}

/* The first parts of all tell how fast the link is, which decides whether the others are packed. */
static size_t part_size(const struct upload *upload, uint64_t left)
{
    const struct fm_cloud_line *line = &upload->cloud->line;
    const bool probes = line->packs && line->up_rate <= 0 && left > 8 * PROBE;
    const size_t most = probes && PROBE < upload->part_most ? PROBE : upload->part_most;
    return left < most ? (size_t)left : most;
}

static void take_rate(struct upload *upload, const struct fm_cloud_call *call)
{
    struct fm_cloud_line *line = &upload->cloud->line;
    const double seconds = fm_cloud_now() - upload->begun - line->round_trip;
    upload->carried += fm_cloud_call_bytes(call);
    if (upload->carried >= BYTES_TO_TELL)
        line->up_rate = (double)upload->carried / (seconds > 1e-6 ? seconds : 1e-6);
}

static bool send_part(struct upload *upload, struct lane *lane)
{
    const struct blob *blob = lane->blob;
    const void *bytes;
    lane->part = part_size(upload, blob->size - blob->have);
    if (!read_part(lane, &bytes))
        return fm_cloud_say(upload->why, "%.120s cannot be read for the upload; check it",
                            blob->shown);
    lane->call = (struct fm_cloud_call){
        .method = "PUT", .body = bytes, .body_bytes = lane->part, .seconds = FM_CLOUD_PART_S};
    snprintf(lane->call.target, sizeof lane->call.target,
             "/v1/blobs/%s?size=%" PRIu64 "&offset=%" PRIu64, blob->name, blob->size, blob->have);
    return fm_cloud_call_begin(&upload->cloud->line, &lane->call, &upload->press);
}

/* Takes the next blob into the lane, if there is one. */
static bool next_blob(struct upload *upload, struct lane *lane)
{
    if (lane->fd >= 0)
        close(lane->fd);
    lane->fd = -1;
    lane->blob = NULL;
    for (size_t i = 0; i < upload->count && lane->blob == NULL; i++)
        if (!upload->blobs[i].begun)
            lane->blob = &upload->blobs[i];
    if (lane->blob == NULL)
        return true;
    lane->blob->begun = true;
    if (lane->blob->source != NULL)
        lane->fd = open(lane->blob->source, O_RDONLY | O_CLOEXEC);
    return send_part(upload, lane);
}

/* The service says where the next part begins: after this one, or elsewhere where it knows better. */
static bool after_part(struct upload *upload, struct lane *lane)
{
    struct blob *blob = lane->blob;
    const struct fm_cloud_call *call = &lane->call;
    const bool elsewhere = call->end == FM_CLOUD_REFUSED && strcmp(call->word, "offset") == 0;
    int64_t have;
    if (call->end != FM_CLOUD_GOOD && !elsewhere)
        return fm_cloud_say(upload->why, "%s", call->why);
    if (!fm_cloud_terms_integer(call->json, "have", 0, (int64_t)blob->size, &have) ||
        (!elsewhere && (uint64_t)have != blob->have + lane->part) ||
        (elsewhere && blob->restarts++ >= RESTARTS))
        return fm_cloud_say(
            upload->why,
            "%.120s does not arrive whole at the service; check that nobody changes it",
            blob->shown);
    upload->sent += elsewhere ? 0 : lane->part;
    if (!elsewhere)
        take_rate(upload, call);
    blob->have = (uint64_t)have;
    const bool complete = !elsewhere && blob->have == blob->size;
    fm_cloud_call_drop(&lane->call);
    return complete ? next_blob(upload, lane) : send_part(upload, lane);
}

/* False where one lane has failed; *busy: there is more to do. */
static bool advance(struct upload *upload, bool *busy)
{
    *busy = false;
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &upload->lanes[i];
        if (lane->blob != NULL && lane->call.end != FM_CLOUD_RUNS && !after_part(upload, lane))
            return false;
        *busy = *busy || lane->blob != NULL;
    }
    return true;
}

static bool send_blobs(struct upload *upload)
{
    bool busy = true;
    for (size_t i = 0; i < LANES; i++)
        if (!next_blob(upload, &upload->lanes[i]))
            return false;
    while (advance(upload, &busy)) {
        if (!busy)
            return true;
        if (fm_cloud_line_gives_up(&upload->cloud->line))
            return fm_cloud_say(upload->why, "the upload was given up");
        fm_cloud_call_drive(&upload->cloud->line, fm_cloud_now() + 1);
    }
    return false;
}

static void end_lanes(struct upload *upload)
{
    for (size_t i = 0; i < LANES; i++) {
        struct lane *lane = &upload->lanes[i];
        fm_cloud_call_drop(&lane->call);
        if (lane->fd >= 0)
            close(lane->fd);
        free(lane->buffer);
    }
}

bool fm_cloud_upload(struct fm_cloud *cloud, const struct fm_program *program,
                     struct fm_cloud_shared *shared, struct fm_tier_cloud_grant *grant,
                     char why[FM_TIER_CLOUD_WHY])
{
    struct upload upload = {.cloud = cloud, .why = why};
    const size_t most = cloud->limits.part_bytes;
    upload.part_most = most < PART_MOST ? most : PART_MOST;
    for (size_t i = 0; i < LANES; i++)
        upload.lanes[i].fd = -1;
    bool good = list_files(&upload, program);
    if (good && shared->bytes != NULL)
        good = fm_cloud_shared_wait(shared) ? list_shared(&upload, shared)
                                            : fm_cloud_say(why, "the upload was given up");
    upload.begun = fm_cloud_now();
    good = good && send_blobs(&upload);
    const double seconds = fm_cloud_now() - upload.begun;
    end_lanes(&upload);
    free(upload.blobs);
    grant->uploaded += upload.sent;
    if (upload.carried >= BYTES_TO_TELL && seconds > 0)
        grant->upload_bytes_per_s = (double)upload.carried / seconds;
    return good;
}
