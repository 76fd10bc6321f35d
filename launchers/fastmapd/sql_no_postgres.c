/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In the place of sql_postgres.c where libpq is missing.
 */
#include "base/error.h"
#include "sql_inside.h"

struct fmd_sql *fmd_sql_open_postgres(const char *address, bool is_daemon)
{
    (void)address, (void)is_daemon;
    fm_base_fail(FASTMAP_ERR_CONFIG,
                 "ledger is a PostgreSQL address, and this fastmapd was built without libpq; "
                 "install it (Debian: libpq-dev), configure and build again");
    return NULL;
}
