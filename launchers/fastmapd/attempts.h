/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many failed signatures an address may have: a bucket for each address (IPv6: each /64) that fills with
 * failures and drains at an even rate. PURE: time is an argument; the caller holds the lock.
 *
 * The table has a fixed number of places. An address shares its place with the few others of the same hash,
 * keyed by a secret, so nobody can choose whom he shares it with.
 */
#ifndef FMD_ATTEMPTS_H
#define FMD_ATTEMPTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define FMD_ATTEMPTS_PLACES 4096

struct fmd_attempts {
    uint64_t secret[2];
    int64_t a_minute; /* failures; 0: any number */
    struct {
        double level; /* failures not yet drained */
        int64_t at_ms;
    } places[FMD_ATTEMPTS_PLACES];
};

void fmd_attempts_init(struct fmd_attempts *attempts, int64_t a_minute, const uint64_t secret[2]);

/* Seconds that the address has to wait; 0: it may try. */
int64_t fmd_attempts_wait(struct fmd_attempts *attempts, const struct sockaddr *address,
                          int64_t now_ms);

void fmd_attempts_failed(struct fmd_attempts *attempts, const struct sockaddr *address,
                         int64_t now_ms);

#endif
