/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which signatures were used already. A signature is valid for `window_s` seconds at most; it is remembered
 * for
 * that long at least, in two generations that take turns, and forgotten with its generation. PURE: time is an
 * argument; the caller holds the lock.
 */
#ifndef FMD_REPLAY_H
#define FMD_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FMD_REPLAY_BYTES 16 /* of a signature that are kept: chance does not repeat them */

struct fmd_replay;

/* window_s: how long after its first use a signature could still be accepted. NULL: no memory. */
struct fmd_replay *fmd_replay_new(int64_t window_s);
void fmd_replay_free(struct fmd_replay *replay);

enum fmd_replay_answer { FMD_REPLAY_FRESH, FMD_REPLAY_USED, FMD_REPLAY_NO_MEMORY };

/* Asks and remembers. now_s never goes back. */
enum fmd_replay_answer fmd_replay_use(struct fmd_replay *replay,
                                      const uint8_t signature[FMD_REPLAY_BYTES], int64_t now_s);

#endif
