/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads a file once through SHA-256, in blocks that stay in the second cache; mapping it would be no faster
 * and a fault where the file is cut meanwhile. The identity is taken before and after: a digest of a file
 * that somebody writes to names nothing.
 */
#include "program/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

#define BLOCK_BYTES ((size_t)256 << 10)

static int refuse_unreadable(const char *shown)
{
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "%s%s cannot be read (%s); make it readable to this user",
                        FM_BASE_PATH(shown), strerror(errno));
}

static int fail_to_digest(const char *shown)
{
    return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the digest of %s%s; free some",
                        FM_BASE_PATH(shown));
}

static int feed(EVP_MD_CTX *context, int fd, const char *shown, uint8_t *block)
{
    for (off_t at = 0;;) {
        const ssize_t got = pread(fd, block, BLOCK_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refuse_unreadable(shown);
        if (got == 0)
            return 0;
        if (EVP_DigestUpdate(context, block, (size_t)got) != 1)
            return fail_to_digest(shown);
        at += got;
    }
}

static int read_through(int fd, const char *shown, uint8_t sha256[FM_PROGRAM_SHA256])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t *block = malloc(BLOCK_BYTES);
    int rc = 0;
    if (context == NULL || block == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        rc = fail_to_digest(shown);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (rc == 0)
        rc = feed(context, fd, shown, block);
    if (rc == 0 && EVP_DigestFinal_ex(context, sha256, NULL) != 1)
        rc = fail_to_digest(shown);
    free(block);
    EVP_MD_CTX_free(context);
    return rc;
}

int fm_program_digest_file(int fd, const char *shown, uint8_t sha256[FM_PROGRAM_SHA256],
                           uint64_t *bytes)
{
    struct stat before;
    struct stat after;
    uint8_t found[FM_PROGRAM_SHA256];
    if (fstat(fd, &before) != 0)
        return refuse_unreadable(shown);
    if (!S_ISREG(before.st_mode))
        return fm_base_fail(FASTMAP_ERR_PROGRAM, "%s%s is no regular file; name a program",
                            FM_BASE_PATH(shown));
    const struct fm_program_identity identity = fm_program_cache_identity(&before);
    if (!fm_program_cache_find(&identity, found)) {
        const int rc = read_through(fd, shown, found);
        if (rc != 0)
            return rc;
        if (fstat(fd, &after) != 0)
            return refuse_unreadable(shown);
        const struct fm_program_identity now = fm_program_cache_identity(&after);
        if (memcmp(&identity, &now, sizeof now) != 0)
            return fm_base_fail(FASTMAP_ERR_PROGRAM,
                                "%s%s was written to while it was read; try again when it is whole",
                                FM_BASE_PATH(shown));
        fm_program_cache_add(&identity, found);
    }
    memcpy(sha256, found, sizeof found);
    *bytes = identity.bytes;
    return 0;
}

int fm_program_digest_bytes(const void *bytes, size_t size, uint8_t sha256[FM_PROGRAM_SHA256])
{
    if (EVP_Digest(bytes, size, sha256, NULL, EVP_sha256(), NULL) != 1)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a digest; free some");
    return 0;
}
