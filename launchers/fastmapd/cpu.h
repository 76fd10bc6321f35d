/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this host's processor is, and what programs may have it do (lib/program/cpu.h).
 */
#ifndef FMD_CPU_H
#define FMD_CPU_H

#include <stdbool.h>

const char *fmd_cpu_architecture(void); /* x86_64 */
const char *fmd_cpu_model(void);        /* "" where it is not told */
const char *fmd_cpu_features(void);     /* one blank between */

/* Whether it has a feature of that name. */
bool fmd_cpu_has(const char *feature);

#endif
