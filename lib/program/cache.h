/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What files' digests were, by the files' identity, so that a library of 40 MB is read once and not in each
 * run. Kept in memory, and in a file of the user's.
 */
#ifndef FM_PROGRAM_CACHE_H
#define FM_PROGRAM_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define FM_PROGRAM_SHA256 32
#define FM_PROGRAM_CACHE_MOST 4096 /* files remembered; the oldest are forgotten */

/* A file that has the same five is the same file with the same bytes: writing to it changes the last. */
struct fm_program_identity {
    uint64_t device;
    uint64_t inode;
    uint64_t bytes;
    int64_t modified_ns;
    int64_t changed_ns;
};

struct fm_program_identity fm_program_cache_identity(const struct stat *status);

/* Threads: any. */
bool fm_program_cache_find(const struct fm_program_identity *identity,
                           uint8_t sha256[FM_PROGRAM_SHA256]);

/* Remembers, unless the file is so young that it could yet be changed without its times showing it. */
void fm_program_cache_add(const struct fm_program_identity *identity,
                          const uint8_t sha256[FM_PROGRAM_SHA256]);

/* Writes the file if anything was added. What goes wrong costs time in the next run and nothing else, so
   nothing is said. */
void fm_program_cache_save(void);

/* Forgets what is in memory, as a new process would. */
void fm_program_cache_forget(void);

/* The records in a cache file's bytes, to new memory; false where they are no valid cache. */
struct fm_program_record {
    struct fm_program_identity identity;
    uint8_t sha256[FM_PROGRAM_SHA256];
};
bool fm_program_cache_decode(const uint8_t *bytes, size_t size, struct fm_program_record **records,
                             size_t *count);

#endif
