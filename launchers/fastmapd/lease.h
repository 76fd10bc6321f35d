/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's place among those that share its ledger (ledger_hosts.c): taken when it starts, kept by a
 * thread of its own, which nothing else that the daemon does can delay, given back when it ends. Where the
 * place is lost, because the daemon or its way to the database stood still for too long, its maps are over
 * and it takes another.
 */
#ifndef FMD_LEASE_H
#define FMD_LEASE_H

#include "service.h"

struct fmd_lease;

/* folder: the state folder, where the lease is written down. Sets service->host; maps must be there. */
int fmd_lease_start(struct fmd_service *service, int folder, struct fmd_lease **out);

/* When no map is open any more. */
void fmd_lease_stop(struct fmd_lease *lease);

#endif
