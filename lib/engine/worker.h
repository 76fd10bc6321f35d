/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that computes spans for another one, its host. docs/WORKER.md tells of the two. */
#ifndef FM_ENGINE_WORKER_H
#define FM_ENGINE_WORKER_H

#include <stdbool.h>

/* Whether somebody started this process as a worker, and it does not serve yet. */
bool fm_engine_worker_is_called(void);

/* Serves until the host says goodbye or goes. 0, or STATE where what the host says makes no sense. */
int fm_engine_worker_serve(void);

/* Whether this process serves a host: maps inside elements then stay in the thread that calls them. */
bool fm_engine_worker_serves(void);

#endif
