/* SPDX-License-Identifier: BSD-3-Clause */
#include "tier/cloud/say.h"

#include <stdarg.h>
#include <time.h>

#include "base/text.h"

bool fm_cloud_say(char why[FM_TIER_CLOUD_WHY], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fm_base_text_format(why, FM_TIER_CLOUD_WHY, fmt, args);
    va_end(args);
    return false;
}

double fm_cloud_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
