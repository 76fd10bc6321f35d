/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What accounts have uploaded: blobs by SHA-256, and programs, which are manifests of blobs
 * (docs/PROGRAM.md).
 *
 * Each account has files of its own, also where two have uploaded the same bytes. Knowing a digest gives
 * nothing: who has not sent the contents does not have the blob, and neither answers, nor disk use, nor a
 * file's times or links tell that somebody else has. Disk space is cheaper than that argument about a
 * shared store.
 *
 * Layout, below a folder of fastmapd's own with mode 0700:
 *     <account>/blobs/<digest>        complete, its digest checked, read-only
 *     <account>/parts/<digest>        being received
 *     <account>/programs/<digest>     a manifest, decoded and checked
 *     <account>/trees/<digest>/...    a staged program: hard links to its blobs under their original paths
 *
 * Threads: any, all functions; a part belongs to one thread at a time. Sentences: fm_base_last_error().
 */
#ifndef FMD_STORE_H
#define FMD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FMD_STORE_SHA256 32
#define FMD_STORE_ACCOUNT 64 /* bytes of an account's name at most, its NUL included */

/* The words of docs/PROTOCOL.md, section 1. */
enum fmd_store_answer {
    FMD_STORE_OK = 0,
    FMD_STORE_NONE,     /* blob, program: this account has no such thing */
    FMD_STORE_MISSING,  /* files of the program are not here */
    FMD_STORE_OFFSET,   /* the part does not begin where the last one ended */
    FMD_STORE_BUSY,     /* another part of the blob is being received */
    FMD_STORE_SIZE,     /* larger than allowed, or another size than before */
    FMD_STORE_DIGEST,   /* the whole has another digest: all parts are dropped */
    FMD_STORE_MANIFEST, /* it is no valid manifest, or none for this machine */
    FMD_STORE_STORAGE,  /* the account's, the store's or the disk's room is used up */
    FMD_STORE_INTERNAL  /* the disk or the memory failed */
};

struct fmd_store;

struct fmd_store_limits {
    uint64_t blob_bytes;    /* of one blob */
    uint64_t account_bytes; /* of all blobs of an account, unfinished ones with their full size */
    uint64_t store_bytes;   /* of all accounts */
};

/* Opens the store in a folder that exists and that nobody else may enter. Unfinished blobs are resumed.
   An account's name has the characters A-Z a-z 0-9 . _ - and does not begin with a dot. */
enum fmd_store_answer fmd_store_open(const char *folder, const struct fmd_store_limits *limits,
                                     struct fmd_store **store);
void fmd_store_close(struct fmd_store *store);

/* ---- Blobs ---- */

struct fmd_store_blob {
    uint64_t bytes;
    uint64_t have;
    bool complete;
};

/* OK or NONE. */
enum fmd_store_answer fmd_store_find(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256],
                                     struct fmd_store_blob *blob);

/* Opens a complete blob for reading; OK with a descriptor, or NONE. For shared blocks. */
enum fmd_store_answer fmd_store_read(struct fmd_store *store, const char *account,
                                     const uint8_t sha256[FMD_STORE_SHA256], int *fd,
                                     uint64_t *bytes);

struct fmd_store_part;

/* Begins to receive `part_bytes` bytes at `offset` of a blob of `bytes`. *found says how much is there,
   also with OFFSET and BUSY. Where the blob is complete already: OK with *part NULL, and what comes is
   to be read and dropped. Room for the whole blob is taken now. */
enum fmd_store_answer fmd_store_part_begin(struct fmd_store *store, const char *account,
                                           const uint8_t sha256[FMD_STORE_SHA256], uint64_t bytes,
                                           uint64_t offset, uint64_t part_bytes,
                                           struct fmd_store_part **part,
                                           struct fmd_store_blob *found);

/* The next bytes of it. OK, SIZE (more than announced) or STORAGE. */
enum fmd_store_answer fmd_store_part_write(struct fmd_store_part *part, const void *bytes,
                                           size_t count);

/* Ends the part and frees it. Not `keep` (its own digest was wrong, or the body broke off): as if it had
   never begun. Else OK, with *found.complete once the last byte is there and the whole is right; DIGEST. */
enum fmd_store_answer fmd_store_part_end(struct fmd_store_part *part, bool keep,
                                         struct fmd_store_blob *found);

/* ---- Programs ---- */

struct fmd_store_missing {
    uint8_t sha256[FMD_STORE_SHA256];
    uint64_t bytes;
    uint64_t have;
};

/* Takes a manifest. OK or MISSING with the program's name, and the files (each once) that the account
   has not uploaded, in memory to be freed; or MANIFEST, STORAGE. */
enum fmd_store_answer fmd_store_program(struct fmd_store *store, const char *account,
                                        const char *manifest, size_t length,
                                        uint8_t program[FMD_STORE_SHA256],
                                        struct fmd_store_missing **missing, size_t *count);

/* A program on disk as the sandbox will see it. Strings are valid until it is dropped. */
struct fmd_tree {
    char *root;              /* absolute path of the folder that becomes / */
    char *loader;            /* paths within it: the dynamic loader, */
    char *worker;            /* the shim that is preloaded, */
    char *executable;        /* the program, */
    char *fastmap;           /* libfastmap.so; NULL: the program has it inside */
    char *folders;           /* of its libraries, with ':' between */
    char *cpu;               /* processor features that it may use, a space between */
    uint64_t bytes;          /* of all files */
    struct fmd_store *store; /* whose it is */
};

/* Makes the tree if it is not there yet, and counts as a use. OK, NONE (no such program), MISSING (list as
   above), STORAGE. Dropped by fmd_store_drop(); what is on disk stays. */
enum fmd_store_answer fmd_store_stage(struct fmd_store *store, const char *account,
                                      const uint8_t program[FMD_STORE_SHA256],
                                      struct fmd_tree **tree, struct fmd_store_missing **missing,
                                      size_t *count);
void fmd_store_drop(struct fmd_tree *tree);

/* Removes what has not been used for so many seconds, unfinished blobs after one day. Trees in use may lose
   their files' names but keep running: a tree that is staged counts as used. */
void fmd_store_expire(struct fmd_store *store, uint64_t unused_s);

/* What an account's blobs take. */
uint64_t fmd_store_bytes(struct fmd_store *store, const char *account);

#endif
