#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The machine's clock is set forward and back while fastmapd runs, and while it does not: no deadline is reached by
# that, no signature is taken twice, clients are told by which clock to sign, days and the ledger stay right.
# shellcheck disable=SC2034,SC2119,SC2154
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"
needs curl openssl
shim=$builddir/tests/.libs/clock_shim.so
[ -f "$shim" ] || {
    echo "1..0 # SKIP $shim is not built"
    exit 0
}
! nm -D "$fake" 2>/dev/null | grep -q __asan_init || {
    echo "1..0 # SKIP AddressSanitizer wants to be the first library"
    exit 0
}
plan 16
cd "$tap_scratch" || exit 1
export CLOCK_SHIFT="$tap_scratch/shift"
echo 0 >"$CLOCK_SHIFT"

# The daemon alone has the shim; this shell has a clock of its own, `ours` seconds from the right one.
cat >shifted <<END
#!/bin/sh
exec env LD_PRELOAD="$shim" "$fake" "\$@"
END
chmod +x shifted
daemon=$tap_scratch/shifted
ours=0
date() {
    if [ "$*" = +%s ]; then
        echo $(($(command date +%s) + ours))
    else
        command date "$@"
    fi
}

# keep NAME METHOD TARGET: a signed request to be sent later, and again. again NAME: its status and error.
keep() {
    time=$(date +%s) nonce=$(openssl rand -hex 16) body_digest=$(sha256 </dev/null)
    signature=$(printf '%s\n' fastmap-request-1 "$2" "$3" "$body_digest" "$time" "$nonce" | hmac)
    printf '%s\n' "request = $2" "header = \"Fastmap-Time: $time\"" "header = \"Fastmap-Nonce: $nonce\"" \
        "header = \"Fastmap-Digest: $body_digest\"" "header = \"Authorization: Fastmap $id $signature\"" \
        "cacert = $FASTMAP_CERTIFICATE" 'write-out = " %{http_code}\n"' silent >"$1"
    echo "$3" >"$1.target"
}
again() {
    curl --config "$1" "$FASTMAP_URL$(cat "$1.target")" | sed 's/.*"error":"\([a-z]*\)".* \([0-9]*\)$/\2 \1/;s/.*} //'
}
# set_ours: by what a refusal says; again where that took longer than skew_s.
set_ours() {
    tries=0
    until [ "$(refusal GET /v1/account)" = "200 " ] || [ $tries -ge 20 ]; do
        now=$(call GET /v1/account | word now)
        [ -z "$now" ] || ours=$((now - $(command date +%s)))
        tries=$((tries + 1))
    done
}

start --skew_s 2
expect_text "a request is taken" "$(keep early GET /v1/account && again early)" 200
open_map 2 1000000
u64 1500000000 >inputs
(span 1 1 >slow.txt) &
sleep 0.5
echo 3600 >"$CLOCK_SHIFT"
wait $!
expect_text "a span runs on while the clock is set forward" "$(cut -d' ' -f2 slow.txt)" status=done
expect_text "who signs by the old clock is told so" "$(refusal GET /v1/account)" "401 clock"
set_ours
expect "and by which clock to sign" test "$ours" -ge 3500
expect_text "by that it works, and the map is still there" "$(call GET "/v1/maps/$map" | word state)" open
then=$(command date +%s)
keep used GET /v1/account
expect_text "a request of the new time is taken" "$(again used)" 200
expect_text "once" "$(again used)" "401 replay"
for _ in 1 2; do # a signature is forgotten when twice skew_s and a second have gone by twice
    sleep 6
    call GET /v1/account >/dev/null
done
echo $((3600 + then - $(command date +%s))) >"$CLOCK_SHIFT"
expect_text "nor when the clock is set back to where it was signed" "$(again used)" "401 clock"
keep here GET /v1/account
expect_text "the service's clock has not gone back" "$(again here)" 200
echo 0 >"$CLOCK_SHIFT"
expect_text "not by an hour either" "$(again early)" "401 clock"
expect_text "and who goes on as he was told is served" "$(call GET "/v1/maps/$map" | word state)" open
keep last GET /v1/account
again last >/dev/null
stop
start --skew_s 2
expect_text "a daemon started by a clock that is behind refuses what an earlier one took" "$(again last)" "401 clock"
ours=0
set_ours
expect_text "and says by which clock to sign" "$(refusal GET /v1/account)" "200 "

# Days are the calendar's: what was spent on one counts when it is that day again.
token=$(admin account token first --day 0.0005)
use "$token"
spend() {
    open_map 1 400000
    u64 "$1" >inputs
    span 1 1 >/dev/null
    call DELETE "/v1/maps/$map" >closed.json
    call GET /v1/account | word day_spent
}
today=$(spend 72000000)
echo 86400 >"$CLOCK_SHIFT"
set_ours
expect_text "another day begins with nothing spent" "$today $(spend 144000000)" "1000 2000"
echo 0 >"$CLOCK_SHIFT"
expect_text "the same day goes on where it was" "$(spend 72000000)" 2000
expect "the ledger balances" sh -c "$fake --state $folder audit | grep -q 'the ledger balances'"
