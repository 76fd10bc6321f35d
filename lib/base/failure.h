/* SPDX-License-Identifier: BSD-3-Clause */
/* What failed elements did: in words, and a list of those of lowest index. */
#ifndef FM_BASE_FAILURE_H
#define FM_BASE_FAILURE_H

#include <fastmap.h>
#include <stddef.h>

#define FM_BASE_FAILURE_BYTES 128

/* Writes what follows "the first is 7, which ...", such as "returned 3". */
void fm_base_failure_describe(const struct fastmap_failure *failure,
                              char text[FM_BASE_FAILURE_BYTES]);

/* Adds one to a list that ascends by index and keeps the lowest, whatever order they come in. Returns how
   many are listed then. */
size_t fm_base_failure_insert(struct fastmap_failure list[FASTMAP_REPORT_FAILURES], size_t listed,
                              const struct fastmap_failure *failure);

#endif
