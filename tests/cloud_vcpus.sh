#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vCPUs that come and go: of two programs at one fastmapd each has half while both have something to do, and the one
# that stays has all again, while its map goes on.
# shellcheck disable=SC2154,SC2119,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
cd "$tap_scratch" || exit 1
start --first_credit 1 --vcpus 4
needs_sandbox
plan 8

# has PATTERN: of the numbers that the first map was told, from the first to the last.
has() {
    vcpus first >why
    vcpus first | grep -qx "$1"
}

sleeper alone 200
cp alone.err why
expect_text "a map that is alone is granted all, and keeps them" "$(vcpus alone)" "4 "

sleeper first 1200 &
first=$!
until_true grep -q 'the cloud grants' first.err
sleeper second 200
cp second.err why
expect_text "another that comes is granted half" "$(vcpus second | cut -d' ' -f1)" 2
expect_text "and computed in the cloud" "$(sed -n 's/.*cloud=\([0-9]*\) .*/\1/p' second.err)" 200
wait "$first"
cp first.err why
expect "the first has all, then half, then all again, in one map" has '4 .*2 .*4 '
expect_text "which computes all of it in the cloud" "$(sed -n 's/.*cloud=\([0-9]*\) .*/\1/p' first.err)" 1200
head -c 1600 first.out >head.out
expect "with the same results" cmp head.out second.out
expect_text "no map was opened twice" "$(grep -c event=map-opened log)" 3
until_true sh -c "! pgrep -P $pid >/dev/null"
stop
expect "the ledger balances" admin audit
