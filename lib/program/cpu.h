/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the processor may be asked to do by a program of this process: features that a compiler uses when it
 * is told to, or by which a mathematical library chooses its code (and so its last bits). A program runs
 * only on hosts that have all of them. What serves the kernel, timing, security and power is left out.
 *
 * Each platform file defines fm_program_cpu(text, bytes): the names, sorted by their bytes, a space between.
 */
#ifndef FM_PROGRAM_CPU_H
#define FM_PROGRAM_CPU_H

#if defined(__x86_64__)
#include "program/cpu_x86.h"
#else
#include "program/cpu_hwcap.h"
#endif

#define FM_PROGRAM_CPU_BYTES 2048

#endif
