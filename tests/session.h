/* SPDX-License-Identifier: BSD-3-Clause */
/* A session of its own for a test: a given number of threads, and warnings only. */
#ifndef FM_TEST_SESSION_H
#define FM_TEST_SESSION_H

#include <fastmap.h>

#include "test.h"

static inline struct fastmap_session *session_of(int width)
{
    const struct fastmap_config config =
        FASTMAP_CONFIG(.max_local_workers = width, .verbosity = FASTMAP_VERBOSITY_QUIET);
    struct fastmap_session *session = NULL;
    CHECK_EQ_INT(fastmap_init(&config, &session), 0);
    return session;
}

#endif
