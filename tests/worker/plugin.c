/* SPDX-License-Identifier: BSD-3-Clause */
/* A function in a shared library that the program opens. */
#include <fastmap.h>

int plugin_element(const void *in, void *out, const void *shared);

int plugin_element(const void *in, void *out, const void *shared)
{
    const double x = *(const double *)in;
    (void)shared;
    *(double *)out = x * x + (double)fastmap_index();
    return 0;
}
