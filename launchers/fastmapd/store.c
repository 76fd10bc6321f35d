/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store: whose what is, how much room it takes, what is there. store_parts.c receives blobs, tree.c
 * makes programs of them, store_old.c has what a former process left and what goes.
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store_inside.h"
#include "wire/manifest.h"

/* ---- Names and room ---- */

static bool is_account(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strspn(name, letters);
    return length > 0 && length < FMD_STORE_ACCOUNT && name[length] == '\0' && name[0] != '.';
}

bool fmd_store_name(char name[FMD_STORE_NAME], const char *account, const char *kind,
                    const uint8_t sha256[FMD_STORE_SHA256])
{
    char hex[FMD_STORE_HEX];
    fm_wire_manifest_hex(sha256, hex);
    return is_account(account) &&
           snprintf(name, FMD_STORE_NAME, "%s/%s/%s", account, kind, hex) < FMD_STORE_NAME;
}

enum fmd_store_answer fmd_store_errno(const char *what)
{
    const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    (void)fm_base_fail(FASTMAP_ERR_STATE, "%s: %s", what, strerror(errno));
    return full ? FMD_STORE_STORAGE : FMD_STORE_INTERNAL;
}

static bool make_folders(struct fmd_store *store, const char *account)
{
    static const char *const kinds[] = {"", "/blobs", "/parts", "/programs", "/trees"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[FMD_STORE_NAME];
        snprintf(name, sizeof name, "%s%s", account, kinds[i]);
        if (mkdirat(store->folder, name, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return true;
}

struct fmd_store_account *fmd_store_account_of(struct fmd_store *store, const char *name)
{
    for (struct fmd_store_account *account = store->accounts; account != NULL;
         account = account->next)
        if (strcmp(account->name, name) == 0)
            return account;
    if (!is_account(name)) {
        (void)fm_base_fail(FASTMAP_ERR_ARGUMENT, "there can be no account of that name");
        return NULL;
    }
    struct fmd_store_account *account = calloc(1, sizeof *account);
    if (account == NULL || !make_folders(store, name)) {
        (void)fmd_store_errno("the folders of an account cannot be made");
        free(account);
        return NULL;
    }
    snprintf(account->name, sizeof account->name, "%s", name);
    account->next = store->accounts;
    store->accounts = account;
    return account;
}

bool fmd_store_take(struct fmd_store *store, struct fmd_store_account *account, uint64_t bytes)
{
    if (bytes > store->limits.account_bytes ||
        account->bytes > store->limits.account_bytes - bytes || bytes > store->limits.store_bytes ||
        store->bytes > store->limits.store_bytes - bytes) {
        (void)fm_base_fail(FASTMAP_ERR_STATE,
                           "the room for blobs is used up: unused ones go after some days");
        return false;
    }
    account->bytes += bytes;
    store->bytes += bytes;
    return true;
}

void fmd_store_give(struct fmd_store *store, struct fmd_store_account *account, uint64_t bytes)
{
    account->bytes -= bytes;
    store->bytes -= bytes;
}

uint64_t fmd_store_bytes(struct fmd_store *store, const char *name)
{
    uint64_t bytes = 0;
    pthread_mutex_lock(&store->mutex);
    for (struct fmd_store_account *account = store->accounts; account != NULL;
         account = account->next)
        if (strcmp(account->name, name) == 0)
            bytes = account->bytes;
    pthread_mutex_unlock(&store->mutex);
    return bytes;
}

/* ---- Looking ---- */

struct fmd_store_incoming *fmd_store_incoming_of(struct fmd_store_account *account,
                                                 const uint8_t sha256[FMD_STORE_SHA256])
{
    struct fmd_store_incoming *incoming = account->incoming;
    while (incoming != NULL && memcmp(incoming->sha256, sha256, FMD_STORE_SHA256) != 0)
        incoming = incoming->next;
    return incoming;
}

void fmd_store_look(struct fmd_store *store, const char *name,
                    const uint8_t sha256[FMD_STORE_SHA256], struct fmd_store_blob *blob)
{
    char path[FMD_STORE_NAME];
    struct stat status;
    *blob = (struct fmd_store_blob){0};
    if (!fmd_store_name(path, name, "blobs", sha256))
        return;
    if (fstatat(store->folder, path, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        blob->bytes = blob->have = (uint64_t)status.st_size;
        blob->complete = true;
        return;
    }
    for (struct fmd_store_account *account = store->accounts; account != NULL;
         account = account->next) {
        const struct fmd_store_incoming *incoming =
            strcmp(account->name, name) == 0 ? fmd_store_incoming_of(account, sha256) : NULL;
        if (incoming != NULL)
            *blob = (struct fmd_store_blob){.bytes = incoming->bytes, .have = incoming->have};
    }
}

static bool is_there(const struct fmd_store_blob *blob)
{
    return blob->complete || blob->bytes > 0;
}

enum fmd_store_answer fmd_store_find(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256],
                                     struct fmd_store_blob *blob)
{
    pthread_mutex_lock(&store->mutex);
    fmd_store_look(store, account, sha256, blob);
    pthread_mutex_unlock(&store->mutex);
    return is_there(blob) ? FMD_STORE_OK : FMD_STORE_NONE;
}

enum fmd_store_answer fmd_store_read(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256], int *fd,
                                     uint64_t *bytes)
{
    char path[FMD_STORE_NAME];
    struct stat status;
    if (!fmd_store_name(path, account, "blobs", sha256))
        return FMD_STORE_NONE;
    const int opened = openat(store->folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (opened < 0 && errno == ENOENT)
        return FMD_STORE_NONE;
    if (opened < 0 || fstat(opened, &status) != 0)
        return fmd_store_errno("a blob cannot be opened");
    (void)futimens(opened, NULL);
    *fd = opened;
    *bytes = (uint64_t)status.st_size;
    return FMD_STORE_OK;
}

/* ---- Open and close ---- */

void fmd_store_forget(struct fmd_store_account *account, struct fmd_store_incoming *incoming)
{
    struct fmd_store_incoming **at = &account->incoming;
    while (*at != incoming)
        at = &(*at)->next;
    *at = incoming->next;
    EVP_MD_CTX_free(incoming->hash);
    free(incoming);
}

enum fmd_store_answer fmd_store_open(const char *folder, const struct fmd_store_limits *limits,
                                     struct fmd_store **out)
{
    struct fmd_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return FMD_STORE_INTERNAL;
    store->limits = *limits;
    store->path = realpath(folder, NULL);
    store->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    pthread_mutex_init(&store->mutex, NULL);
    pthread_mutex_init(&store->staging, NULL);
    enum fmd_store_answer answer = store->path == NULL || store->folder < 0
                                       ? fmd_store_errno("the folder of blobs cannot be opened")
                                       : fmd_store_resume(store);
    if (answer == FMD_STORE_OK)
        *out = store;
    else
        fmd_store_close(store);
    return answer;
}

void fmd_store_close(struct fmd_store *store)
{
    if (store->folder >= 0)
        fmd_store_sync(store);
    for (struct fmd_store_account *account = store->accounts, *next; account != NULL;
         account = next) {
        next = account->next;
        while (account->incoming != NULL)
            fmd_store_forget(account, account->incoming);
        free(account);
    }
    for (struct fmd_store_use *use = store->uses, *next; use != NULL; use = next) {
        next = use->next;
        free(use->root);
        free(use);
    }
    if (store->folder >= 0)
        close(store->folder);
    pthread_mutex_destroy(&store->mutex);
    pthread_mutex_destroy(&store->staging);
    free(store->path);
    free(store);
}
