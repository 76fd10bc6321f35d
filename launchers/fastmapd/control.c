/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread that accepts, writes and closes.
 */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/thread.h"
#include "metrics.h"
#include "request.h"
#include "text.h"

struct fmd_control {
    struct fmd_service *service;
    pthread_t thread;
    int fd;
    struct sockaddr_un address;
    char url[128];
};

static void put(FILE *to, const char *name, int64_t value)
{
    fprintf(to, "  %-22s %16" PRId64 "\n", name, value);
}

static void put_all(FILE *to, const struct fmd_control *control)
{
    struct fmd_pool_numbers pool;
    char charged[FMD_TEXT_DOLLARS], held[FMD_TEXT_DOLLARS];
    const int64_t up_s = (fmd_now_ns() - control->service->started_ns) / 1000000000;
    fmd_pool_count(control->service->pool, &pool);
    fmd_text_dollars(fmd_metrics_get(FMD_METRIC_charged_nano), charged);
    fmd_text_dollars(fmd_metrics_get(FMD_METRIC_held_nano), held);
    fprintf(to, "%s  %s for %" PRId64 " s  workers confined by %s\n\n", control->url,
            atomic_load(&control->service->draining) ? "draining" : "up", up_s,
            fmd_pool_confinement(control->service->pool));
    put(to, "connections", fmd_metrics_get(FMD_METRIC_connections));
    put(to, "requests", fmd_metrics_get(FMD_METRIC_requests));
    put(to, "refused", fmd_metrics_get(FMD_METRIC_refused));
    put(to, "open maps", fmd_metrics_get(FMD_METRIC_maps_open));
    put(to, "workers", (int64_t)pool.workers);
    put(to, "workers idle", (int64_t)pool.idle);
    put(to, "spans running", (int64_t)pool.running);
    put(to, "spans queued", (int64_t)pool.queued);
    put(to, "spans done", fmd_metrics_get(FMD_METRIC_spans_done));
    put(to, "spans cut", fmd_metrics_get(FMD_METRIC_spans_cut));
    put(to, "spans late", fmd_metrics_get(FMD_METRIC_spans_late));
    put(to, "spans died", fmd_metrics_get(FMD_METRIC_spans_died));
    put(to, "spans lost", fmd_metrics_get(FMD_METRIC_spans_lost));
    put(to, "CPU milliseconds", fmd_metrics_get(FMD_METRIC_cpu_ns) / 1000000);
    fprintf(to, "  %-22s %16s\n  %-22s %16s\n", "charged US$", charged, "held US$", held);
}

static void answer(const struct fmd_control *control, int fd)
{
    char *text = NULL;
    size_t length = 0;
    FILE *to = open_memstream(&text, &length);
    if (to == NULL)
        return;
    put_all(to, control);
    if (fclose(to) == 0)
        send(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT); /* less than a socket's buffer */
    free(text);
}

static void *run(void *argument)
{
    const struct fmd_control *control = argument;
    for (;;) {
        const int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            answer(control, fd);
            close(fd);
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EMFILE && errno != ENFILE)
            return NULL; /* shut down */
    }
}

int fmd_control_start(struct fmd_service *service, const char *url, struct fmd_control **out)
{
    struct fmd_control *control = calloc(1, sizeof *control);
    if (control == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the control socket");
    control->service = service;
    control->address.sun_family = AF_UNIX;
    snprintf(control->url, sizeof control->url, "%s", url);
    const int length = snprintf(control->address.sun_path, sizeof control->address.sun_path,
                                "%s/control", service->config->state);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(control->address.sun_path); /* of a daemon that died: the lock is ours */
    if (length >= (int)sizeof control->address.sun_path || control->fd < 0 ||
        bind(control->fd, (struct sockaddr *)&control->address, sizeof control->address) != 0 ||
        listen(control->fd, 8) != 0 ||
        !fm_base_thread_start(&control->thread, run, control, "fastmapd-ctl")) {
        if (control->fd >= 0)
            close(control->fd);
        free(control);
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "cannot make the socket control in %s; is its path longer than 99 bytes?",
            service->config->state);
    }
    *out = control;
    return 0;
}

void fmd_control_stop(struct fmd_control *control)
{
    shutdown(control->fd, SHUT_RDWR);
    pthread_join(control->thread, NULL);
    close(control->fd);
    unlink(control->address.sun_path);
    free(control);
}
