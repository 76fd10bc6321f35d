#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The vCPUs of a token on two hosts that share a ledger: never more in use than it may have, half on each while both
# have something to do, all on one while the other has not.
# shellcheck disable=SC2154,SC2119,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"
. "$srcdir/tests/fastmapd/postgres_tap.sh"
. "$srcdir/tests/fastmapd/balancer_tap.sh"

needs curl openssl
needs_postgres
trap 'stop; let_go $second; postgres_stop; rm -rf "$tap_scratch"' EXIT
cd "$tap_scratch" || exit 1
postgres_start
start --ledger "$postgres" --first_credit 1 --vcpus 4
needs_sandbox
one=$FASTMAP_URL
new_host other
host other --vcpus 4
second=$host_pid two=$host_url
FASTMAP_TOKEN=$(admin --ledger "$postgres" account token first --token-vcpus 4)
plan 7

# held: the most that the hosts had together, seen every 50 ms while the command runs.
held() {
    most=0
    "$@" &
    runs=$!
    while kill -0 "$runs" 2>/dev/null; do
        now=$(sql 'SELECT coalesce(sum(vcpus), 0) FROM shares')
        [ "$now" -le "$most" ] || most=$now
        sleep 0.05
    done
    wait "$runs"
}

# both: a long map by the first host, and meanwhile a shorter one by the second.
both() {
    FASTMAP_URL=$one
    sleeper first 1600 &
    first=$!
    until_true grep -q 'the cloud grants' first.err
    FASTMAP_URL=$two
    sleeper second 200
    wait "$first"
}

held both
cat first.err second.err >why
expect "the first has all, then half, then all again, in one map" sh -c "echo '$(vcpus first)' | grep -qx '4 .*2 .*4 '"
expect "the second is granted what the first has left, half in the end" sh -c "echo '$(vcpus second)' | grep -qx '[12] .*'"
for name in first second; do
    expect "the $name is computed in the cloud" grep -q "cloud=\([0-9]*\) of=\1 " "$name.err"
done
expect_text "the hosts never had more than the token may have" "$most" 4
until_true test "$(sql 'SELECT count(*) FROM shares')" = 0
expect_text "and have none when their maps are closed" "$(sql 'SELECT count(*) FROM shares')" 0
expect "the ledger balances" admin --ledger "$postgres" audit
