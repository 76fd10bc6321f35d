/* SPDX-License-Identifier: BSD-3-Clause */
#include "service/press.h"

#include <stdlib.h>
#include <time.h>

#include "service/coding.h"

#define BODY_LEAST ((size_t)4 << 10)
#define SAMPLE ((size_t)32 << 10)
#define LINK_MOST 2e9             /* bytes a second: nothing packs faster */
#define TRIAL_BYTES (50 * SAMPLE) /* between trials at first: they cost 2% at most */
#define DENIED_MOST 4             /* doublings of that */
#define UNPACKS_FASTER 3          /* the reader than the packer, at least */
#define GAIN 0.9                  /* of the plain time that a packed body may take */
#define NEW 0.3                   /* weight of a new measurement */
#define GAUGE_S 1.0               /* older time counts half, each time that so much is over */
#define GAUGE_LEAST ((size_t)32 << 10)

/* ---- Decisions --------------------------------------------------------------------------------------- */

bool fm_service_press_pays(const struct fm_service_press *press)
{
    if (press->link <= 0 || press->speed <= 0 || press->link >= press->speed)
        return false;
    const double plain = 1 / press->link;
    const double packed = (1 + 1.0 / UNPACKS_FASTER) / press->speed + press->left / press->link;
    return packed < GAIN * plain;
}

enum fm_service_press_way fm_service_press_next(struct fm_service_press *press, size_t bytes)
{
    if (bytes < BODY_LEAST || press->link <= 0 || press->link >= LINK_MOST)
        return FM_SERVICE_PRESS_PLAIN;
    if (fm_service_press_pays(press))
        return FM_SERVICE_PRESS_PACK;
    if (press->patience > bytes) {
        press->patience -= bytes;
        return FM_SERVICE_PRESS_PLAIN;
    }
    return FM_SERVICE_PRESS_TRY;
}

void fm_service_press_learn(struct fm_service_press *press, size_t bytes, size_t packed,
                            double seconds)
{
    const double left = packed > 0 ? (double)packed / (double)bytes : 1;
    const double speed = (double)bytes / (seconds > 1e-9 ? seconds : 1e-9);
    const bool smooth = packed > 0 && fm_service_press_pays(press);
    press->left = smooth ? (1 - NEW) * press->left + NEW * left : left;
    press->speed = smooth ? 1 / ((1 - NEW) / press->speed + NEW / speed) : speed;
    if (fm_service_press_pays(press)) {
        press->denied = 0;
        return;
    }
    press->patience = (uint64_t)TRIAL_BYTES << press->denied;
    press->denied += press->denied < DENIED_MOST;
}

/* ---- A body ------------------------------------------------------------------------------------------ */

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void try_sample(struct fm_service_press *press, const char *bytes, size_t count)
{
    char packed[SAMPLE];
    const size_t sample = count < SAMPLE ? count : SAMPLE;
    const double begun = now_s();
    const size_t got =
        fm_service_coding_pack(bytes + (count - sample) / 2, sample, packed, sample - sample / 10);
    fm_service_press_learn(press, sample, got, now_s() - begun);
}

void *fm_service_press_body(struct fm_service_press *press, const void *bytes, size_t count,
                            size_t *packed)
{
    enum fm_service_press_way way = fm_service_press_next(press, count);
    if (way == FM_SERVICE_PRESS_TRY) {
        try_sample(press, bytes, count);
        way = fm_service_press_pays(press) ? FM_SERVICE_PRESS_PACK : FM_SERVICE_PRESS_PLAIN;
    }
    const size_t room = count - count / 10; /* what saves less is no gain */
    void *to = way == FM_SERVICE_PRESS_PACK ? malloc(room) : NULL;
    if (to == NULL)
        return NULL;
    const double begun = now_s();
    *packed = fm_service_coding_pack(bytes, count, to, room);
    fm_service_press_learn(press, count, *packed, now_s() - begun);
    if (*packed > 0)
        return to;
    free(to);
    return NULL;
}

/* ---- How fast bodies come ---------------------------------------------------------------------------- */

void fm_service_gauge_take(struct fm_service_gauge *gauge, bool first, size_t bytes, double at_s)
{
    if (first && gauge->coming++ == 0)
        gauge->since_s = at_s;
    else
        gauge->bytes += (double)bytes;
}

void fm_service_gauge_end(struct fm_service_gauge *gauge, double at_s)
{
    gauge->seconds += at_s - gauge->since_s;
    gauge->since_s = at_s;
    gauge->coming--;
    if (gauge->seconds > GAUGE_S) {
        gauge->seconds /= 2;
        gauge->bytes /= 2;
    }
}

double fm_service_gauge_rate(const struct fm_service_gauge *gauge)
{
    return gauge->bytes >= GAUGE_LEAST && gauge->seconds > 0 ? gauge->bytes / gauge->seconds : 0;
}
