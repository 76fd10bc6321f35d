/* SPDX-License-Identifier: BSD-3-Clause */
/* Any machine with C99's <fenv.h>. */
#ifndef FM_BASE_FENV_C99_H
#define FM_BASE_FENV_C99_H

#include <fenv.h>

struct fm_base_fenv {
    fenv_t state;
};

static inline void fm_base_fenv_get(struct fm_base_fenv *env)
{
    fegetenv(&env->state);
}

static inline struct fm_base_fenv fm_base_fenv_swap(const struct fm_base_fenv *env)
{
    struct fm_base_fenv old;
    fegetenv(&old.state);
    fesetenv(&env->state);
    feclearexcept(FE_ALL_EXCEPT);
    return old;
}

static inline unsigned fm_base_fenv_leave(const struct fm_base_fenv *old)
{
    const unsigned raised = (unsigned)fetestexcept(FE_ALL_EXCEPT);
    fesetenv(&old->state);
    return raised;
}

static inline void fm_base_fenv_raise(unsigned flags)
{
    fexcept_t saved;
    fegetexceptflag(&saved, FE_ALL_EXCEPT);
    fenv_t held;
    feholdexcept(&held);
    feraiseexcept((int)flags);
    fegetexceptflag(&saved, (int)flags);
    fesetenv(&held);
    fesetexceptflag(&saved, (int)flags);
}

#endif
