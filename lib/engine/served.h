/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FM_ENGINE_SERVED_H
#define FM_ENGINE_SERVED_H

#include <stdbool.h>

/* Whether fastmap-run started this process as one rank of a serial program: rank 0 is the program, the others
   serve. One look at the environment. */
bool fm_engine_served(void);

#endif
