/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether to send bodies in fewer bytes: only where they arrive sooner for it, by what has been measured of
 * the link, of the packing, and of what is packed. For each kind of body and direction a struct; all 0 is
 * the beginning.
 *
 *   - On a link of unknown rate, and on one that carries bytes as fast as they can be packed, nothing is
 *     packed, and nothing is tried.
 *   - Else some kilobytes out of a body's middle tell what packing them saves and takes. Where that pays, the
 *     body is packed, and tells the same of the next ones.
 *   - Where it does not pay, it is tried again after as many bytes as make a trial cheap, and after twice as
 *     many each time.
 *
 * One thread at a time.
 */
#ifndef FM_SERVICE_PRESS_H
#define FM_SERVICE_PRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fm_service_press {
    double link;       /* bytes a second that the link carries; 0: unknown */
    double speed;      /* bytes a second that are packed; 0: unknown */
    double left;       /* of a byte, when it is packed; 1: packing does not help */
    uint64_t patience; /* bytes to be sent before it is tried again */
    unsigned denied;   /* trials in a row that said no */
};

enum fm_service_press_way {
    FM_SERVICE_PRESS_PLAIN, /* as it is */
    FM_SERVICE_PRESS_TRY,   /* learn from a sample, then ask fm_service_press_pays() */
    FM_SERVICE_PRESS_PACK
};

/* What to do with the next body. */
enum fm_service_press_way fm_service_press_next(struct fm_service_press *press, size_t bytes);

/* What packing so many bytes has given (0: not fewer) and taken. */
void fm_service_press_learn(struct fm_service_press *press, size_t bytes, size_t packed,
                            double seconds);

bool fm_service_press_pays(const struct fm_service_press *press);

/* All of it for one body. Memory with *packed bytes, to be freed; NULL: send it as it is. */
void *fm_service_press_body(struct fm_service_press *press, const void *bytes, size_t count,
                            size_t *packed);

/* ---- How fast bodies come ---- */

/* Bytes that came while at least one body was coming, over the time of that. The receiver is the one who
   knows; it tells the sender. */
struct fm_service_gauge {
    unsigned coming;
    double since_s, seconds, bytes;
};

/* Bytes of a body have come, its first ones or others; it has come to its end, or will not. The first bytes
   of all only begin the time. */
void fm_service_gauge_take(struct fm_service_gauge *gauge, bool first, size_t bytes, double at_s);
void fm_service_gauge_end(struct fm_service_gauge *gauge, double at_s);

/* Bytes a second; 0: too few have come to tell. */
double fm_service_gauge_rate(const struct fm_service_gauge *gauge);

#endif
