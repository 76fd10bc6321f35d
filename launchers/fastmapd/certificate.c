/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Certificates by OpenSSL.
 */
#include "certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "paths.h"

enum { FILE_MOST = 1 << 20, YEARS = 10 };

/* ---- Reading ---------------------------------------------------------------------------------------- */

static void pin_of(X509 *x509, char pin[FMD_CERTIFICATE_PIN])
{
    unsigned char *der = NULL, digest[SHA256_DIGEST_LENGTH];
    const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    SHA256(der, length < 0 ? 0 : (size_t)length, digest);
    OPENSSL_free(der);
    strcpy(pin, "sha256//");
    EVP_EncodeBlock((unsigned char *)pin + strlen(pin), digest, sizeof digest);
}

static int check_pair(const char *chain_path, const char *key_path, struct fmd_certificate *out)
{
    BIO *chain = BIO_new_mem_buf(out->chain, -1);
    BIO *key = BIO_new_mem_buf(out->key, -1);
    X509 *x509 = PEM_read_bio_X509(chain, NULL, NULL, NULL);
    EVP_PKEY *private = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    int rc = 0;
    if (x509 == NULL)
        rc = fm_base_fail(FASTMAP_ERR_CONFIG, "%s holds no certificate in PEM form", chain_path);
    else if (private == NULL)
        rc = fm_base_fail(FASTMAP_ERR_CONFIG,
                          "%s holds no private key in PEM form without a passphrase", key_path);
    else if (X509_check_private_key(x509, private) != 1)
        rc = fm_base_fail(FASTMAP_ERR_CONFIG, "the key %s is not that of the certificate %s",
                          key_path, chain_path);
    else
        pin_of(x509, out->pin);
    EVP_PKEY_free(private);
    X509_free(x509);
    BIO_free(key);
    BIO_free(chain);
    return rc;
}

int fmd_certificate_load(const char *chain_path, const char *key_path, struct fmd_certificate *out)
{
    struct fmd_certificate found = {0};
    size_t length;
    int rc = fmd_paths_read(chain_path, FMD_PATHS_TRUSTED, FILE_MOST, &found.chain, &length);
    if (rc == 0)
        rc = fmd_paths_read(key_path, FMD_PATHS_SECRET, FILE_MOST, &found.key, &length);
    if (rc == 0)
        rc = check_pair(chain_path, key_path, &found);
    if (rc != 0)
        fmd_certificate_free(&found);
    else
        *out = found;
    return rc;
}

void fmd_certificate_free(struct fmd_certificate *certificate)
{
    if (certificate->key != NULL)
        explicit_bzero(certificate->key, strlen(certificate->key));
    free(certificate->key);
    free(certificate->chain);
    *certificate = (struct fmd_certificate){0};
}

/* ---- Making ----------------------------------------------------------------------------------------- */

static bool add_extension(X509 *x509, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    const bool added = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* "DNS:localhost,IP:127.0.0.1,IP:::1,DNS:host,IP:address". */
static void names_of(const char *address, char *names, size_t bytes)
{
    char host[65] = "";
    struct in6_addr parsed;
    int length = snprintf(names, bytes, "DNS:localhost,IP:127.0.0.1,IP:::1");
    if (gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' &&
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
            strlen(host))
        length += snprintf(names + length, bytes - (size_t)length, ",DNS:%s", host);
    if (inet_pton(AF_INET, address, &parsed) == 1 || inet_pton(AF_INET6, address, &parsed) == 1)
        snprintf(names + length, bytes - (size_t)length, ",IP:%s", address);
}

static bool fill(X509 *x509, EVP_PKEY *key, const char *address)
{
    char names[256];
    unsigned char serial[16];
    BIGNUM *number = NULL;
    names_of(address, names, sizeof names);
    X509_NAME *subject = X509_get_subject_name(x509);
    const bool done =
        RAND_bytes(serial, sizeof serial) == 1 && (serial[0] &= 0x7f, true) &&
        (number = BN_bin2bn(serial, sizeof serial, NULL)) != NULL &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL &&
        X509_set_version(x509, 2) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x509), -3600) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(x509), 60L * 60 * 24 * 365 * YEARS) != NULL &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"fastmapd",
                                   -1, -1, 0) == 1 &&
        X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, key) == 1 &&
        add_extension(x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
        add_extension(x509, NID_ext_key_usage, "serverAuth") &&
        add_extension(x509, NID_subject_key_identifier, "hash") &&
        add_extension(x509, NID_subject_alt_name, names) && X509_sign(x509, key, EVP_sha256()) > 0;
    BN_free(number);
    return done;
}

static int write_bio(int folder, const char *name, BIO *bio)
{
    char *text;
    const long length = BIO_get_mem_data(bio, &text);
    return fmd_paths_write(folder, name, text, (size_t)length);
}

static int write_pair(int folder, X509 *x509, EVP_PKEY *key)
{
    BIO *chain = BIO_new(BIO_s_mem());
    BIO *secret = BIO_new(BIO_s_secmem());
    int rc = FASTMAP_ERR_STATE;
    if (chain != NULL && secret != NULL && PEM_write_bio_X509(chain, x509) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1)
        rc = write_bio(folder, "certificate.key", secret);
    if (rc == 0)
        rc = write_bio(folder, "certificate.pem", chain);
    BIO_free(secret);
    BIO_free(chain);
    return rc;
}

int fmd_certificate_make(int folder, const char *address)
{
    if (faccessat(folder, "certificate.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    int rc =
        key != NULL && x509 != NULL && fill(x509, key, address)
            ? write_pair(folder, x509, key)
            : fm_base_fail(FASTMAP_ERR_STATE,
                           "OpenSSL cannot make a certificate; give one by certificate and key");
    X509_free(x509);
    EVP_PKEY_free(key);
    return rc;
}
