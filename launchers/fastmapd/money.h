/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What CPU time costs, and the purse of a map: how much of its hold is spent, how much is promised to spans
 * that run. Integers only; PURE, so that the tests drive the very arithmetic that charges. Who calls it
 * holds the lock.
 *
 * The price of a map is its whole CPU time so far times the price, rounded up; a span is charged the
 * difference that it makes. So rounding never adds up: a map costs less than one nano-dollar more than its
 * exact price, however it is cut into spans.
 *
 * A purse is valid if and only if (1) price_of(cpu_ns) = spent <= hold, and (2) price_of(cpu_ns +
 * promised_ns) <= hold: whatever the running spans use of what they were promised can be paid.
 */
#ifndef FMD_MONEY_H
#define FMD_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#define FMD_NANO_PER_DOLLAR INT64_C(1000000000)
#define FMD_NS_PER_HOUR 3600000000000LL
#define FMD_NANO_MOST (INT64_MAX / 4) /* no sum of a few such amounts overflows */

/* ceil(cpu_ns * price / hour); INT64_MAX where that is larger. The price is nano-dollars an hour, > 0. */
int64_t fmd_money_price(uint64_t cpu_ns, int64_t price);

/* The most CPU time whose price is at most `nano`. */
uint64_t fmd_money_affords(int64_t nano, int64_t price);

struct fmd_purse {
    int64_t hold;  /* nano-dollars */
    int64_t price; /* nano-dollars an hour */
    int64_t spent; /* of the hold */
    uint64_t cpu_ns;
    uint64_t promised_ns;
};

void fmd_purse_open(struct fmd_purse *purse, int64_t hold, int64_t price);
bool fmd_purse_is_valid(const struct fmd_purse *purse);

/* Promises up to want_ns more CPU time to a running span; what is promised, 0 if the hold is used up. */
uint64_t fmd_purse_promise(struct fmd_purse *purse, uint64_t want_ns);

/* Ends a span that was promised so much and has used so much. No more than what was promised is paid for.
   Returns the charge. */
int64_t fmd_purse_settle(struct fmd_purse *purse, uint64_t promised_ns, uint64_t used_ns);

/* What settle() would charge, with nothing changed. */
int64_t fmd_purse_charge(const struct fmd_purse *purse, uint64_t promised_ns, uint64_t used_ns);

#endif
