/* SPDX-License-Identifier: BSD-3-Clause */
/* The program that bench/startup compares start_linked with: it does not know fastmap. */
int main(void)
{
    return 0;
}
