/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing, and the file that the key is kept in.
 */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "paths.h"

#define NAME "ledger.key"

enum { NONCE = 12, TEXT = 32, TAG = 16 };

int fmd_seal_load(int folder, const char *folder_path, uint8_t master[FMD_SEAL_KEY])
{
    if (faccessat(folder, NAME, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
        if (RAND_priv_bytes(master, FMD_SEAL_KEY) != 1)
            return fm_base_fail(FASTMAP_ERR_STATE, "the system's source of random numbers fails");
        return fmd_paths_write(folder, NAME, master, FMD_SEAL_KEY);
    }
    char path[PATH_MAX + sizeof NAME + 1];
    char *text;
    size_t length;
    snprintf(path, sizeof path, "%s/%s", folder_path, NAME);
    const int rc = fmd_paths_read(path, FMD_PATHS_SECRET, FMD_SEAL_KEY, &text, &length);
    if (rc != 0)
        return rc;
    if (length == FMD_SEAL_KEY)
        memcpy(master, text, FMD_SEAL_KEY);
    explicit_bzero(text, length);
    free(text);
    return length == FMD_SEAL_KEY
               ? 0
               : fm_base_fail(
                     FASTMAP_ERR_CONFIG,
                     "%s must have %d bytes; bring back the file that belongs to the ledger", path,
                     FMD_SEAL_KEY);
}

bool fmd_seal(const uint8_t master[FMD_SEAL_KEY], const char *id, const uint8_t key[32],
              uint8_t sealed[FMD_SEAL_SEALED])
{
    int length;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const bool done =
        context != NULL && RAND_bytes(sealed, NONCE) == 1 &&
        EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, master, sealed) == 1 &&
        EVP_EncryptUpdate(context, NULL, &length, (const uint8_t *)id, (int)strlen(id)) == 1 &&
        EVP_EncryptUpdate(context, sealed + NONCE, &length, key, TEXT) == 1 &&
        EVP_EncryptFinal_ex(context, sealed + NONCE + TEXT, &length) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, sealed + NONCE + TEXT) == 1;
    EVP_CIPHER_CTX_free(context);
    return done;
}

bool fmd_unseal(const uint8_t master[FMD_SEAL_KEY], const char *id,
                const uint8_t sealed[FMD_SEAL_SEALED], uint8_t key[32])
{
    int length;
    uint8_t tag[TAG];
    memcpy(tag, sealed + NONCE + TEXT, TAG);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    const bool done =
        context != NULL &&
        EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, master, sealed) == 1 &&
        EVP_DecryptUpdate(context, NULL, &length, (const uint8_t *)id, (int)strlen(id)) == 1 &&
        EVP_DecryptUpdate(context, key, &length, sealed + NONCE, TEXT) == 1 &&
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG, tag) == 1 &&
        EVP_DecryptFinal_ex(context, tag, &length) == 1;
    EVP_CIPHER_CTX_free(context);
    return done;
}
