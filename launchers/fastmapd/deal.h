/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vCPUs among those who could use them: max-min fair, so that nobody can have one more but from somebody
 * who has no more than that already. One at a time is dealt to the account that has the fewest, there to
 * the claim that has the fewest, among equals to the first. Who wants fewer than that leaves the rest to
 * the others. Pure.
 */
#ifndef FMD_DEAL_H
#define FMD_DEAL_H

struct fmd_claim {
    struct fmd_claim *next;
    unsigned wants;    /* that it could use */
    unsigned has;      /* in and out: what was dealt to it */
    unsigned *account; /* counts what all claims of its account have */
    unsigned *left;    /* what all claims of its token may still get */
};

/* Deals up to so many more; returns those that nobody wants. */
unsigned fmd_deal(struct fmd_claim *claims, unsigned vcpus);

#endif
