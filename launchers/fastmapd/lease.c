/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread, and the file `host`: which lease this state folder had last, so that a daemon that comes
 * again need not wait for the end of it.
 */
#include "lease.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "log.h"
#include "maps.h"
#include "paths.h"
#include "text.h"

#define NAME "host"

enum { PARTS = 4 /* of a lease, after each of which it is put off */, AGAIN_S = 1 };

struct fmd_lease {
    struct fmd_service *service;
    int folder;
    pthread_t thread;
    pthread_mutex_t mutex; /* protects ends */
    pthread_cond_t wake;
    bool ends;
};

/* ---- The file -------------------------------------------------------------------------------- */

/* -1: none. A folder that somebody else could write to would not have been opened. */
static int64_t read_before(int folder)
{
    char text[32] = "";
    int64_t before = -1;
    const int fd = openat(folder, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    const ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return fmd_text_number(text, &before) ? before : -1;
}

static int write_host(int folder, int64_t host)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, host);
    return fmd_paths_write(folder, NAME, text, strlen(text));
}

/* ---- The place ------------------------------------------------------------------------------- */

static void say_closed(int64_t closed)
{
    if (closed > 0)
        fmd_log(FMD_LOG_INFO, "recovered", "maps=%" PRId64, closed);
}

static int enter(struct fmd_lease *lease, int64_t before)
{
    struct fmd_service *service = lease->service;
    int64_t host, closed = 0;
    const int rc =
        fmd_ledger_enter(service->ledger, before, service->config->lease_s, &host, &closed);
    if (rc != 0)
        return rc;
    atomic_store(&service->host, host);
    say_closed(closed);
    return write_host(lease->folder, host);
}

static void say_failure(void)
{
    char quoted[FMD_LOG_QUOTED];
    fmd_log(FMD_LOG_ERROR, "ledger", "why=%s", fmd_log_quote(fm_base_last_error(), quoted));
}

/* The maps go first: what is opened meanwhile is refused for want of a lease. */
static int replace(struct fmd_lease *lease)
{
    fmd_log(FMD_LOG_ERROR, "lease-lost",
            "host=%" PRId64
            " why=\"not heard of for lease_s seconds, or another daemon has started "
            "from a copy of the state folder; open maps are given up\"",
            (int64_t)atomic_load(&lease->service->host));
    fmd_maps_expire(lease->service->maps, 0);
    return enter(lease, -1);
}

/* Seconds until the next time. */
static int64_t keep(struct fmd_lease *lease)
{
    const struct fmd_service *service = lease->service;
    const int64_t part_s = service->config->lease_s / PARTS;
    int64_t closed = 0;
    bool stays = false;
    int rc = fmd_ledger_stay(service->ledger, atomic_load(&service->host), service->config->lease_s,
                             &stays, &closed);
    if (rc == 0 && !stays)
        rc = replace(lease);
    if (rc != 0)
        say_failure();
    say_closed(rc == 0 ? closed : 0);
    return rc != 0 || part_s < AGAIN_S ? AGAIN_S : part_s;
}

/* False when the thread is to end. */
static bool wait_for(struct fmd_lease *lease, int64_t seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    pthread_mutex_lock(&lease->mutex);
    int rc = 0;
    while (!lease->ends && rc == 0)
        rc = pthread_cond_timedwait(&lease->wake, &lease->mutex, &end);
    const bool goes_on = !lease->ends;
    pthread_mutex_unlock(&lease->mutex);
    return goes_on;
}

static void *keep_on(void *argument)
{
    struct fmd_lease *lease = argument;
    int64_t seconds = AGAIN_S;
    while (wait_for(lease, seconds))
        seconds = keep(lease);
    return NULL;
}

int fmd_lease_start(struct fmd_service *service, int folder, struct fmd_lease **out)
{
    pthread_condattr_t monotonic;
    struct fmd_lease *lease = calloc(1, sizeof *lease);
    if (lease == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for a lease");
    lease->service = service;
    lease->folder = folder;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&lease->mutex, NULL);
    pthread_cond_init(&lease->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int rc = enter(lease, read_before(folder));
    if (rc == 0 && pthread_create(&lease->thread, NULL, keep_on, lease) != 0)
        rc = fm_base_fail(FASTMAP_ERR_STATE, "no thread to keep the lease with");
    if (rc != 0) {
        pthread_cond_destroy(&lease->wake);
        pthread_mutex_destroy(&lease->mutex);
        free(lease);
        return rc;
    }
    *out = lease;
    return 0;
}

void fmd_lease_stop(struct fmd_lease *lease)
{
    pthread_mutex_lock(&lease->mutex);
    lease->ends = true;
    pthread_cond_signal(&lease->wake);
    pthread_mutex_unlock(&lease->mutex);
    pthread_join(lease->thread, NULL);
    if (fmd_ledger_leave(lease->service->ledger, atomic_load(&lease->service->host)) != 0)
        say_failure();
    pthread_cond_destroy(&lease->wake);
    pthread_mutex_destroy(&lease->mutex);
    free(lease);
}
