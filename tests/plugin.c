/* SPDX-License-Identifier: BSD-3-Clause */
/* What tests open with dlopen(): a function in a shared library that the program is not linked with. */
int plugin_triple(const void *in, void *out, const void *shared);

int plugin_triple(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = 3 * *(const int *)in;
    return 0;
}
