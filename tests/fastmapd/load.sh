#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmapd with its real sandbox: a program that it has never seen is uploaded and computes; two accounts at the same time,
# over many connections, are charged what their receipts say; kill -9 under load leaves a ledger that balances, and no
# worker.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
cd "$tap_scratch" || exit 1
start --first_credit 1
needs_sandbox
plan 13
shim=$(find "$builddir/.libs" "$builddir/lib" -name fastmap-worker.so 2>/dev/null | head -n 1)

# client TOKEN ARGUMENT...: it checks every echo, and that the receipts' charges are what the map is charged in the end.
client() {
    token=$1
    shift
    "$builddir/bench/service" --url "$FASTMAP_URL" --certificate "$FASTMAP_CERTIFICATE" --pid "$pid" --worker "$shim" \
        --token "$token" "$@"
}

first=$FASTMAP_TOKEN
second=$(admin account add bio --credit 1)
client "$first" --bytes 4096 --connections 16 --spans 3000 >first.txt 2>&1 &
one=$!
client "$second" --bytes 64 --connections 16 --spans 6000 >second.txt 2>&1 &
two=$!
wait "$one"
expect_text "the first account's spans are right and charged by their receipts" "$? $(grep -c 'spans of' first.txt)" "0 1"
wait "$two"
expect_text "and so are the second's, at the same time" "$? $(grep -c 'spans of' second.txt)" "0 1"
tail -n 3 first.txt second.txt >why
use "$first"
left=$(balance)
expect "it was charged for something" test "$left" -lt 1000000000
admin audit >audit.txt
expect "the ledger balances" grep -q 'the ledger balances' audit.txt
use "$second"
paid=$((1000000000 - $(balance) + 1000000000 - left))
admin audit | sed -n 's/.*earned US[$]//p' >earned
expect_text "what both paid is what was earned" "$(printf '0.%09d' "$paid" | sed 's/0*$//')" "$(sed 's/\(\.[0-9]*[1-9]\)0*$/\1/' earned)"
expect_text "no request failed" "$(curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/metrics" | sed -n 's/^fastmapd_refused_total //p')" 0
expect_text "no span was lost" "$(curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/metrics" | sed -n 's/^fastmapd_spans_lost_total //p')" 0

# An account cannot have what only another has sent, by knowing its digest.
use "$first"
printf 'only mine %s' "$(openssl rand -hex 8)" >mine
mine=$(sha256 <mine)
call PUT "/v1/blobs/$mine?size=$(wc -c <mine | tr -d ' ')&offset=0" mine >/dev/null
use "$second"
expect_text "a blob of another account is not there" "$(refusal GET "/v1/blobs/$mine")" "404 blob"

# kill -9 in the middle of it.
client "$first" --bytes 64 --connections 16 --spans 1000000 >third.txt 2>&1 &
one=$!
tries=0
until [ "$(admin status | awk '/spans done/ { print $3 }')" -gt 9500 ] || [ $tries -gt 100 ]; do
    tries=$((tries + 1))
done
workers=$(pgrep -P "$pid" | wc -l)
stop -KILL
wait "$one" 2>/dev/null
expect "there were workers" test "$workers" -ge 1
start
admin audit >audit.txt
expect "kill -9 under load: the ledger balances" grep -q 'the ledger balances' audit.txt
expect_text "no hold is left" "$(admin account list | awk '$1 == "first" || $1 == "bio" { print $3 }' | sort -u)" 0.00
use "$first"
expect "the account goes on" test "$(balance)" -lt "$left"
client "$first" --bytes 64 --connections 4 --spans 100 >fourth.txt 2>&1
expect_text "and computes" "$(grep -c 'spans of' fourth.txt)" 1
stop
