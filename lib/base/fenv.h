/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The floating-point environment that travels with a map: rounding mode, flush-to-zero, denormals and
 * trap masks of the caller hold in every thread that helps; exception flags that a helper raises come
 * back to the caller, so that fetestexcept() after a map answers as it would after the loop.
 *
 * Each platform file defines struct fm_base_fenv and:
 *   fm_base_fenv_get(&env)    reads the calling thread's control state (a few nanoseconds)
 *   fm_base_fenv_swap(&env)   enters env with no flag raised; returns the thread's former state
 *   fm_base_fenv_leave(&old)  returns the flags raised since the swap and restores the former state
 *   fm_base_fenv_raise(flags) raises flags in the calling thread, without trapping
 */
#ifndef FM_BASE_FENV_H
#define FM_BASE_FENV_H

#if defined(__x86_64__)
#include "base/fenv_x86.h"
#else
#include "base/fenv_c99.h"
#endif

#endif
