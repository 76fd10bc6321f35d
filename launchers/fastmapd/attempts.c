/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Leaky buckets of failures.
 */
#include "attempts.h"

#include <netinet/in.h>
#include <string.h>

#define MINUTE_MS 60000.0

void fmd_attempts_init(struct fmd_attempts *attempts, int64_t a_minute, const uint64_t secret[2])
{
    memset(attempts, 0, sizeof *attempts);
    attempts->a_minute = a_minute;
    attempts->secret[0] = secret[0];
    attempts->secret[1] = secret[1] | 1;
}

/* What of an address counts: all of IPv4, also where it is written as IPv6; the first half of IPv6. */
static uint64_t part_of(const struct sockaddr *address)
{
    uint64_t part = 0;
    if (address->sa_family == AF_INET) {
        part = ((const struct sockaddr_in *)address)->sin_addr.s_addr;
    } else if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(six))
            memcpy(&part, &six->s6_addr[12], 4);
        else
            memcpy(&part, six->s6_addr, 8);
    }
    return part;
}

static unsigned place_of(const struct fmd_attempts *attempts, const struct sockaddr *address)
{
    uint64_t hash = (part_of(address) ^ attempts->secret[0]) * attempts->secret[1];
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)(hash >> 52) % FMD_ATTEMPTS_PLACES;
}

static double level_at(const struct fmd_attempts *attempts, unsigned place, int64_t now_ms)
{
    const double drained =
        (double)(now_ms - attempts->places[place].at_ms) * (double)attempts->a_minute / MINUTE_MS;
    const double level = attempts->places[place].level - drained;
    return level > 0 ? level : 0;
}

int64_t fmd_attempts_wait(struct fmd_attempts *attempts, const struct sockaddr *address,
                          int64_t now_ms)
{
    if (attempts->a_minute == 0)
        return 0;
    const double over =
        level_at(attempts, place_of(attempts, address), now_ms) + 1 - (double)attempts->a_minute;
    return over <= 0 ? 0 : 1 + (int64_t)(over * MINUTE_MS / 1000 / (double)attempts->a_minute);
}

void fmd_attempts_failed(struct fmd_attempts *attempts, const struct sockaddr *address,
                         int64_t now_ms)
{
    const unsigned place = place_of(attempts, address);
    attempts->places[place].level = level_at(attempts, place, now_ms) + 1;
    attempts->places[place].at_ms = now_ms;
}
