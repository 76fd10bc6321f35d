/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file `clock` has one decimal number: no signature of that second or an earlier one is taken any more.
 */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "paths.h"
#include "text.h"

#define NAME "clock"
#define SECOND_NS INT64_C(1000000000)

static int64_t read_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void grow(atomic_int_fast64_t *value, int64_t to)
{
    int_fast64_t now = atomic_load(value);
    while (now < to && !atomic_compare_exchange_weak(value, &now, to))
        continue;
}

static int read_file(const struct fmd_clock *clock, const char *folder_path, int64_t *seconds)
{
    char path[PATH_MAX];
    char *text;
    size_t length;
    *seconds = 0;
    if (faccessat(clock->folder, NAME, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return 0;
    snprintf(path, sizeof path, "%s/" NAME, folder_path);
    const int rc = fmd_paths_read(path, FMD_PATHS_TRUSTED, 32, &text, &length);
    if (rc != 0)
        return rc;
    const bool is_number = fmd_text_number(text, seconds);
    free(text);
    return is_number ? 0
                     : fm_base_fail(FASTMAP_ERR_CONFIG, "%s is no number; remove the file", path);
}

/* A daemon that is started anew within a second waits for the next one: its clients know the time. */
static void wait_a_moment(int64_t until_ns)
{
    const int64_t wait_ns = until_ns - read_ns(CLOCK_REALTIME);
    const struct timespec moment = {.tv_nsec = (long)wait_ns};
    if (wait_ns > 0 && wait_ns < SECOND_NS)
        nanosleep(&moment, NULL);
}

int fmd_clock_start(struct fmd_clock *clock, int folder, const char *folder_path)
{
    *clock = (struct fmd_clock){.folder = folder};
    const int rc = read_file(clock, folder_path, &clock->written_s);
    if (rc != 0)
        return rc;
    const int64_t after_ns = (clock->written_s + 1) * SECOND_NS;
    wait_a_moment(after_ns);
    const int64_t wall_ns = read_ns(CLOCK_REALTIME);
    const int64_t begin_ns = wall_ns > after_ns ? wall_ns : after_ns;
    clock->started_s = begin_ns / SECOND_NS;
    atomic_store(&clock->ahead_ns, begin_ns - read_ns(CLOCK_MONOTONIC));
    return 0;
}

int64_t fmd_clock_now_s(struct fmd_clock *clock)
{
    const int64_t steady_ns = read_ns(CLOCK_MONOTONIC);
    grow(&clock->ahead_ns, read_ns(CLOCK_REALTIME) - steady_ns);
    return (steady_ns + atomic_load(&clock->ahead_ns)) / SECOND_NS;
}

void fmd_clock_take(struct fmd_clock *clock, int64_t signed_s)
{
    grow(&clock->signed_s, signed_s);
}

int fmd_clock_write(struct fmd_clock *clock)
{
    char text[24];
    const int64_t signed_s = atomic_load(&clock->signed_s);
    if (signed_s <= clock->written_s)
        return 0;
    snprintf(text, sizeof text, "%" PRId64, signed_s);
    const int rc = fmd_paths_write(clock->folder, NAME, text, strlen(text));
    if (rc == 0)
        clock->written_s = signed_s;
    return rc;
}
