/* SPDX-License-Identifier: BSD-3-Clause */
/* What a failed element did, in words. */
#ifndef FM_BASE_FAILURE_H
#define FM_BASE_FAILURE_H

#include <fastmap.h>

#define FM_BASE_FAILURE_BYTES 128

/* Writes what follows "the first is 7, which ...", such as "returned 3". */
void fm_base_failure_describe(const struct fastmap_failure *failure,
                              char text[FM_BASE_FAILURE_BYTES]);

#endif
