/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A line is put together and written by one call, so that those of several threads do not mix.
 */
#include "log.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum fmd_log_level shown = FMD_LOG_INFO;

void fmd_log_start(enum fmd_log_level level)
{
    shown = level;
}

bool fmd_log_is_on(enum fmd_log_level level)
{
    return level <= shown;
}

const char *fmd_log_quote(const char *text, char quoted[FMD_LOG_QUOTED])
{
    size_t length = 0;
    quoted[length++] = '"';
    for (; *text != '\0'; text++) {
        if (length + 9 > FMD_LOG_QUOTED) {
            memcpy(quoted + length, "...", 3);
            length += 3;
            break;
        }
        if (*text < ' ' || *text > '~')
            length += (size_t)snprintf(quoted + length, 5, "\\x%02x", (unsigned char)*text);
        else {
            if (*text == '"' || *text == '\\')
                quoted[length++] = '\\';
            quoted[length++] = *text;
        }
    }
    quoted[length++] = '"';
    quoted[length] = '\0';
    return quoted;
}

static size_t put_head(char *line, size_t bytes, enum fmd_log_level level, const char *event)
{
    static const char *const names[] = {"error", "info", "debug"};
    struct timespec now;
    struct tm parts;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    return (size_t)snprintf(line, bytes, "time=%s.%03ldZ level=%s event=%s ", date,
                            now.tv_nsec / 1000000, names[level], event);
}

void fmd_log(enum fmd_log_level level, const char *event, const char *fmt, ...)
{
    char line[2048];
    if (!fmd_log_is_on(level))
        return;
    size_t length = put_head(line, sizeof line - 1, level, event);
    va_list args;
    va_start(args, fmt);
    const int wanted = vsnprintf(line + length, sizeof line - 1 - length, fmt, args);
    va_end(args);
    length += wanted < 0 ? 0 : (size_t)wanted;
    if (length > sizeof line - 2)
        length = sizeof line - 2;
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, length) < 0)
        return; /* nobody to tell */
}
