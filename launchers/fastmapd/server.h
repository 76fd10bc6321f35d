/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HTTPS: connections, headers, bodies, answers, by libmicrohttpd with a thread for each connection. All that
 * it
 * knows of the service is struct fmd_request.
 */
#ifndef FMD_SERVER_H
#define FMD_SERVER_H

#include "certificate.h"
#include "service.h"

struct fmd_server;

/* Binds and listens at once; `url` gets the address that clients use. */
#define FMD_SERVER_URL 128
int fmd_server_start(struct fmd_service *service, const struct fmd_certificate *certificate,
                     struct fmd_server **server, char url[FMD_SERVER_URL]);

/* Accepts no more connections. */
void fmd_server_quiet(struct fmd_server *server);

/* Ends all connections; calls that wait must have been told to end. */
void fmd_server_stop(struct fmd_server *server);

#endif
