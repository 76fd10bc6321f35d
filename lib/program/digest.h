/* SPDX-License-Identifier: BSD-3-Clause */
/* SHA-256 of files, which a cache knows already, and of bytes. */
#ifndef FM_PROGRAM_DIGEST_H
#define FM_PROGRAM_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "program/cache.h"

/* FASTMAP_ERR_PROGRAM with a sentence about `shown` where the file cannot be read, is no regular file, or
   changes meanwhile. Threads: any. */
int fm_program_digest_file(int fd, const char *shown, uint8_t sha256[FM_PROGRAM_SHA256],
                           uint64_t *bytes);

int fm_program_digest_bytes(const void *bytes, size_t size, uint8_t sha256[FM_PROGRAM_SHA256]);

#endif
