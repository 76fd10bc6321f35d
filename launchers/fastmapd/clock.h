/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clock by which signatures are judged: seconds since 1970, which never go back. The machine's own clock
 * may be set back, and signatures that were used and forgotten would be of the present again. So this one
 * goes on with the steady clock instead, and with the machine's where that is ahead; who signs by another is
 * told what it says. Nor is what was signed in an earlier daemon's time of the present again: the latest time
 * that a client has signed is written down, every few seconds and at the end.
 *
 * Nothing else goes by it: deadlines and limits of time have the steady clock, days the machine's.
 */
#ifndef FMD_CLOCK_H
#define FMD_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

struct fmd_clock {
    int folder;                   /* the state folder; the caller's */
    int64_t started_s;            /* what was signed until then may be a replay */
    atomic_int_fast64_t ahead_ns; /* of the steady clock; only grows */
    atomic_int_fast64_t signed_s; /* the latest time that was signed, and taken */
    int64_t written_s;            /* what the file says of that */
};

/* Goes on where an earlier daemon has stopped. 0 or an error of the file's. */
int fmd_clock_start(struct fmd_clock *clock, int folder, const char *folder_path);

int64_t fmd_clock_now_s(struct fmd_clock *clock);

/* This time was signed. */
void fmd_clock_take(struct fmd_clock *clock, int64_t signed_s);

/* To be called now and then, from one thread. */
int fmd_clock_write(struct fmd_clock *clock);

#endif
