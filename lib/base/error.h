/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Error codes and sentences. Whoever decides that something is an error calls fm_base_fail() there, with
 * what was wrong, where, and what to do; callers further out hand the code on and record nothing, so the
 * innermost decision is the one that the user reads.
 */
#ifndef FM_BASE_ERROR_H
#define FM_BASE_ERROR_H

#include <fastmap.h>

#define FM_BASE_SENTENCE_BYTES 512

/* Every code of enum fastmap_error with its general sentence: (code, sentence). */
#define FM_BASE_ERRORS(X)                                                                        \
    X(FASTMAP_ERR_ARGUMENT, "an argument is NULL, zero or out of its range")                     \
    X(FASTMAP_ERR_OVERFLOW, "the number of elements times their size exceeds the address space") \
    X(FASTMAP_ERR_OVERLAP, "arrays share memory in a way that makes results depend on order")    \
    X(FASTMAP_ERR_ELEMENT, "the function returned non-zero for at least one element")            \
    X(FASTMAP_ERR_CONFIG, "an unknown configuration key or value, or an unreadable file")        \
    X(FASTMAP_ERR_SECRET, "a secret file is missing, unreadable, malformed or open to others")   \
    X(FASTMAP_ERR_MEMORY, "not enough memory for the library's own bookkeeping")                 \
    X(FASTMAP_ERR_STATE, "the call is not allowed now")                                          \
    X(FASTMAP_ERR_RANKS, "the ranks of the job do not call the same map")                        \
    X(FASTMAP_ERR_PROGRAM, "the function or its program cannot be given to another process")     \
    X(FASTMAP_ERR_VERIFY, "an element gave other results in a worker than in the process")

/* Records the calling thread's sentence (cut to FM_BASE_SENTENCE_BYTES, the cut shown as "...") and
   returns code. Allocates nothing; errno is kept. Arguments may point into the last sentence. */
int fm_base_fail(int code, const char *fmt, ...) __attribute__((cold, format(printf, 2, 3)));

/* The calling thread's last sentence; "" before the first. */
const char *fm_base_last_error(void);

/* The general sentence for 0 or a code; "unknown error" for anything else. */
const char *fm_base_strerror(int code);

#endif
