/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a token that was found in the ledger a moment ago may be taken as it was. To ask the ledger for
 * each request costs a seventh of a small span. So a connection that has proved itself keeps its token until
 * any token is changed: a number in the file `tokens` of the state folder, which commands raise and the
 * daemon has mapped, so that to revoke one takes effect at once. Other hosts that share the ledger do not see
 * that number; for them, and for a command that was killed on its way, a token is asked for again after a
 * second.
 */
#ifndef FMD_TOKENS_H
#define FMD_TOKENS_H

#include <stdatomic.h>
#include <stdint.h>

#define FMD_TOKENS_FRESH_NS INT64_C(1000000000)

struct fmd_tokens {
    _Atomic uint64_t changes;
};

/* 0 or STATE. */
int fmd_tokens_open(int folder, struct fmd_tokens **tokens);
void fmd_tokens_close(struct fmd_tokens *tokens);

#endif
