/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FM_PROGRAM_STARTED_H
#define FM_PROGRAM_STARTED_H

#include <stdbool.h>
#include <time.h>

/* Whether this process had started, for good, before the (real) time; false where that is not known. */
bool fm_program_started_before(const struct timespec *time);

#endif
