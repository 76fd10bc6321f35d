#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmapd from outside, by curl and openssl alone: signatures, money to the nano-dollar, every way in which a
# span can end, restarts. Workers are played by tests/fastmapd/fake_pool.c, whose functions (0 echo, 1 bill: each input
# says what its element costs, 2 nap, 3 die, 4 lose, 5 refuse, 6 late) do what is asked of them.
# Variables and functions of the protocol's examples come from its page.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
plan 69
cd "$tap_scratch" || exit 1

# ---- A fresh machine ------------------------------------------------------------------------------------
start --log info
expect "a fresh fastmapd listens on loopback" test "${FASTMAP_URL#https://127.0.0.1:}" != "$FASTMAP_URL"
expect "it prints a token, once" test "$(grep -c '^token  *fm1_' out)" -eq 1
expect_text "the token's secret is nowhere in the state folder" \
    "$(grep -rlaF "$(echo "$FASTMAP_TOKEN" | cut -d_ -f3)" state)" ""
expect_text "only its owner can enter the state folder" "$(stat -c %a state)" 700
pin=$(awk '/^pin/ { print $2 }' out)
expect "the printed pin is the certificate's" curl -sS -k --pinnedpubkey "$pin" "$FASTMAP_URL/v1/health"
curl -sS -k --pinnedpubkey "sha256//AAAA$(echo "$pin" | cut -c13-)" "$FASTMAP_URL/v1/health" 2>/dev/null
expect_text "another pin is refused" $? 90
curl -sS -k --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0 "$FASTMAP_URL/v1/health" 2>/dev/null
expect_text "TLS 1.1 is refused" $? 35
hellos=$(openssl s_client -connect "${FASTMAP_URL#https://}" -msg </dev/null 2>/dev/null | grep -c ', ClientHello')
expect_text "a handshake takes one round trip" "$hellos" 1
"$daemon" --state "$folder" >/dev/null 2>second
expect "a second fastmapd on the folder is told of the first" grep -q 'another fastmapd uses' second

# ---- Signatures -------------------------------------------------------------------------------------------
call GET /v1/account >account.json
expect_text "the first account has its credit" "$(word balance <account.json)" 10000000000
expect "the answer is signed" genuine "$(sha256 <account.json)"
expect_text "a changed answer is not" "$(sed s/first/other/ account.json | sha256 | { read -r d && genuine "$d" && echo genuine; })" ""

# again: the last request as it was, by hand.
time=$(date +%s) nonce=$(openssl rand -hex 16) empty=$(sha256 </dev/null)
signature=$(printf '%s\n' fastmap-request-1 GET /v1/account "$empty" "$time" "$nonce" | hmac)
signed() {
    curl -sS --cacert "$FASTMAP_CERTIFICATE" -o answer -w '%{http_code} ' -H "Fastmap-Time: $time" -H "Fastmap-Nonce: $nonce" \
        -H "Fastmap-Digest: $empty" -H "Authorization: Fastmap $id $signature" "$@"
    word error <answer
}
expect_text "a signature is good once" "$(signed "$FASTMAP_URL/v1/account")" "200 "
expect_text "and a replay the second time" "$(signed "$FASTMAP_URL/v1/account")" "401 replay"
expect_text "it is for one target" "$(signed "$FASTMAP_URL/v1/maps/0000000000000000")" "401 signature"
expect_text "it is for one method" "$(signed -X DELETE "$FASTMAP_URL/v1/maps/0000000000000000")" "401 signature"
nonce=$(openssl rand -hex 16) time=$((time - 3600))
signature=$(printf '%s\n' fastmap-request-1 GET /v1/account "$empty" "$time" "$nonce" | hmac)
expect_text "a stale clock is refused" "$(signed "$FASTMAP_URL/v1/account")" "401 clock"
expect "and told the right time" test "$(word now <answer)" -ge $((time + 3500))
real=$id unknown=$(openssl rand -hex 8)
id=$unknown
expect_text "an unknown token" "$(refusal GET /v1/account)" "401 signature"
call GET /v1/account | sed 's/"request":"[^"]*"//' >unknown.json
id=$real real_key=$key key=$(printf other | sha256)
call GET /v1/account | sed 's/"request":"[^"]*"//' >wrong.json
key=$real_key
expect_text "and a wrong key are told the same" "$(cat unknown.json)" "$(cat wrong.json)"
printf 'one' >one
printf 'two' >two
expect_text "a body must have the digest that was signed" "$(
    # shellcheck disable=SC2317
    sha256() { openssl dgst -sha256 -r one | cut -d' ' -f1; }
    refusal POST /v1/programs two)" "422 digest"
token=$(admin account add bio --credit 0.001)
keep=$FASTMAP_TOKEN
use "$token"
expect_text "a new account is known at once" "$(balance)" 1000000
admin account revoke "$id"
expect_text "a revoked token is unknown at once" "$(refusal GET /v1/account)" "401 signature"

# The second request over a connection is held back, by a fifo for its body, until the token is revoked.
token=$(admin account token bio)
use "$token"
signed() {
    time=$(date +%s) nonce=$(openssl rand -hex 16) body_digest=$(printf x | sha256)
    signature=$(printf '%s\n' fastmap-request-1 POST /v1/programs "$body_digest" "$time" "$nonce" | hmac)
    printf '%s\n' "url = $FASTMAP_URL/v1/programs" 'request = POST' "header = \"Fastmap-Time: $time\"" \
        "header = \"Fastmap-Nonce: $nonce\"" "header = \"Fastmap-Digest: $body_digest\"" \
        "header = \"Authorization: Fastmap $id $signature\"" 'header = "Transfer-Encoding:"' \
        'header = "Content-Length: 1"' "upload-file = $1" "output = answer-$2" "cacert = $FASTMAP_CERTIFICATE" \
        'write-out = "%{http_code} %{num_connects}\n"' silent
}
mkfifo later
{ signed x-file 1 && echo next && signed later 2; } >two.curl
printf x >x-file
curl --config two.curl >codes &
waiting=$!
tries=0
while [ ! -s answer-1 ] && [ $tries -lt 200 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
admin account revoke "$id"
printf x >later
wait "$waiting"
expect_text "over a connection that had proved itself, too" "$(tail -n 1 codes)" "401 0"
expect_text "whose first request was answered" "$(head -n 1 codes)" "200 1"
token=$(admin account token bio --token-vcpus 1 --day 0.0005)

# ---- Maps and money -------------------------------------------------------------------------------------------
use "$token"
open_map 1 900000
expect_text "a map holds no more than the token's limit for the day" "$(word hold <map.json)" 500000
expect_text "nor more vCPUs" "$(word vcpus <map.json)" 1
call DELETE "/v1/maps/$map" >closed.json
open_map 1 100000
limited=$map
open_map 1 100000
expect_text "another map of it gets its turn" "$(word vcpus <map.json)" 1
call DELETE "/v1/maps/$map" >closed.json
map=$limited
call DELETE "/v1/maps/$map" >closed.json
# trailed KIND IN_SIZE: what comes of opening a map with trails; the answer in ./map.json.
trailed() {
    sed "s/\"key\": \"[^\"]*/\"key\": \"$(openssl rand -hex 16)/; s/\"element\"/\"$1\"/; s/\"in_size\": 8/\"in_size\": $2/
        s/\"out_size\": 8/\"out_size\": 24/; s/}\$/, \"trail\": true}/" terms.json >trailed.json
    call POST /v1/maps trailed.json >map.json
    word sentence <map.json
}
expect_text "elements smaller than their trails are refused" "$(trailed element 8)" \
    "the member in_size must be 16 at least"
expect_text "a block has no trails" "$(trailed block 24)" "the member trail must be false for a function of a block"
trailed element 24
map=$(word map <map.json)
u64 1 5 0 1 6 0 >inputs
expect_text "a map with trails takes inputs that end in them" "$(span 1 2 | cut -d' ' -f1-3)" "span=1 status=done computed=2"
call DELETE "/v1/maps/$map" >closed.json
map=$limited
use "$keep"
expect_text "another account's map is not there" "$(refusal GET "/v1/maps/$map")" "404 map"
before=$(balance)
open_map 1 1000000 the-same-key-every-time
first=$map
open_map 1 1000000 the-same-key-every-time
expect_text "the same key opens the same map" "$map" "$first"
open_map 1 1000001 the-same-key-every-time
expect_text "and no other one" "$(word error <map.json)" conflict
map=$first
u64 72000 1 71999 >inputs
expect_text "a span is charged for its CPU time" "$(span 1 3)" \
    "span=1 status=done computed=3 failed=0 failures=- raised=0 cpu_ns=144000 charge=2 spent=2 left=999998"
expect_text "whose receipt tells how many vCPUs the map has" "$(header Fastmap-Receipt | sed 's/.* vcpus=//')" 2
expect_text "once, also where it is sent again" "$(span 1 3)" \
    "span=1 status=done computed=3 failed=0 failures=- raised=0 cpu_ns=144000 charge=2 spent=2 left=999998"
expect "the outputs are the same" cmp outputs inputs
u64 1 >inputs
expect_text "a part of a nano-dollar is rounded up" "$(span 2 1)" \
    "span=2 status=done computed=1 failed=0 failures=- raised=0 cpu_ns=1 charge=1 spent=3 left=999997"
u64 71999 >inputs
expect_text "once a map" "$(span 3 1)" \
    "span=3 status=done computed=1 failed=0 failures=- raised=0 cpu_ns=71999 charge=0 spent=3 left=999997"
expect_text "the same span with other inputs is a conflict" "$(refusal POST "/v1/maps/$map/spans/1?first=0&count=1" inputs)" "409 conflict"
u64 1000 100000000000 1000 >inputs
expect_text "a span is cut where the hold is used up" "$(span 4 3 | sed 's/cpu_ns=.*//')" \
    "span=4 status=cut computed=1 failed=0 failures=- raised=0 "
hungry=$map
open_map 1 1000000
u64 71000000000 >inputs
expect_text "no span is cut while the hold can pay for it" "$(span 1 1 | sed 's/.*status=\([a-z]*\).*left=/\1 /')" "done 13888"
u64 1000100000 >inputs
expect_text "the last one is, and what there was is charged" "$(span 2 1 | sed 's/.*status=\([a-z]*\).*left=/\1 /')" "cut 0"
call DELETE "/v1/maps/$map" >closed.json
before=$((before - $(word charged <closed.json)))
map=$hungry
call DELETE "/v1/maps/$map" >closed.json
expect "the end of a map is signed" genuine "$(sha256 <closed.json)"
expect_text "what was charged is gone from the balance, no more" "$(balance)" $((before - $(word charged <closed.json)))
expect_text "a closed map takes no span" "$(refusal POST "/v1/maps/$map/spans/9?first=0&count=3" inputs)" "410 closed"

# ---- Ends of spans ---------------------------------------------------------------------------------------------
u64 1 2 3 >inputs
open_map 3 1000000
expect_text "a worker that dies" "$(span 1 3)" \
    "span=1 status=died computed=1 failed=0 failures=1:-11 raised=0 cpu_ns=1000000 charge=14 spent=14 left=999986"
expect_text "delivers what was complete" "$(wc -c <outputs | tr -d ' ')" 8
open_map 4 1000000
expect_text "a worker that somebody else ends costs nothing" "$(span 1 3)" \
    "span=1 status=lost computed=0 failed=0 failures=- raised=0 cpu_ns=0 charge=0 spent=0 left=1000000"
open_map 8 1000000
expect_text "nonsense from a worker is paid for, and nothing of it believed" "$(span 1 3)" \
    "span=1 status=died computed=0 failed=0 failures=- raised=0 cpu_ns=1000000 charge=14 spent=14 left=999986"
open_map 5 1000000
expect_text "a function that is not there" "$(refusal POST "/v1/maps/$map/spans/1?first=0&count=3" inputs)" "422 function"
open_map 6 1000000
expect_text "a span that takes too long" "$(span 1 3 | cut -d' ' -f2)" status=late

# ---- The operator ------------------------------------------------------------------------------------------
admin status >status.txt
expect_text "status of a running daemon ends well" $? 0
expect "and has its address and its accounts" sh -c "grep -q '$FASTMAP_URL  up for' status.txt && grep -q '^bio .* revoked$' status.txt"
expect_text "a statement has a line for all charges of a map" "$(admin account statement first | awk -v m="$first" '$3 == "charge" && $6 == m { print $5 }')" 3
expect "metrics count what was charged" sh -c "curl -sS --cacert $FASTMAP_CERTIFICATE $FASTMAP_URL/metrics | grep -q '^fastmapd_spans_died_total 2$'"

# ---- The end of a daemon -------------------------------------------------------------------------------------
open_map 2 1000000
before=$(balance)
u64 100000 >inputs
span 1 1 >/dev/null
stop -KILL
start --log info
expect_text "after kill -9 holds are given back, charges are kept" "$(balance)" $((before + 6 * 1000000 - 14 - 14 - 14 - 14 - 1))
expect_text "the maps are closed" "$(refusal POST "/v1/maps/$map/spans/2?first=0&count=1" inputs)" "410 closed"
open_map 2 1000000
u64 700000000 >inputs
(span 1 1 >slow.txt) &
sleep 0.3
kill -TERM "$pid"
sleep 0.1
wait $!
expect_text "SIGTERM lets running spans finish" "$(cut -d' ' -f2 slow.txt)" status=done
stop
expect_text "and ends well" "$stopped" 0
expect "the ledger balances" sh -c "$daemon --state $folder audit | grep -q 'the ledger balances'"
admin status >status.txt
expect_text "status without a daemon says so" "$? $(head -n 1 status.txt)" "3 no fastmapd runs in $folder"

# A full disk: files may not grow any more. SIGXFSZ is ignored, so writing fails as it does there.
full() {
    trap '' XFSZ
    ulimit -f "$1"
    exec "$daemon" --state "$folder" --log error >"$tap_scratch/out" 2>"$tap_scratch/full"
}
rm -f state/url
full 200 &
pid=$!
while [ ! -f state/url ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
FASTMAP_URL=$(cat state/url)
open_map 0 1000000
u64 1 2 3 4 >inputs
n=0
until n=$((n + 1)) && call POST "/v1/maps/$map/spans/$n?first=0&count=4" inputs >outputs && ! genuine - || [ $n -gt 400 ]; do :; done
expect_text "a full disk is the service's failure, told as such" "$(word error <outputs)" internal
spent=$((n - 1))
stop -KILL
before=$(admin account list | awk '$1 == "first" { print $2 }')
start
expect "afterwards the ledger balances" sh -c "$daemon --state $folder audit | grep -q 'the ledger balances'"
expect_text "what was answered was charged, the rest was not" \
    "$(admin account statement first | awk -v m="$map" '$3 == "charge" && $6 == m { print $5 }')" "$spent"
stop
chmod 755 state
expect "a state folder that others can enter is refused" sh -c "! $daemon --state $folder 2>why; grep -q 'others can enter .*/state (mode 755); run: chmod 700' why"
chmod 700 state
ln -s "$folder" link
expect "a link, too" sh -c "! $daemon --state $tap_scratch/link 2>why; grep -q 'link is a symbolic link' why"
chmod 644 state/ledger.key
expect "a key that others can read is refused" sh -c "! $daemon --state $folder 2>why; grep -q 'others can use .*ledger.key (mode 644); run: chmod 600' why"
