/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides how quantities are rounded and which unit they get: one decimal below 100, none above, and a
 * value that rounds up to the next unit is shown in that unit. Decimals are made from integers, because
 * printf's depend on the program's locale.
 */
#include "base/units.h"

#include <stdio.h>

/* A value in [0, 1000) or so, without unit. */
static void put_number(double value, const char *unit, char *text)
{
    const unsigned long tenths = (unsigned long)(value * 10.0 + 0.5);
    if (tenths < 1000)
        snprintf(text, FM_BASE_UNITS_BYTES, "%lu.%lu%s", tenths / 10, tenths % 10, unit);
    else
        snprintf(text, FM_BASE_UNITS_BYTES, "%lu%s", (unsigned long)(value + 0.5), unit);
}

/* Divides value by step until it is shown with at most three digits before the point, or the units end. */
static void put_scaled(double value, double step, const char *const *units, size_t count,
                       char *text)
{
    size_t i = 0;
    while (i + 1 < count && value >= step - 0.5) {
        value /= step;
        i++;
    }
    put_number(value, units[i], text);
}

static char *put_unknown(char *text)
{
    snprintf(text, FM_BASE_UNITS_BYTES, "?");
    return text;
}

/* Times from a minute up: two units, both whole. */
static void put_long_time(double seconds, char *text)
{
    const uint64_t s = (uint64_t)(seconds + 0.5);
    const uint64_t min = (s + 30) / 60;
    const uint64_t h = (s + 1800) / 3600;
    if (s < 3600)
        snprintf(text, FM_BASE_UNITS_BYTES, "%u min %02u s", (unsigned)(s / 60),
                 (unsigned)(s % 60));
    else if (min < 24 * 60)
        snprintf(text, FM_BASE_UNITS_BYTES, "%u h %02u min", (unsigned)(min / 60),
                 (unsigned)(min % 60));
    else
        snprintf(text, FM_BASE_UNITS_BYTES, "%llu d %02u h", (unsigned long long)(h / 24),
                 (unsigned)(h % 24));
}

char *fm_base_units_seconds(double seconds, char text[FM_BASE_UNITS_BYTES])
{
    static const char *const units[] = {" ns", " us", " ms"};
    if (!(seconds >= 0.0 && seconds < 1e12))
        return put_unknown(text);
    if (seconds < 0.05e-9)
        snprintf(text, FM_BASE_UNITS_BYTES, "0 s");
    else if (seconds < 0.9995)
        put_scaled(seconds * 1e9, 1000.0, units, 3, text);
    else if (seconds < 59.95)
        put_number(seconds, " s", text);
    else
        put_long_time(seconds, text);
    return text;
}

char *fm_base_units_count(uint64_t count, char text[FM_BASE_UNITS_BYTES])
{
    static const char *const units[] = {" M", " G", " T", " P", " E"};
    if (count < 1000)
        snprintf(text, FM_BASE_UNITS_BYTES, "%u", (unsigned)count);
    else if (count < 1000000)
        snprintf(text, FM_BASE_UNITS_BYTES, "%u,%03u", (unsigned)(count / 1000),
                 (unsigned)(count % 1000));
    else
        put_scaled((double)count / 1e6, 1000.0, units, 5, text);
    return text;
}

char *fm_base_units_rate(double per_s, char text[FM_BASE_UNITS_BYTES])
{
    static const char *const units[] = {"/s", " k/s", " M/s", " G/s", " T/s"};
    if (!(per_s >= 0.0 && per_s < 1e15))
        return put_unknown(text);
    if (per_s >= 0.1 || per_s == 0.0)
        put_scaled(per_s, 1000.0, units, 5, text);
    else if (per_s * 60.0 >= 0.1)
        put_number(per_s * 60.0, "/min", text);
    else
        put_number(per_s * 3600.0, "/h", text);
    return text;
}

char *fm_base_units_bytes(uint64_t bytes, char text[FM_BASE_UNITS_BYTES])
{
    static const char *const units[] = {" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    if (bytes < 1024)
        snprintf(text, FM_BASE_UNITS_BYTES, "%u B", (unsigned)bytes);
    else
        put_scaled((double)bytes / 1024.0, 1024.0, units, 6, text);
    return text;
}
