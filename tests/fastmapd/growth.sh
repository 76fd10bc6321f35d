#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Three real daemons over one PostgreSQL ledger, behind nginx and behind HAProxy as they are installed, and a program that
# maps through them: a host is killed in the middle of a map, the database crashes and comes back in the middle of
# another, and the results are those of this machine, every nano-dollar is accounted for, and nothing stays held.
# shellcheck disable=SC2154,SC2119,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"
. "$srcdir/tests/fastmapd/postgres_tap.sh"
. "$srcdir/tests/fastmapd/balancer_tap.sh"

needs curl openssl
needs_postgres
needs_balancers
cd "$tap_scratch" || exit 1
trap 'stop -KILL; kill -9 $second $third $balancer 2>/dev/null; postgres_stop; rm -rf "$tap_scratch"' EXIT
postgres_start
start --ledger "$postgres" --first_credit 1
needs_sandbox
plan 22
front=${FASTMAP_URL##*:}
token=$FASTMAP_TOKEN
stop
start --ledger "$postgres" --lease_s 2
one=$FASTMAP_URL
new_host second
new_host third
host second --lease_s 2
second=$host_pid two=$host_url
host third --lease_s 2
third=$host_pid three=$host_url
use "$token"

FASTMAP_EXEC_POLICY=CLOUD
export FASTMAP_EXEC_POLICY

same() {
    cp "$1.err" why
    cmp "$1.out" "$2.out"
}

# The account's own books, by SQL, so that no daemon is in between.
book() {
    sql "SELECT given - taken FROM books WHERE id = $1"
}

# more_spans: since $before.
more_spans() {
    [ "$(sql 'SELECT coalesce(sum(spans), 0) FROM maps')" -gt "$before" ]
}

nothing_held() {
    [ "$(book 5)" = 0 ]
}

before_map() {
    before=$(sql 'SELECT coalesce(sum(spans), 0) FROM maps')
}

audit() {
    admin --ledger "$postgres" audit >why 2>&1
    expect "$1: the ledger balances" grep -q 'the ledger balances' why
    expect_text "$1: what was paid in is what is left and what was earned" "$(($(book 4) + $(book 1)))" 1000000000
}

map local 3000 1 FASTMAP_EXEC_POLICY=LOCAL

# ---- A host dies ----------------------------------------------------------------------------------------
# The balancer knows of two of them; the one that has the map dies, and the third, which nobody asks, or the
# other, gives back what it held.
for kind in nginx haproxy; do
    FASTMAP_URL=https://127.0.0.1:$front
    balance_by $kind "$front" "$one" "$two"
    before_map
    map $kind 3000 1 &
    client=$!
    until_true more_spans
    host=$(sql 'SELECT host FROM maps WHERE closed IS NULL')
    expect_text "$kind: the map is open on one of the hosts" "$(grep -l "^$host\$" state/host second/host | wc -l | tr -d ' ')" 1
    if [ "$(cat state/host)" = "$host" ]; then
        victim=state
        stop -KILL
    else
        victim=second
        kill -9 "$second"
    fi
    wait $client
    expect "$kind: a host that is killed in the middle of a map costs no result" same $kind local
    until_true nothing_held
    expect_text "$kind: what it held is given back, though it does not come again" "$(book 5)" 0
    audit "$kind"
    expect "$kind: a map finds the other host" map after-$kind 300 1
    grep -o 'cloud=[0-9]*' after-$kind.err >why
    expect_text "$kind: which computes it" "$(cat why)" cloud=300
    let_go "$balancer"
    if [ $victim = state ]; then
        start --ledger "$postgres" --lease_s 2
        one=$FASTMAP_URL
    else
        host second --lease_s 2
        second=$host_pid two=$host_url
    fi
done

# ---- The database crashes ---------------------------------------------------------------------------------
FASTMAP_URL=https://127.0.0.1:$front
balance_by haproxy "$front" "$one" "$three"
left=$(book 4)
before_map
map crash 3000 1 &
client=$!
until_true more_spans
postgres_stop
sleep 0.5
expect_text "without a database a request is to be made again later" "$(refusal GET /v1/account) $(header Retry-After)" "503 full 1"
sleep 0.5
postgres_start
wait $client
expect "a database that crashes in the middle of a map costs no result" same crash local
cp crash.err why
expect_text "and no span: all are computed where they were sent" "$(sed -n 's/.*cloud=\([0-9]*\).*/\1/p' crash.err)" 3000
expect_text "no host has lost its place meanwhile" "$(grep -c event=lease-lost log third.log | grep -c -v ':0$')" 0
until_true nothing_held
expect_text "nothing stays held" "$(book 5)" 0
audit crash
expect_text "the report's dollars are what the account has paid" \
    "$(sed -n 's/.*dollars=\([0-9.]*\).*/\1/p' crash.err)" "$(printf '0.%09d' $((left - $(book 4))))"
let_go "$balancer" "$second" "$third"
stop
