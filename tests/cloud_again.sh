#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A program that calls the same map again and again, of elements that cost very unequally: a real fastmapd computes the
# dearest of them once it is known which these are, and outputs and failures are those of the plain loop each time.
# Element 0 is one of them. In the order of indices the caller begins with it; who begins with the cheapest does not.
# shellcheck disable=SC2154,SC2119,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
cd "$tap_scratch" || exit 1
start --first_credit 1 --vcpus 4
needs_sandbox
plan 5

with_cloud again FASTMAP_MAX_LOCAL_WORKERS=1 timeout 120 "$builddir/tests/cloud_map" 160 3 again
expect_text "the program ends well" $? 0
cat again.out again.err >why
for kind in inputs indices 'in place'; do
    expect "$kind: all is that of the plain loop, and the cloud has the dearest in a later map" \
        grep -qx "$kind: 0 wrong outputs, 0 wrong failures, here then cloud" again.out
done
until_true sh -c "! pgrep -P $pid >/dev/null"
stop
expect "the ledger balances" admin audit
