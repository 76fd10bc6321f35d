/* SPDX-License-Identifier: BSD-3-Clause */
/* The arenas that a worker has mapped. */
#ifndef FM_ENGINE_ARENAS_H
#define FM_ENGINE_ARENAS_H

#include <stdint.h>

/* Where the shared memory behind the descriptor is mapped, for reading and writing; it is mapped if it is not
   yet. What was returned before is no longer to be used. NULL: it cannot be, or is smaller than `bytes`. */
void *fm_engine_arena(int descriptor, uint64_t bytes);

#endif
