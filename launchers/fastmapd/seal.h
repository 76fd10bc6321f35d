/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of tokens at rest: sealed by AES-256-GCM under the state folder's own key, bound to their token's
 * identifier. A copy of the ledger without that key signs nothing.
 */
#ifndef FMD_SEAL_H
#define FMD_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#define FMD_SEAL_KEY 32
#define FMD_SEAL_SEALED (12 + 32 + 16) /* nonce, ciphertext, tag */

/* The state folder's key, made where it is missing. CONFIG. */
int fmd_seal_load(int folder, const char *folder_path, uint8_t master[FMD_SEAL_KEY]);

bool fmd_seal(const uint8_t master[FMD_SEAL_KEY], const char *id, const uint8_t key[32],
              uint8_t sealed[FMD_SEAL_SEALED]);

/* False where the text was not sealed under this key for this id. */
bool fmd_unseal(const uint8_t master[FMD_SEAL_KEY], const char *id,
                const uint8_t sealed[FMD_SEAL_SEALED], uint8_t key[32]);

#endif
