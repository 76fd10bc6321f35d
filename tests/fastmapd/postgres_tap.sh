# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# A PostgreSQL server of a test's own, after tap.sh: in $tap_scratch/postgres, over a socket there and no port, run by an
# unprivileged user. $postgres is its address.

# Debian's newest, or the one that is on the path, if it is whole.
postgres_bin=$(for bin in "$(dirname "$(command -v postgres)")" /usr/lib/postgresql/*/bin; do
    [ ! -x "$bin/initdb" ] || [ ! -x "$bin/pg_ctl" ] || [ ! -x "$bin/psql" ] || echo "$bin"
done | tail -n 1)
postgres_data=$tap_scratch/postgres
postgres="postgresql:///postgres?host=$postgres_data&user=fastmap"

# as_postgres COMMAND...: root may not run a server. Debian's package has made the user.
as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/ "$@")
    else
        "$@"
    fi
}

# needs_postgres: the test is skipped where there is no server, or fastmapd cannot talk to one.
needs_postgres() {
    [ -n "$postgres_bin" ] || postgres_missing "there is no PostgreSQL server (Debian: postgresql)"
    [ "$(id -u)" -ne 0 ] || id postgres >/dev/null 2>&1 ||
        postgres_missing "root may not run PostgreSQL, and there is no user postgres (Debian: postgresql)"
    "${daemon:-$builddir/fastmapd}" --state "$tap_scratch/none" --ledger postgresql:///none?host=/nowhere audit 2>&1 |
        grep -q 'without libpq' && postgres_missing "fastmapd is built without libpq (Debian: libpq-dev)"
    true
}

postgres_missing() {
    if [ -n "${CI:-}" ]; then
        plan 1
        skip_promised "$1" 1
    else
        echo "1..0 # SKIP $1"
    fi
    exit 0
}

# postgres_start: makes the database the first time. What a crash of the machine would lose is of no interest here.
postgres_start() {
    if [ ! -d "$postgres_data" ]; then
        chmod 0711 "$tap_scratch"
        mkdir "$postgres_data"
        [ "$(id -u)" -ne 0 ] || chown postgres: "$postgres_data"
        as_postgres "$postgres_bin/initdb" -D "$postgres_data" -U fastmap -A trust -E UTF8 --no-sync >"$tap_scratch/initdb" 2>&1
    fi
    as_postgres "$postgres_bin/pg_ctl" -D "$postgres_data" -w -t 60 -l "$postgres_data/log" \
        -o "-F -c listen_addresses= -c unix_socket_directories=$postgres_data -c max_connections=60" start >"$tap_scratch/pg_ctl" 2>&1
}

# postgres_stop [MODE]: immediate, the default, is a crash.
postgres_stop() {
    [ ! -f "$postgres_data/postmaster.pid" ] ||
        as_postgres "$postgres_bin/pg_ctl" -D "$postgres_data" -w -m "${1:-immediate}" stop >"$tap_scratch/pg_ctl" 2>&1
}

# sql TEXT: as the server's owner.
sql() {
    as_postgres "$postgres_bin/psql" -X -q -A -t -d "$postgres" -c "$1"
}
