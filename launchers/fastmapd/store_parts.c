/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blobs as they arrive. The digest is taken while a blob is received, part after part; a part that is
 * dropped leaves the digest's state of before. After a restart that state is gone, and the file is read
 * once when it is complete. Only what has the right digest gets its name among the blobs, with one
 * rename().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store_inside.h"

struct fmd_store_part {
    struct fmd_store *store;
    struct fmd_store_account *account;
    struct fmd_store_incoming *incoming;
    int fd;
    uint64_t offset;
    uint64_t bytes; /* announced */
    uint64_t done;
    EVP_MD_CTX *hash;
};

/* ---- A part begins ---- */

static EVP_MD_CTX *copy_hash(const EVP_MD_CTX *hash)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    if (copy != NULL && EVP_MD_CTX_copy_ex(copy, hash) != 1) {
        EVP_MD_CTX_free(copy);
        copy = NULL;
    }
    return copy;
}

static EVP_MD_CTX *new_hash(void)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(hash);
        hash = NULL;
    }
    return hash;
}

static enum fmd_store_answer begin_blob(struct fmd_store *store, struct fmd_store_account *account,
                                        const uint8_t sha256[FMD_STORE_SHA256], uint64_t bytes,
                                        struct fmd_store_incoming **out)
{
    struct fmd_store_incoming *incoming = calloc(1, sizeof *incoming);
    EVP_MD_CTX *hash = new_hash();
    const bool has_room = incoming != NULL && hash != NULL && fmd_store_take(store, account, bytes);
    if (!has_room) {
        const bool no_memory = incoming == NULL || hash == NULL;
        free(incoming);
        EVP_MD_CTX_free(hash);
        return no_memory ? FMD_STORE_INTERNAL : FMD_STORE_STORAGE;
    }
    *incoming =
        (struct fmd_store_incoming){.next = account->incoming, .bytes = bytes, .hash = hash};
    memcpy(incoming->sha256, sha256, FMD_STORE_SHA256);
    *out = account->incoming = incoming;
    return FMD_STORE_OK;
}

/* With the mutex: whether this part may come now. */
static enum fmd_store_answer admit(struct fmd_store *store, const char *name,
                                   const uint8_t sha256[FMD_STORE_SHA256], uint64_t bytes,
                                   uint64_t offset, struct fmd_store_part *part)
{
    struct fmd_store_account *account = fmd_store_account_of(store, name);
    if (account == NULL)
        return FMD_STORE_INTERNAL;
    struct fmd_store_incoming *incoming = fmd_store_incoming_of(account, sha256);
    if (incoming != NULL && incoming->bytes != bytes)
        return FMD_STORE_SIZE;
    if (incoming != NULL && incoming->busy)
        return FMD_STORE_BUSY;
    if (offset != (incoming != NULL ? incoming->have : 0))
        return FMD_STORE_OFFSET;
    enum fmd_store_answer answer =
        incoming == NULL ? begin_blob(store, account, sha256, bytes, &incoming) : FMD_STORE_OK;
    if (answer == FMD_STORE_OK) {
        incoming->busy = true;
        part->account = account;
        part->incoming = incoming;
    }
    return answer;
}

/* The file's name tells the whole size, for the next process. */
static bool part_name(const struct fmd_store_part *part, char name[FMD_STORE_NAME])
{
    char digest[FMD_STORE_NAME];
    return fmd_store_name(digest, part->account->name, "parts", part->incoming->sha256) &&
           snprintf(name, FMD_STORE_NAME, "%.200s-%llu", digest,
                    (unsigned long long)part->incoming->bytes) < FMD_STORE_NAME;
}

static enum fmd_store_answer open_part(struct fmd_store_part *part)
{
    char name[FMD_STORE_NAME];
    (void)part_name(part, name);
    part->fd = openat(part->store->folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (part->fd < 0)
        return fmd_store_errno("a blob cannot be written");
    if (part->incoming->hash != NULL && (part->hash = copy_hash(part->incoming->hash)) == NULL)
        return FMD_STORE_INTERNAL;
    return FMD_STORE_OK;
}

enum fmd_store_answer fmd_store_part_begin(struct fmd_store *store, const char *account,
                                           const uint8_t sha256[FMD_STORE_SHA256], uint64_t bytes,
                                           uint64_t offset, uint64_t part_bytes,
                                           struct fmd_store_part **out,
                                           struct fmd_store_blob *found)
{
    struct fmd_store_part *part = calloc(1, sizeof *part);
    if (part == NULL)
        return FMD_STORE_INTERNAL;
    *part =
        (struct fmd_store_part){.store = store, .fd = -1, .offset = offset, .bytes = part_bytes};
    *out = NULL;
    enum fmd_store_answer answer = FMD_STORE_OK;
    pthread_mutex_lock(&store->mutex);
    fmd_store_look(store, account, sha256, found);
    if (bytes > store->limits.blob_bytes || offset > bytes || part_bytes > bytes - offset)
        answer = FMD_STORE_SIZE;
    else if (!found->complete)
        answer = admit(store, account, sha256, bytes, offset, part);
    if (answer == FMD_STORE_OK && !found->complete)
        found->bytes = bytes;
    pthread_mutex_unlock(&store->mutex);
    if (answer == FMD_STORE_OK && part->incoming != NULL &&
        (answer = open_part(part)) == FMD_STORE_OK) {
        *out = part;
        return FMD_STORE_OK;
    }
    if (part->incoming != NULL)
        (void)fmd_store_part_end(part, false, found);
    else
        free(part);
    return answer;
}

enum fmd_store_answer fmd_store_part_write(struct fmd_store_part *part, const void *bytes,
                                           size_t count)
{
    if (count > part->bytes - part->done)
        return FMD_STORE_SIZE;
    for (size_t written = 0; written < count;) {
        const ssize_t now = pwrite(part->fd, (const char *)bytes + written, count - written,
                                   (off_t)(part->offset + part->done + written));
        if (now < 0 && errno != EINTR)
            return fmd_store_errno("a blob cannot be written");
        written += now > 0 ? (size_t)now : 0;
    }
    part->done += count;
    if (part->hash != NULL && EVP_DigestUpdate(part->hash, bytes, count) != 1)
        return FMD_STORE_INTERNAL;
    return FMD_STORE_OK;
}

/* ---- The end of a part ---- */

static bool hash_file(int fd, EVP_MD_CTX *hash)
{
    char bytes[65536];
    ssize_t got = 0;
    for (off_t at = 0; (got = pread(fd, bytes, sizeof bytes, at)) > 0; at += got)
        if (EVP_DigestUpdate(hash, bytes, (size_t)got) != 1)
            return false;
    return got == 0;
}

static bool is_right(struct fmd_store_part *part)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const bool read_again = part->hash == NULL;
    if (read_again)
        part->hash = new_hash();
    return part->hash != NULL && (!read_again || hash_file(part->fd, part->hash)) &&
           EVP_DigestFinal_ex(part->hash, digest, &length) == 1 && length == FMD_STORE_SHA256 &&
           memcmp(digest, part->incoming->sha256, FMD_STORE_SHA256) == 0;
}

static enum fmd_store_answer complete(struct fmd_store_part *part)
{
    char from[FMD_STORE_NAME], to[FMD_STORE_NAME];
    (void)part_name(part, from);
    (void)fmd_store_name(to, part->account->name, "blobs", part->incoming->sha256);
    if (!is_right(part)) {
        (void)unlinkat(part->store->folder, from, 0);
        (void)fm_base_fail(FASTMAP_ERR_STATE,
                           "the blob does not have the digest that it is named by");
        return FMD_STORE_DIGEST;
    }
    fmd_store_mark_unsynced(part->store);
    /* Executable, for the loader of a program must be. */
    if (fchmod(part->fd, 0555) != 0 ||
        renameat(part->store->folder, from, part->store->folder, to) != 0)
        return fmd_store_errno("a blob cannot be named");
    return FMD_STORE_OK;
}

static void free_part(struct fmd_store_part *part)
{
    EVP_MD_CTX_free(part->hash);
    if (part->fd >= 0)
        close(part->fd);
    free(part);
}

/* With the mutex: books what `complete` or the drop has come to. */
static void book(struct fmd_store_part *part, enum fmd_store_answer answer, bool was_last,
                 struct fmd_store_blob *found)
{
    struct fmd_store_incoming *incoming = part->incoming;
    incoming->busy = false;
    *found = (struct fmd_store_blob){.bytes = incoming->bytes,
                                     .have = incoming->have,
                                     .complete = was_last && answer == FMD_STORE_OK};
    const bool is_gone =
        answer == FMD_STORE_DIGEST || (answer != FMD_STORE_OK && incoming->have == 0);
    if (is_gone) {
        found->have = 0;
        fmd_store_give(part->store, part->account, incoming->bytes);
    }
    if (is_gone || found->complete)
        fmd_store_forget(part->account, incoming);
}

enum fmd_store_answer fmd_store_part_end(struct fmd_store_part *part, bool keep,
                                         struct fmd_store_blob *found)
{
    struct fmd_store *store = part->store;
    struct fmd_store_incoming *incoming = part->incoming;
    enum fmd_store_answer answer =
        keep && part->done == part->bytes ? FMD_STORE_OK : FMD_STORE_SIZE;
    const bool is_last = answer == FMD_STORE_OK && part->offset + part->done == incoming->bytes;
    if (is_last)
        answer = complete(part);
    if (answer != FMD_STORE_OK && answer != FMD_STORE_DIGEST && part->fd >= 0)
        (void)!ftruncate(part->fd, (off_t)part->offset);
    pthread_mutex_lock(&store->mutex);
    if (answer == FMD_STORE_OK) {
        incoming->have += part->done;
        EVP_MD_CTX_free(incoming->hash);
        incoming->hash = part->hash;
        part->hash = NULL;
    }
    if (answer != FMD_STORE_OK && answer != FMD_STORE_DIGEST && incoming->have == 0) {
        char name[FMD_STORE_NAME];
        (void)part_name(part, name);
        (void)unlinkat(store->folder, name, 0);
    }
    book(part, answer, is_last, found);
    pthread_mutex_unlock(&store->mutex);
    free_part(part);
    return keep ? answer : FMD_STORE_OK;
}
