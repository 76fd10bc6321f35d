#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Two daemons that share a ledger, behind each of the load balancers whose configurations are installed: a client stays
# with one host, TLS is passed through, and when that host drains the client is told to connect anew, and finds the other.
# What holds for one host holds for both: limits, replays, revoked tokens, and what a span costs that both are sent.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"
. "$srcdir/tests/fastmapd/postgres_tap.sh"
. "$srcdir/tests/fastmapd/balancer_tap.sh"

needs curl openssl
needs_postgres
needs_balancers
plan 32
cd "$tap_scratch" || exit 1
trap 'stop -KILL; postgres_stop; rm -rf "$tap_scratch"' EXIT
postgres_start

# A port that the system chooses, for the balancers: a daemon had it.
start --ledger "$postgres" --lease_s 2
front=${FASTMAP_URL##*:}
token=$FASTMAP_TOKEN
stop
start --ledger "$postgres" --lease_s 2
one=$FASTMAP_URL
new_host other
use "$token"

# at URL COMMAND...: asks that host alone.
at() {
    url=$FASTMAP_URL
    FASTMAP_URL=$1
    shift
    "$@"
    FASTMAP_URL=$url
}

expect_text "the ledger's own folder has no ledger" "$(find state -name 'ledger*')" state/ledger.key
mkdir -m 700 stranger
expect_text "a host with another ledger.key is refused" \
    "$("$daemon" --state "$tap_scratch/stranger" --ledger "$postgres" 2>&1 | grep -c 'another ledger.key')" 1
expect_text "the address of the ledger is not in the log" "$(grep -c postgresql: log)" 0

for kind in nginx haproxy; do
    host other --lease_s 2
    second=$host_pid two=$host_url
    FASTMAP_URL=https://127.0.0.1:$front
    balance_by $kind "$front" "$one" "$two"
    expect_text "$kind: health through the balancer" "$(word status <health)" ok
    open_map 0 1000000
    u64 1 2 3 4 >inputs
    found_all=0
    for i in 1 2 3 4 5 6 7 8; do
        span $i 4 | grep -q status=done && found_all=$((found_all + 1))
    done
    expect_text "$kind: every connection of a client finds its map" "$found_all" 8
    call GET /v1/account >account.json
    expect "$kind: answers are genuine" genuine "$(sha256 <account.json)"

    # Which one has it? The other knows of it, and does not compute for it; then the one that has it drains.
    has_map=$one other=$two drained=$pid
    [ "$(at "$one" refusal POST "/v1/maps/$map/spans/8?first=0&count=4" inputs)" = "200 " ] ||
        has_map=$two other=$one drained=$second
    expect_text "$kind: the span that one host has done is not done by the other" \
        "$(at "$other" refusal POST "/v1/maps/$map/spans/8?first=0&count=4" inputs)" "404 map"
    call GET "/v1/maps/$map" >map.json
    expect_text "$kind: it is charged once, and both know so" "$(at "$other" call GET "/v1/maps/$map")" "$(at "$has_map" call GET "/v1/maps/$map")"
    kill -TERM "$drained"
    wait "$drained"
    expect_text "$kind: the host drains" $? 0
    expect_text "$kind: new connections find the other host" \
        "$(curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/v1/health" | word status)" ok
    expect_text "$kind: where the map is known to be closed" "$(refusal POST "/v1/maps/$map/spans/9?first=0&count=4" inputs)" "410 closed"
    open_map 0 1000000
    expect_text "$kind: and another is opened" "$(span 1 4 | cut -d' ' -f2)" status=done
    call DELETE "/v1/maps/$map" >closed.json
    let_go "$balancer" "$second"
    [ "$drained" = "$second" ] || {
        pid=
        start --ledger "$postgres" --lease_s 2
        one=$FASTMAP_URL
    }
done

host other --lease_s 2
second=$host_pid two=$host_url
FASTMAP_URL=$one

# The very same request, signature and all, to both.
replay() {
    curl -sS --cacert "$FASTMAP_CERTIFICATE" -o answer -w '%{http_code}' -H "Fastmap-Time: $time" -H "Fastmap-Nonce: $nonce" \
        -H "Fastmap-Digest: $body_digest" -H "Authorization: Fastmap $id $signature" "$1/v1/account"
}
sleep 1 # what was signed before a host started is refused for its age
call GET /v1/account >account.json
expect_text "a request that one host has seen is refused by the other" "$(replay "$two") $(word error <answer)" "401 replay"
expect_text "and by itself" "$(replay "$one") $(word error <answer)" "401 replay"

# Limits are of the token, not of the host.
limited=$(admin --ledger "$postgres" account token first --token-vcpus 2)
use "$limited"
open_map 0 20000
expect_text "a token's vCPUs that one host has granted" "$(word vcpus <map.json)" 2
FASTMAP_URL=$two
printf 'a program' >manifest
call POST /v1/programs manifest >/dev/null
sed 's/"key": "[^"]*"/"key": "0123456789abcdef"/' terms.json >other.json
expect_text "are not granted by the other" "$(refusal POST /v1/maps other.json)" "429 maps"
expect_text "a map can be closed over there" "$(call DELETE "/v1/maps/$map" | word state)" closed
expect_text "and then another opened" "$(refusal POST /v1/maps other.json)" "201 "
FASTMAP_URL=$one
expect_text "a span for the closed one is refused where it was" \
    "$(refusal POST "/v1/maps/$map/spans/1?first=0&count=4" inputs)" "410 closed"
expect_text "at no charge" "$(call GET "/v1/maps/$map" | word charged)" 0
expect_text "the same key over here ends the other host's map" "$(refusal POST /v1/maps other.json)" "410 closed"
"$daemon" --state "$tap_scratch/other" --ledger "$postgres" account revoke "$(echo "$limited" | cut -c5-20)"
expect_text "a token that is revoked on one host is refused by both at once" \
    "$(refusal GET /v1/account) $(at "$two" refusal GET /v1/account)" "401 signature 401 signature"
let_go "$second"
stop
expect "the ledger balances" admin --ledger "$postgres" audit
