/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory this machine has for fastmapd: what is physically there, or less where a cgroup limits it.
 */
#ifndef FMD_MEMORY_H
#define FMD_MEMORY_H

#include <stdint.h>

uint64_t fmd_memory_bytes(void);

#endif
