/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/failure.h"

#include <stdio.h>
#include <string.h>

void fm_base_failure_describe(const struct fastmap_failure *failure,
                              char text[FM_BASE_FAILURE_BYTES])
{
    if (failure->signal > 0)
        (void)snprintf(text, FM_BASE_FAILURE_BYTES, "ended its worker by signal %d (%s)",
                       failure->signal, strsignal(failure->signal));
    else if (failure->signal == FASTMAP_ENDING_EXIT)
        (void)snprintf(text, FM_BASE_FAILURE_BYTES, "called exit(%d)", failure->code);
    else if (failure->signal == FASTMAP_ENDING_TIMEOUT)
        (void)snprintf(text, FM_BASE_FAILURE_BYTES, "took longer than element_timeout");
    else if (failure->signal == FASTMAP_ENDING_LOST)
        (void)snprintf(text, FM_BASE_FAILURE_BYTES, "took its worker along, nobody knows how");
    else
        (void)snprintf(text, FM_BASE_FAILURE_BYTES, "returned %d", failure->code);
}

size_t fm_base_failure_insert(struct fastmap_failure list[FASTMAP_REPORT_FAILURES], size_t listed,
                              const struct fastmap_failure *failure)
{
    size_t at = listed;
    while (at > 0 && list[at - 1].index > failure->index)
        at--;
    if (at == FASTMAP_REPORT_FAILURES)
        return listed;
    const size_t kept = listed < FASTMAP_REPORT_FAILURES ? listed : FASTMAP_REPORT_FAILURES - 1;
    memmove(list + at + 1, list + at, (kept - at) * sizeof *failure);
    list[at] = *failure;
    return kept + 1;
}
