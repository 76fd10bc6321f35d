/* SPDX-License-Identifier: BSD-3-Clause */
/* What the store's own files share: store.c, store_parts.c, tree.c, store_old.c. */
#ifndef FMD_STORE_INSIDE_H
#define FMD_STORE_INSIDE_H

#include <openssl/evp.h>
#include <pthread.h>

#include "store.h"

#define FMD_STORE_HEX (2 * FMD_STORE_SHA256 + 1)
#define FMD_STORE_NAME 256 /* bytes of a path within the store */

/* A blob of which not everything is there. */
struct fmd_store_incoming {
    struct fmd_store_incoming *next;
    uint8_t sha256[FMD_STORE_SHA256];
    uint64_t bytes;
    uint64_t have;
    EVP_MD_CTX *hash; /* of what is there; NULL: not known, it was there before this process */
    bool busy;        /* a part is being received */
};

struct fmd_store_account {
    struct fmd_store_account *next;
    char name[FMD_STORE_ACCOUNT];
    uint64_t bytes; /* blobs, unfinished ones with their full size, and manifests */
    struct fmd_store_incoming *incoming;
};

/* A tree that maps use: it is not to be removed. */
struct fmd_store_use {
    struct fmd_store_use *next;
    char *root;
    unsigned count;
};

struct fmd_store {
    char *path;
    int folder;
    struct fmd_store_limits limits;
    bool unsynced_marked;
    pthread_mutex_t
        mutex; /* protects what follows; held for system calls about names, never about contents */
    uint64_t bytes;
    struct fmd_store_account *accounts;
    struct fmd_store_use *uses;
    pthread_mutex_t staging; /* one tree is made or removed at a time; taken before mutex */
};

/* "<account>/<kind>/<digest>". False: the account's name is none. */
bool fmd_store_name(char name[FMD_STORE_NAME], const char *account, const char *kind,
                    const uint8_t sha256[FMD_STORE_SHA256]);

/* With the mutex: the account, made where it is new, its folders too; NULL: a sentence is recorded. */
struct fmd_store_account *fmd_store_account_of(struct fmd_store *store, const char *account);

/* With the mutex: takes room from both quotas; false: there is none. Gives it back. */
bool fmd_store_take(struct fmd_store *store, struct fmd_store_account *account, uint64_t bytes);
void fmd_store_give(struct fmd_store *store, struct fmd_store_account *account, uint64_t bytes);

/* With the mutex: what is there of a blob. */
void fmd_store_look(struct fmd_store *store, const char *account,
                    const uint8_t sha256[FMD_STORE_SHA256], struct fmd_store_blob *blob);

/* With the mutex: the unfinished blob, or NULL. Forgets one. */
struct fmd_store_incoming *fmd_store_incoming_of(struct fmd_store_account *account,
                                                 const uint8_t sha256[FMD_STORE_SHA256]);
void fmd_store_forget(struct fmd_store_account *account, struct fmd_store_incoming *incoming);

/* The error number's answer, with a sentence. */
enum fmd_store_answer fmd_store_errno(const char *what);

/* A file or folder with all that is in it. */
void fmd_store_remove(int folder, const char *name);

/* Reads what a former process left behind. */
enum fmd_store_answer fmd_store_resume(struct fmd_store *store);

/* Blobs have been written that the disk may not have yet. */
void fmd_store_mark_unsynced(struct fmd_store *store);
void fmd_store_sync(struct fmd_store *store);

#endif
