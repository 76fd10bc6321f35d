#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# test_ledger once more, over PostgreSQL.
# shellcheck disable=SC2154
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/postgres_tap.sh"
needs_postgres
trap 'postgres_stop; rm -rf "$tap_scratch"' EXIT
postgres_start || {
    plan 1
    cat "$tap_scratch/initdb" "$tap_scratch/pg_ctl" "$postgres_data/log" >"$tap_scratch/why" 2>/dev/null
    not_ok "a PostgreSQL server starts"
    exit 1
}
FM_TEST_LEDGER=$postgres PATH=$postgres_bin:$PATH "$builddir/tests/fastmapd/test_ledger"
