/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A store in memory, for tests of the daemon with fake_pool.c: every manifest is a program, and needs the
 * blobs whose digests stand on its lines.
 */
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../launchers/fastmapd/store.h"
#include "base/error.h"
#include "service/hex.h"

struct thing {
    char account[FMD_STORE_ACCOUNT];
    uint8_t sha256[FMD_STORE_SHA256];
    bool is_program, is_busy;
    uint64_t bytes, have;
    char *contents;
    struct thing *next;
};

struct fmd_store {
    pthread_mutex_t mutex; /* protects all things but the contents of busy ones */
    struct fmd_store_limits limits;
    struct thing *first;
};

struct fmd_store_part {
    struct fmd_store *store;
    struct thing *thing;
    uint64_t begin, end;
};

enum fmd_store_answer fmd_store_open(const char *folder, const struct fmd_store_limits *limits,
                                     struct fmd_store **store)
{
    (void)folder;
    *store = calloc(1, sizeof **store);
    if (*store == NULL)
        return FMD_STORE_INTERNAL;
    (*store)->limits = *limits;
    pthread_mutex_init(&(*store)->mutex, NULL);
    return FMD_STORE_OK;
}

void fmd_store_close(struct fmd_store *store)
{
    for (struct thing *thing = store->first, *next; thing != NULL; thing = next) {
        next = thing->next;
        free(thing->contents);
        free(thing);
    }
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

/* The mutex is held. */
static struct thing *find(struct fmd_store *store, const char *account, const uint8_t *sha256,
                          bool is_program)
{
    struct thing *thing = store->first;
    while (thing != NULL &&
           (thing->is_program != is_program || strcmp(thing->account, account) != 0 ||
            memcmp(thing->sha256, sha256, FMD_STORE_SHA256) != 0))
        thing = thing->next;
    return thing;
}

static struct thing *add(struct fmd_store *store, const char *account, const uint8_t *sha256,
                         uint64_t bytes)
{
    struct thing *thing = calloc(1, sizeof *thing);
    if (thing == NULL || (thing->contents = malloc(bytes + 1)) == NULL) {
        free(thing);
        return NULL;
    }
    snprintf(thing->account, sizeof thing->account, "%s", account);
    memcpy(thing->sha256, sha256, FMD_STORE_SHA256);
    thing->bytes = bytes;
    thing->next = store->first;
    store->first = thing;
    return thing;
}

static void remove_thing(struct fmd_store *store, struct thing *thing)
{
    struct thing **at = &store->first;
    while (*at != thing)
        at = &(*at)->next;
    *at = thing->next;
    free(thing->contents);
    free(thing);
}

static struct fmd_store_blob told(const struct thing *thing)
{
    return (struct fmd_store_blob){thing->bytes, thing->have,
                                   thing->have == thing->bytes && !thing->is_busy};
}

enum fmd_store_answer fmd_store_find(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256],
                                     struct fmd_store_blob *blob)
{
    pthread_mutex_lock(&store->mutex);
    const struct thing *thing = find(store, account, sha256, false);
    if (thing != NULL)
        *blob = told(thing);
    pthread_mutex_unlock(&store->mutex);
    return thing != NULL ? FMD_STORE_OK : FMD_STORE_NONE;
}

enum fmd_store_answer fmd_store_read(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256], int *fd,
                                     uint64_t *bytes)
{
    enum fmd_store_answer answer = FMD_STORE_NONE;
    pthread_mutex_lock(&store->mutex);
    const struct thing *thing = find(store, account, sha256, false);
    if (thing != NULL && told(thing).complete) {
        *fd = memfd_create("blob", MFD_CLOEXEC);
        *bytes = thing->bytes;
        answer = *fd >= 0 && write(*fd, thing->contents, thing->bytes) == (ssize_t)thing->bytes
                     ? FMD_STORE_OK
                     : FMD_STORE_INTERNAL;
    }
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

enum fmd_store_answer fmd_store_part_begin(struct fmd_store *store, const char *account,
                                           const uint8_t sha256[FMD_STORE_SHA256], uint64_t bytes,
                                           uint64_t offset, uint64_t part_bytes,
                                           struct fmd_store_part **part,
                                           struct fmd_store_blob *found)
{
    enum fmd_store_answer answer = FMD_STORE_OK;
    *part = NULL;
    if (bytes > store->limits.blob_bytes)
        return FMD_STORE_SIZE;
    pthread_mutex_lock(&store->mutex);
    struct thing *thing = find(store, account, sha256, false);
    if (thing == NULL)
        thing = add(store, account, sha256, bytes);
    *found = told(thing);
    if (thing->is_busy)
        answer = FMD_STORE_BUSY;
    else if (thing->bytes != bytes)
        answer = FMD_STORE_SIZE;
    else if (!found->complete && thing->have != offset)
        answer = FMD_STORE_OFFSET;
    else if (!found->complete && (*part = calloc(1, sizeof **part)) != NULL) {
        thing->is_busy = true;
        **part = (struct fmd_store_part){store, thing, offset, offset + part_bytes};
    }
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

enum fmd_store_answer fmd_store_part_write(struct fmd_store_part *part, const void *bytes,
                                           size_t count)
{
    struct thing *thing = part->thing;
    if (count > part->end - thing->have)
        return FMD_STORE_SIZE;
    memcpy(thing->contents + thing->have, bytes, count);
    thing->have += count;
    return FMD_STORE_OK;
}

enum fmd_store_answer fmd_store_part_end(struct fmd_store_part *part, bool keep,
                                         struct fmd_store_blob *found)
{
    struct fmd_store *store = part->store;
    struct thing *thing = part->thing;
    uint8_t sha256[FMD_STORE_SHA256];
    enum fmd_store_answer answer = FMD_STORE_OK;
    pthread_mutex_lock(&store->mutex);
    thing->is_busy = false;
    if (!keep)
        thing->have = part->begin;
    *found = told(thing);
    if (found->complete && memcmp(SHA256((unsigned char *)thing->contents, thing->bytes, sha256),
                                  thing->sha256, sizeof sha256) != 0) {
        remove_thing(store, thing);
        answer = FMD_STORE_DIGEST;
    }
    pthread_mutex_unlock(&store->mutex);
    free(part);
    return answer;
}

/* The digests on the program's lines that are not there. */
static enum fmd_store_answer list_missing(struct fmd_store *store, const struct thing *program,
                                          struct fmd_store_missing **missing, size_t *count)
{
    *count = 0;
    *missing = calloc(program->bytes / 64 + 1, sizeof **missing);
    for (const char *at = program->contents; strlen(at) >= 64; at += 65) {
        char text[FM_SERVICE_HEX_BYTES];
        struct fmd_store_missing *m = &(*missing)[*count];
        memcpy(text, at, 64);
        text[64] = '\0';
        if (!fm_service_unhex(text, FMD_STORE_SHA256, m->sha256))
            return FMD_STORE_MANIFEST;
        const struct thing *blob = find(store, program->account, m->sha256, false);
        *count += blob == NULL || !told(blob).complete;
        if (strlen(at) == 64)
            break;
    }
    return *count > 0 ? FMD_STORE_MISSING : FMD_STORE_OK;
}

enum fmd_store_answer fmd_store_program(struct fmd_store *store, const char *account,
                                        const char *manifest, size_t length,
                                        uint8_t program[FMD_STORE_SHA256],
                                        struct fmd_store_missing **missing, size_t *count)
{
    SHA256((const unsigned char *)manifest, length, program);
    if (length == 0)
        return fm_base_fail(0, "line 1: the manifest is empty"), FMD_STORE_MANIFEST;
    pthread_mutex_lock(&store->mutex);
    struct thing *thing = find(store, account, program, true);
    if (thing == NULL) {
        thing = add(store, account, program, length);
        thing->is_program = true;
        memcpy(thing->contents, manifest, length);
        thing->contents[length] = '\0';
    }
    const enum fmd_store_answer answer = list_missing(store, thing, missing, count);
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

enum fmd_store_answer fmd_store_stage(struct fmd_store *store, const char *account,
                                      const uint8_t program[FMD_STORE_SHA256],
                                      struct fmd_tree **tree, struct fmd_store_missing **missing,
                                      size_t *count)
{
    enum fmd_store_answer answer = FMD_STORE_NONE;
    pthread_mutex_lock(&store->mutex);
    const struct thing *thing = find(store, account, program, true);
    if (thing != NULL)
        answer = list_missing(store, thing, missing, count);
    pthread_mutex_unlock(&store->mutex);
    if (answer == FMD_STORE_OK) {
        free(*missing);
        *missing = NULL;
        *tree = calloc(1, sizeof **tree);
    }
    return answer;
}

void fmd_store_drop(struct fmd_tree *tree)
{
    free(tree);
}

void fmd_store_expire(struct fmd_store *store, uint64_t unused_s)
{
    (void)store, (void)unused_s;
}

uint64_t fmd_store_bytes(struct fmd_store *store, const char *account)
{
    (void)store, (void)account;
    return 0;
}
