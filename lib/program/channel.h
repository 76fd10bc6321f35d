/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One side's end of the socket between a host and its worker: whole frames, counted, with or without a
 * descriptor. docs/WORKER.md tells who says what when; that is for the callers.
 */
#ifndef FM_PROGRAM_CHANNEL_H
#define FM_PROGRAM_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/worker.h"

struct fm_program_channel {
    int fd;
    uint32_t sent;
    uint32_t received;
    uint8_t bytes[FM_WIRE_WORKER_MOST]; /* of the frame received last: its texts point here */
};

/* Makes a pair of connected sockets that no exec() inherits. False: errno says why. */
bool fm_program_channel_pair(int ends[2]);

/* An end that nothing has gone through yet. */
void fm_program_channel_open(struct fm_program_channel *channel, int fd);

/* Sends a frame (its sequence is filled in here), with a descriptor unless that is -1, without waiting: a
   peer that does not read what it was sent has failed. False: the peer has gone or does not read. Safe in a
   signal handler. */
bool fm_program_channel_send(struct fm_program_channel *channel, struct fm_wire_worker_frame *frame,
                             int descriptor);

enum fm_program_channel_got {
    FM_PROGRAM_CHANNEL_FRAME,
    FM_PROGRAM_CHANNEL_NOTHING, /* would have had to wait */
    FM_PROGRAM_CHANNEL_CLOSED,  /* the peer has gone */
    FM_PROGRAM_CHANNEL_WRONG    /* what came is no valid frame: *wrong says why */
};

/* Receives the next frame, waiting for it or not. A descriptor that came with it is stored where
   `descriptor` is given (-1: none came), and refused otherwise: a host passes NULL. */
enum fm_program_channel_got fm_program_channel_receive(struct fm_program_channel *channel,
                                                       bool waits,
                                                       struct fm_wire_worker_frame *frame,
                                                       int *descriptor, const char **wrong);

#endif
