/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A span from the end of its inputs to its charge.
 *
 * Money. A span is promised a part of what is left of the hold before it may begin, at most that is charged,
 * and the pool ends it there. So the promises of all that run together never exceed the hold. Where all is
 * promised, a span waits for the end of another one, whose promise is larger than its need.
 */
#ifndef FMD_SPAN_RUN_H
#define FMD_SPAN_RUN_H

#include <semaphore.h>

#include "maps.h"

struct fmd_span_run {
    struct fmd_open *open;
    struct fmd_span_name name;
    struct fmd_span *span; /* the pool's; its inputs are complete */
    bool is_promised;      /* anything at all: it has come to the pool */
    uint64_t promised_ns;  /* in the end */
    sem_t done;
    struct fmd_span_result result;
};

/* Computes it. The result's status is CLOSED or CUT where it did not come to that. */
void fmd_span_run(struct fmd_span_run *run);

/* Takes the charge from hold and ledger; to be called once, after fmd_span_run(). STATE where the ledger
   fails: then
   nothing is charged. */
int fmd_span_settle(struct fmd_ledger *ledger, struct fmd_span_run *run,
                    struct fmd_settlement *settlement);

/* Charged under the span's own number, which then cannot be computed again. */
bool fmd_span_is_final(enum fmd_span_status status);

#endif
