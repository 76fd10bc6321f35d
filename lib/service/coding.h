/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bodies in fewer bytes: one frame of zstd (RFC 8878), where both sides have it. coding_zstd.c, or
 * coding_none.c where the build has no libzstd; who asks is_there() first need not know which.
 *
 * What comes is not trusted. The reader is told how many bytes a frame must give and never gives more; it
 * takes one frame and nothing behind it, without a dictionary, and with a window that bounds its memory.
 * Threads: any, a reader one at a time.
 */
#ifndef FM_SERVICE_CODING_H
#define FM_SERVICE_CODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_SERVICE_CODING "zstd" /* in headers, and in the list of what a service takes */

/* 2 to the power of this: bytes of a frame's window at most. */
#define FM_SERVICE_CODING_WINDOW_LOG 20

bool fm_service_coding_is_there(void);

/* Packs the bytes into `room` bytes at `to`. 0: they do not fit, no memory, or there is no zstd. */
size_t fm_service_coding_pack(const void *bytes, size_t count, void *to, size_t room);

struct fm_service_unpack;

/* Takes what a frame gives, in order. False ends it. */
typedef bool fm_service_unpack_sink(void *context, const void *bytes, size_t count);

/* A reader of a frame that gives `exact` bytes. NULL: no memory, or there is no zstd. */
struct fm_service_unpack *fm_service_unpack_new(uint64_t exact);

/* The next bytes of the frame. False: they are none of such a frame, or the sink has said so. */
bool fm_service_unpack_feed(struct fm_service_unpack *unpack, const void *bytes, size_t count,
                            fm_service_unpack_sink *sink, void *context);

/* Whether the frame has ended, and has given what it was to give. */
bool fm_service_unpack_is_whole(const struct fm_service_unpack *unpack);

void fm_service_unpack_free(struct fm_service_unpack *unpack); /* may be NULL */

#endif
