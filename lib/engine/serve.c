/* SPDX-License-Identifier: BSD-3-Clause */
/* Whom a process that serves works for. */
#include "base/error.h"
#include "engine/engine.h"
#include "engine/ranks.h"
#include "engine/worker.h"

int fm_engine_serve(void)
{
    int error = 0;
    if (fm_engine_worker_is_called())
        return fm_engine_worker_serve();
    struct fastmap_session *session = fm_engine_global(&error);
    if (session == NULL)
        return error;
    struct fm_engine_world *world = fm_engine_world(session);
    if (world == NULL)
        return fm_base_fail(
            FASTMAP_ERR_STATE,
            "there is nothing to serve: fastmap_serve() is for a rank of an MPI job of "
            "several, outside maps, with ranks = AUTO");
    return fm_engine_ranks_serve(world, session);
}
