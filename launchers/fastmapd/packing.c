/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client tells how fast outputs arrive at its end: it is the one who knows. What packing them takes and
 * saves is measured here, for each map.
 */
#include "packing.h"

#include "maps.h"
#include "request.h"
#include "service/coding.h"

static double now_s(void)
{
    return (double)fmd_now_ns() * 1e-9;
}

void fmd_meter_take(struct fmd_meter *meter, bool first, size_t bytes)
{
    pthread_mutex_lock(&meter->mutex);
    fm_service_gauge_take(&meter->gauge, first, bytes, now_s());
    pthread_mutex_unlock(&meter->mutex);
}

void fmd_meter_end(struct fmd_meter *meter)
{
    pthread_mutex_lock(&meter->mutex);
    fm_service_gauge_end(&meter->gauge, now_s());
    pthread_mutex_unlock(&meter->mutex);
}

static int64_t rate_of(struct fmd_meter *meter)
{
    pthread_mutex_lock(&meter->mutex);
    const double rate = fm_service_gauge_rate(&meter->gauge);
    pthread_mutex_unlock(&meter->mutex);
    return rate < 1e15 ? (int64_t)rate : 0;
}

/* Several spans may be packed at the same time, each with what was known when it began. */
static void pack(struct fmd_request *request, struct fmd_open *open)
{
    struct fmd_answer *answer = &request->answer;
    pthread_mutex_lock(&open->mutex);
    struct fm_service_press press = open->press;
    pthread_mutex_unlock(&open->mutex);
    press.link = (double)request->client_rate;
    answer->packed = fm_service_press_body(&press, answer->outcome->body, answer->outcome->bytes,
                                           &answer->packed_bytes);
    pthread_mutex_lock(&open->mutex);
    open->press = press;
    pthread_mutex_unlock(&open->mutex);
}

void fmd_packing_answer(struct fmd_request *request, struct fmd_open *open)
{
    request->answer.rate = rate_of(&open->meter);
    if (request->takes_packed && fm_service_coding_is_there())
        pack(request, open);
}
