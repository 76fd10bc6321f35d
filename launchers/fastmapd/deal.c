/* SPDX-License-Identifier: BSD-3-Clause */
#include "deal.h"

#include <stdbool.h>
#include <stddef.h>

static bool goes_before(const struct fmd_claim *claim, const struct fmd_claim *other)
{
    return *claim->account != *other->account ? *claim->account < *other->account
                                              : claim->has < other->has;
}

static struct fmd_claim *next_of(struct fmd_claim *claims)
{
    struct fmd_claim *next = NULL;
    for (struct fmd_claim *claim = claims; claim != NULL; claim = claim->next) {
        const bool may_have = claim->wants > claim->has && *claim->left != 0;
        if (may_have && (next == NULL || goes_before(claim, next)))
            next = claim;
    }
    return next;
}

unsigned fmd_deal(struct fmd_claim *claims, unsigned vcpus)
{
    struct fmd_claim *next;
    for (; vcpus > 0 && (next = next_of(claims)) != NULL; vcpus--) {
        next->has++;
        ++*next->account;
        --*next->left;
    }
    return vcpus;
}
