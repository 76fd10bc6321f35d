/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The digest of the shared block is taken for every map: nobody else knows whether the block has changed. At
 * 1 GB/s it is worth a thread of its own. Between begin() and wait() the struct is the thread's.
 */
#include <openssl/evp.h>

#include "tier/cloud/cloud.h"

#define STEP ((size_t)4 << 20) /* between looks at whether the caller has given up */

static bool digest(struct fm_cloud_shared *shared)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
    for (size_t done = 0; good && done < shared->size; done += STEP) {
        const size_t left = shared->size - done;
        good = !fm_cloud_line_gives_up(shared->line) &&
               EVP_DigestUpdate(context, (const char *)shared->bytes + done,
                                left < STEP ? left : STEP) == 1;
    }
    good = good && EVP_DigestFinal_ex(context, shared->sha256, NULL) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

static void *run(void *argument)
{
    struct fm_cloud_shared *shared = argument;
    shared->failed = !digest(shared);
    return NULL;
}

void fm_cloud_shared_begin(struct fm_cloud_shared *shared, const struct fm_cloud_line *line,
                           const void *bytes, size_t size)
{
    *shared = (struct fm_cloud_shared){.bytes = bytes, .size = size, .line = line};
    if (bytes == NULL)
        return;
    shared->runs = pthread_create(&shared->thread, NULL, run, shared) == 0;
    if (!shared->runs)
        run(shared);
}

bool fm_cloud_shared_wait(struct fm_cloud_shared *shared)
{
    if (shared->runs)
        pthread_join(shared->thread, NULL);
    shared->runs = false;
    if (!shared->failed)
        fm_service_hex(shared->sha256, sizeof shared->sha256, shared->name);
    return !shared->failed;
}
