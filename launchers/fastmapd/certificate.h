/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The certificate that the service shows: a given one, or a self-signed one made for this machine.
 */
#ifndef FMD_CERTIFICATE_H
#define FMD_CERTIFICATE_H

#define FMD_CERTIFICATE_PIN 64 /* bytes of "sha256//" and base64 of 32 bytes, with the NUL */

struct fmd_certificate {
    char *chain;                   /* PEM */
    char *key;                     /* PEM; wiped by free() */
    char pin[FMD_CERTIFICATE_PIN]; /* of the public key, as curl's --pinnedpubkey takes it */
};

/* Reads both files: CONFIG where they cannot be trusted, read, or do not belong together. */
int fmd_certificate_load(const char *chain_path, const char *key_path, struct fmd_certificate *out);

/* Makes certificate.pem and certificate.key in the state folder unless they are there: P-256, for
   localhost, the loopback addresses, this host's name and `address`, for ten years. */
int fmd_certificate_make(int folder, const char *address);

void fmd_certificate_free(struct fmd_certificate *certificate);

#endif
