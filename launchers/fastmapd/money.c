/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prices and purses, in 128-bit products where 64 bits would not do.
 */
#include "money.h"

typedef unsigned __int128 wide;

int64_t fmd_money_price(uint64_t cpu_ns, int64_t price)
{
    const wide exact = (wide)cpu_ns * (wide)price;
    const wide rounded = (exact + FMD_NS_PER_HOUR - 1) / FMD_NS_PER_HOUR;
    return rounded > INT64_MAX ? INT64_MAX : (int64_t)rounded;
}

uint64_t fmd_money_affords(int64_t nano, int64_t price)
{
    const wide exact = (wide)nano * FMD_NS_PER_HOUR / (wide)price;
    return exact > UINT64_MAX ? UINT64_MAX : (uint64_t)exact;
}

void fmd_purse_open(struct fmd_purse *purse, int64_t hold, int64_t price)
{
    *purse = (struct fmd_purse){.hold = hold, .price = price};
}

bool fmd_purse_is_valid(const struct fmd_purse *purse)
{
    return purse->price > 0 && purse->hold >= 0 &&
           purse->spent == fmd_money_price(purse->cpu_ns, purse->price) &&
           purse->promised_ns <= UINT64_MAX - purse->cpu_ns &&
           fmd_money_price(purse->cpu_ns + purse->promised_ns, purse->price) <= purse->hold;
}

uint64_t fmd_purse_promise(struct fmd_purse *purse, uint64_t want_ns)
{
    const uint64_t all = fmd_money_affords(purse->hold, purse->price);
    const uint64_t left = all - purse->cpu_ns - purse->promised_ns;
    const uint64_t granted = want_ns < left ? want_ns : left;
    purse->promised_ns += granted;
    return granted;
}

static uint64_t paid_for(uint64_t promised_ns, uint64_t used_ns)
{
    return used_ns < promised_ns ? used_ns : promised_ns;
}

int64_t fmd_purse_charge(const struct fmd_purse *purse, uint64_t promised_ns, uint64_t used_ns)
{
    return fmd_money_price(purse->cpu_ns + paid_for(promised_ns, used_ns), purse->price) -
           purse->spent;
}

int64_t fmd_purse_settle(struct fmd_purse *purse, uint64_t promised_ns, uint64_t used_ns)
{
    const int64_t charge = fmd_purse_charge(purse, promised_ns, used_ns);
    purse->cpu_ns += paid_for(promised_ns, used_ns);
    purse->promised_ns -= promised_ns;
    purse->spent += charge;
    return charge;
}
