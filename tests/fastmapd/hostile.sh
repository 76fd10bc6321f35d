#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Clients that are slow, wrong or malicious. Deadlines are short here, and a test only says that a connection that would
# live for ever has ended, by curl's or openssl's own account.
# Variables and functions of the protocol's examples come from its page.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl timeout
plan 26
cd "$tap_scratch" || exit 1
start --header_s 1 --body_s 1 --keep_s 2 --request_s 3 --attempts 5 --span_bytes 4K --connections_address 64

# raw: standard input goes over TLS as it is; what comes back is printed until the server closes.
raw() {
    timeout 20 openssl s_client -quiet -CAfile "$FASTMAP_CERTIFICATE" -connect "${FASTMAP_URL#https://}" 2>/dev/null
}

# drip TEXT: a byte now and then, for longer than any deadline.
drip() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        printf '%s' "$1"
        sleep 0.2
    done
}

status() {
    head -n 1 | cut -d' ' -f2 | tr -d '\r'
}

count() {
    curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/metrics" | sed -n "s/^fastmapd_$1 //p"
}

clients=
# ---- Slow ones: all at the same time ------------------------------------------------------------------------
sign() {
    time=$(date +%s) nonce=$(openssl rand -hex 16)
    printf 'Host: x\r\nFastmap-Time: %s\r\nFastmap-Nonce: %s\r\nFastmap-Digest: %s\r\nAuthorization: Fastmap %s %s\r\n' "$time" \
        "$nonce" "$3" "$id" "$(printf '%s\n' fastmap-request-1 "$1" "$2" "$3" "$time" "$nonce" | hmac)"
}
digest=$(printf 'never' | sha256)
{ printf 'GET /v1/health HTTP/1.1\r\nX: '; drip x; } | raw >slow-headers &
clients="$clients $!"
{ printf 'POST /v1/programs HTTP/1.1\r\n'; sign POST /v1/programs "$digest"; printf 'Content-Length: 50000\r\n\r\nx'; sleep 4; } | raw >stopped-body &
clients="$clients $!"
{ printf 'POST /v1/programs HTTP/1.1\r\n'; sign POST /v1/programs "$digest"; printf 'Content-Length: 50000\r\n\r\n'; drip x; } | raw >slow-body &
clients="$clients $!"
sleep 4 | raw >silence &
clients="$clients $!"
{ printf 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'; sleep 4; } | raw >kept &
clients="$clients $!"
for client in $clients; do
    wait "$client"
done
expect_text "headers a byte at a time get no answer" "$(cat slow-headers)" ""
expect_text "nor does a signed body that stops" "$(cat stopped-body)" ""
expect_text "nor one a byte at a time" "$(cat slow-body)" ""
expect_text "nor silence" "$(cat silence)" ""
expect_text "one that has its answer may stay for keep_s" "$(status <kept)" 200
expect_text "the four that were late were closed at their deadlines" "$(count deadlines_total)" 4
expect_text "nothing of them is left" "$(count connections)" 1

# ---- Wrong ones -------------------------------------------------------------------------------------------
request() {
    printf '%s\r\n' "$1 HTTP/1.1"
    shift
    for line; do
        [ -z "$line" ] || printf '%s\r\n' "$line"
    done
    printf 'Host: x\r\n\r\n'
}
expect_text "two lengths that differ" "$(request 'POST /v1/programs' 'Content-Length: 3' 'Content-Length: 5' | raw | status)" 400
expect_text "two lengths that agree" "$(request 'POST /v1/programs' 'Content-Length: 3' 'Content-Length: 3' | raw | status)" 400
expect_text "a length and chunks" "$({ request 'POST /v1/programs' 'Content-Length: 3' 'Transfer-Encoding: chunked'; printf '0\r\n\r\n'; } | raw | status)" 411
expect_text "chunks" "$({ request 'POST /v1/programs' 'Transfer-Encoding: chunked'; printf '3\r\nabc\r\n0\r\n\r\n'; } | raw | status)" 411
case $(request 'POST /v1/programs' 'Content-Length: -3' | raw | status) in
400 | 411 | 413) ok "a negative length" ;;
*) echo "no refusal" >why && cp why "$tap_scratch/why" && not_ok "a negative length" ;;
esac
expect_text "no length" "$(request 'POST /v1/programs' | raw | status)" 411
expect_text "a huge length, before any of it is sent" "$(request 'POST /v1/programs' 'Content-Length: 99999999999999' | raw | status)" 413
expect_text "a long target" "$(request "GET /v1/$(printf '%01000d' 7)" | raw | status)" 400
expect_text "percent signs" "$(request 'GET /v1/maps/%2e%2e' | raw | status)" 400
expect_text "an empty part" "$(request 'GET /v1//maps' | raw | status)" 400
# The answer may be lost where the client is still writing when the connection ends.
endless=$({ printf 'GET /v1/health HTTP/1.1\r\n'; i=0; while [ $i -lt 4000 ]; do
    printf 'X-%d: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n' $i
    i=$((i + 1))
done; } | raw | status)
expect_text "endless headers" "${endless:-431}" 431
answers=$({ request 'GET /v1/health'; request 'GET /v1/health'; printf 'garbage\0garbage\r\n\r\n'; } | raw | grep -c '"status":"ok"')
expect_text "what is pipelined is answered up to where garbage begins" "$answers" 2
expect_text "no TLS" "$(printf 'GET /v1/health HTTP/1.1\r\n\r\n' | timeout 5 openssl s_client -quiet -no_tls1_3 -no_tls1_2 -connect "${FASTMAP_URL#https://}" 2>/dev/null)" ""
expect_text "an unknown method" "$(request 'BREW /v1/account' 'Content-Length: 0' | raw | status)" 405
expect_text "a parameter too many" "$(refusal GET "/v1/account?x=1")" "400 request"

# ---- Guessers ---------------------------------------------------------------------------------------------
good=$key
key=$(printf guess | sha256)
for _ in 1 2 3 4 5 6 7 8; do
    refusal GET /v1/account
done >guesses
expect_text "an address that guesses has to wait" "$(tail -n 1 guesses)" "429 attempts"
expect "and is told how long" test "$(header Retry-After)" -ge 1
key=$good
expect_text "everybody else goes on: health is open" "$(curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/v1/health" | word status)" ok
stop
expect_text "after all this it ends well" "$stopped" 0
