/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that a host and its workers share: memfds that no worker can shrink under the host's feet. */
#ifndef FM_PROCESS_MEMORY_H
#define FM_PROCESS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

struct fm_process_memory {
    int fd; /* -1: none */
    char *bytes;
    size_t size;
};

/* Makes and maps `size` bytes of zeros. False: no memory; *memory is then none. */
bool fm_process_memory_make(struct fm_process_memory *memory, size_t size);

/* A copy of a block, which nobody can write to any more and which is not mapped here. */
bool fm_process_memory_copy(struct fm_process_memory *memory, const void *block, size_t size);

void fm_process_memory_drop(struct fm_process_memory *memory);

#endif
