/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * As much of a client of fastmapd as a measurement needs: signed requests over kept-alive TLS connections,
 * blocking, one at a time for each connection. Any failure ends the program with a sentence.
 */
#ifndef BENCH_SERVICE_CLIENT_H
#define BENCH_SERVICE_CLIENT_H

#include <stddef.h>

struct client; /* where the service is and who asks */
struct line;   /* a connection */

struct client *client_new(const char *url, const char *certificate, const char *token);
struct line *line_open(struct client *client);
void line_close(struct line *line);

struct reply {
    int status;
    char *body; /* with a NUL behind it; valid until the line's next call */
    size_t bytes;
    char receipt[1536];
};

/* sign 0: without the headers that sign, as another server would be asked. */
struct reply line_call(struct line *line, int sign, const char *method, const char *target,
                       const void *body, size_t bytes);

void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
