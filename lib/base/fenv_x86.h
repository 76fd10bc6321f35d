/* SPDX-License-Identifier: BSD-3-Clause */
/* x86-64: MXCSR (SSE, AVX) and the x87 control word. The six sticky flags are the low bits of both. */
#ifndef FM_BASE_FENV_X86_H
#define FM_BASE_FENV_X86_H

#include <stdint.h>
#include <xmmintrin.h>

#define FM_BASE_FENV_FLAGS 0x3fu

struct fm_base_fenv {
    uint32_t mxcsr;
    uint16_t x87_control;
};

static inline void fm_base_fenv_get(struct fm_base_fenv *env)
{
    env->mxcsr = _mm_getcsr();
    __asm__ volatile("fnstcw %0" : "=m"(env->x87_control));
}

/* Writing these registers costs some 30 cycles each: only where they differ. */
static inline void fm_base_fenv_set(uint32_t mxcsr, uint16_t x87_control,
                                    const struct fm_base_fenv *now)
{
    uint16_t x87_status;
    __asm__ volatile("fnstsw %0" : "=m"(x87_status));
    if ((x87_status & FM_BASE_FENV_FLAGS) != 0)
        __asm__ volatile("fnclex");
    if (x87_control != now->x87_control)
        __asm__ volatile("fldcw %0" : : "m"(x87_control));
    if (mxcsr != now->mxcsr)
        _mm_setcsr(mxcsr);
}

static inline struct fm_base_fenv fm_base_fenv_swap(const struct fm_base_fenv *env)
{
    struct fm_base_fenv old;
    fm_base_fenv_get(&old);
    fm_base_fenv_set(env->mxcsr & ~FM_BASE_FENV_FLAGS, env->x87_control, &old);
    return old;
}

static inline unsigned fm_base_fenv_leave(const struct fm_base_fenv *old)
{
    struct fm_base_fenv now;
    uint16_t x87_status;
    fm_base_fenv_get(&now);
    __asm__ volatile("fnstsw %0" : "=m"(x87_status));
    fm_base_fenv_set(old->mxcsr, old->x87_control, &now);
    return (now.mxcsr | x87_status) & FM_BASE_FENV_FLAGS;
}

static inline void fm_base_fenv_raise(unsigned flags)
{
    _mm_setcsr(_mm_getcsr() | flags);
}

#endif
