/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast a map's bodies come and go, and whether its outputs are packed.
 */
#ifndef FMD_PACKING_H
#define FMD_PACKING_H

#include <pthread.h>

#include "service/press.h"

struct fmd_open;
struct fmd_request;

/* Inputs on their way in, over all connections of a map. Threads: any. */
struct fmd_meter {
    pthread_mutex_t mutex;
    struct fm_service_gauge gauge;
};

void fmd_meter_take(struct fmd_meter *meter, bool first, size_t bytes);
void fmd_meter_end(struct fmd_meter *meter);

/* To an answer with outputs: how fast inputs come, and, where the client takes that and has them sooner, the
   outputs in fewer bytes. */
void fmd_packing_answer(struct fmd_request *request, struct fmd_open *open);

#endif
