/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is on disk from before, and what goes. Files are named when they are complete and right, but a
 * machine that loses power may lose their bytes and keep their names. So while there are blobs that the
 * disk may not have, the file "unsynced" tells which boot they are of; who finds it after another boot
 * reads all blobs once, and removes those that are not what their name says.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "store_inside.h"
#include "wire/manifest.h"

#define UNSYNCED "unsynced"
#define PART_S 86400 /* after which an unfinished blob goes */

/* ---- Folders ---- */

/* Calls `visit` for each name in a folder. */
static void each(int folder, const char *name,
                 void (*visit)(int folder, const char *name, void *user), void *user)
{
    const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            visit(fd, entry->d_name, user);
    closedir(entries);
}

static void remove_entry(int folder, const char *name, void *user)
{
    (void)user;
    fmd_store_remove(folder, name);
}

void fmd_store_remove(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || (errno != EISDIR && errno != EPERM))
        return;
    each(folder, name, remove_entry, NULL);
    (void)unlinkat(folder, name, AT_REMOVEDIR);
}

/* ---- Power cuts ---- */

static bool read_boot(char boot[64])
{
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : read(fd, boot, 63);
    if (fd >= 0)
        close(fd);
    boot[got > 0 ? got : 0] = '\0';
    return got > 0;
}

void fmd_store_mark_unsynced(struct fmd_store *store)
{
    char boot[64];
    pthread_mutex_lock(&store->mutex);
    const int fd = store->unsynced_marked ? -1
                                          : openat(store->folder, UNSYNCED,
                                                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)read_boot(boot);
        store->unsynced_marked =
            write(fd, boot, strlen(boot)) == (ssize_t)strlen(boot) && fsync(fd) == 0;
        close(fd);
    }
    pthread_mutex_unlock(&store->mutex);
}

void fmd_store_sync(struct fmd_store *store)
{
    if (store->unsynced_marked && syncfs(store->folder) == 0)
        (void)unlinkat(store->folder, UNSYNCED, 0);
    store->unsynced_marked = false;
}

/* Whether the files may be other than their names say. */
static bool is_in_doubt(struct fmd_store *store)
{
    char now[64], then[64];
    const int fd = openat(store->folder, UNSYNCED, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t got = read(fd, then, sizeof then - 1);
    close(fd);
    then[got > 0 ? got : 0] = '\0';
    return !read_boot(now) || strcmp(now, then) != 0;
}

static bool has_digest(int folder, const char *name)
{
    uint8_t found[EVP_MAX_MD_SIZE];
    char hex[FMD_STORE_HEX], bytes[65536];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got = -1;
    bool fine = fd >= 0 && hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    while (fine && (got = read(fd, bytes, sizeof bytes)) > 0)
        fine = EVP_DigestUpdate(hash, bytes, (size_t)got) == 1;
    fine = fine && got == 0 && EVP_DigestFinal_ex(hash, found, NULL) == 1;
    if (fine)
        fm_wire_manifest_hex(found, hex);
    EVP_MD_CTX_free(hash);
    if (fd >= 0)
        close(fd);
    return fine && strcmp(hex, name) == 0;
}

/* ---- What is there ---- */

struct resuming {
    struct fmd_store *store;
    struct fmd_store_account *account;
    bool in_doubt;
    bool failed;
};

static uint64_t size_of(int folder, const char *name)
{
    struct stat status;
    return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)status.st_size : 0;
}

static void resume_file(int folder, const char *name, void *user)
{
    struct resuming *resuming = user;
    if (strlen(name) != FMD_STORE_HEX - 1 || (resuming->in_doubt && !has_digest(folder, name))) {
        fmd_store_remove(folder, name);
        return;
    }
    const uint64_t bytes = size_of(folder, name);
    resuming->account->bytes += bytes;
    resuming->store->bytes += bytes;
}

static bool read_hex(const char *hex, uint8_t sha256[FMD_STORE_SHA256])
{
    for (size_t i = 0; i < FMD_STORE_SHA256; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        sha256[i] = (uint8_t)byte;
    }
    return true;
}

static void resume_part(int folder, const char *name, void *user)
{
    struct resuming *resuming = user;
    struct fmd_store_incoming *incoming = calloc(1, sizeof *incoming);
    char *end = NULL;
    const bool is_part = strlen(name) > FMD_STORE_HEX && name[FMD_STORE_HEX - 1] == '-';
    const uint64_t bytes = is_part ? strtoull(name + FMD_STORE_HEX, &end, 10) : 0;
    if (incoming == NULL || !is_part || *end != '\0' || resuming->in_doubt ||
        size_of(folder, name) >= bytes || !read_hex(name, incoming->sha256)) {
        free(incoming);
        fmd_store_remove(folder, name);
        return;
    }
    incoming->bytes = bytes;
    incoming->have = size_of(folder, name);
    incoming->next = resuming->account->incoming;
    resuming->account->incoming = incoming;
    resuming->account->bytes += bytes;
    resuming->store->bytes += bytes;
}

/* Only what was never finished has another name. */
static void resume_tree(int folder, const char *name, void *user)
{
    const struct resuming *resuming = user;
    if (strlen(name) != FMD_STORE_HEX - 1 || resuming->in_doubt)
        fmd_store_remove(folder, name);
}

static void resume_account(int folder, const char *name, void *user)
{
    struct resuming *resuming = user;
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode))
        return;
    resuming->account = fmd_store_account_of(resuming->store, name);
    if (resuming->account == NULL) {
        resuming->failed = true;
        return;
    }
    const int within = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    each(within, "blobs", resume_file, resuming);
    each(within, "programs", resume_file, resuming);
    each(within, "parts", resume_part, resuming);
    each(within, "trees", resume_tree, resuming);
    close(within);
}

enum fmd_store_answer fmd_store_resume(struct fmd_store *store)
{
    struct resuming resuming = {.store = store, .in_doubt = is_in_doubt(store)};
    each(store->folder, ".", resume_account, &resuming);
    if (resuming.in_doubt && !resuming.failed)
        (void)unlinkat(store->folder, UNSYNCED, 0);
    return resuming.failed ? FMD_STORE_INTERNAL : FMD_STORE_OK;
}

/* ---- What goes ---- */

struct expiring {
    struct fmd_store *store;
    struct fmd_store_account *account;
    char place[FMD_STORE_NAME]; /* "<account>/<kind>" */
    time_t before;
};

static bool is_used(const struct expiring *expiring, const char *name)
{
    char root[4096];
    snprintf(root, sizeof root, "%s/%s/%s", expiring->store->path, expiring->place, name);
    for (const struct fmd_store_use *use = expiring->store->uses; use != NULL; use = use->next)
        if (use->count > 0 && strcmp(use->root, root) == 0)
            return true;
    return false;
}

static bool is_old(const struct expiring *expiring, int folder, const char *name, uint64_t *bytes)
{
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    *bytes = (uint64_t)status.st_size;
    return status.st_mtime < expiring->before;
}

static void expire_tree(int folder, const char *name, void *user)
{
    const struct expiring *expiring = user;
    uint64_t bytes;
    if (is_old(expiring, folder, name, &bytes) && !is_used(expiring, name))
        fmd_store_remove(folder, name);
}

static void expire_file(int folder, const char *name, void *user)
{
    const struct expiring *expiring = user;
    uint64_t bytes;
    if (is_old(expiring, folder, name, &bytes) && unlinkat(folder, name, 0) == 0)
        fmd_store_give(expiring->store, expiring->account, bytes);
}

static void expire_parts(struct fmd_store *store, struct fmd_store_account *account, time_t before)
{
    struct fmd_store_incoming **at = &account->incoming;
    while (*at != NULL) {
        struct fmd_store_incoming *incoming = *at;
        char digest[FMD_STORE_NAME], name[FMD_STORE_NAME];
        struct stat status;
        (void)fmd_store_name(digest, account->name, "parts", incoming->sha256);
        snprintf(name, sizeof name, "%.200s-%llu", digest, (unsigned long long)incoming->bytes);
        if (incoming->busy ||
            (fstatat(store->folder, name, &status, 0) == 0 && status.st_mtime >= before)) {
            at = &incoming->next;
            continue;
        }
        (void)unlinkat(store->folder, name, 0);
        fmd_store_give(store, account, incoming->bytes);
        *at = incoming->next;
        EVP_MD_CTX_free(incoming->hash);
        free(incoming);
    }
}

static void expire_kind(struct expiring *expiring, const char *kind,
                        void (*visit)(int folder, const char *name, void *user))
{
    snprintf(expiring->place, sizeof expiring->place, "%s/%s", expiring->account->name, kind);
    each(expiring->store->folder, expiring->place, visit, expiring);
}

void fmd_store_expire(struct fmd_store *store, uint64_t unused_s)
{
    const time_t now = time(NULL);
    struct expiring expiring = {.store = store, .before = now - (time_t)unused_s};
    pthread_mutex_lock(&store->staging);
    pthread_mutex_lock(&store->mutex);
    for (struct fmd_store_account *account = store->accounts; account != NULL;
         account = account->next) {
        expiring.account = account;
        expire_kind(&expiring, "trees", expire_tree);
        expire_kind(&expiring, "blobs", expire_file);
        expire_kind(&expiring, "programs", expire_file);
        expire_parts(store, account, now - PART_S);
    }
    pthread_mutex_unlock(&store->mutex);
    pthread_mutex_unlock(&store->staging);
}
