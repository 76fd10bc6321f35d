/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wire between a client and a PostgreSQL server that breaks at the worst moment: with a commit on its
 * way, which the server never gets, or has carried out without the client being told.
 */
#ifndef FM_TEST_CUTTER_H
#define FM_TEST_CUTTER_H

#include <stdatomic.h>

struct cutter {
    const char *server; /* path of the server's socket */
    int port;           /* on loopback, which the system chose */
    atomic_int commits; /* seen so far */
    atomic_int
        cut_every; /* this many commits; odd ones before the server gets them, even ones after */
    atomic_int cuts;
    int listener;
};

/* 0, or -1. The threads that serve it end with their connections; cutter and server must live as long. */
int cutter_start(struct cutter *cutter, const char *server);

#endif
