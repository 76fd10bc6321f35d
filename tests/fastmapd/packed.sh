#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Bodies that travel as a frame of zstd, as docs/PROTOCOL.md has them: the same as if they had travelled as they are, or
# refused with nothing kept.
# Variables and functions of the protocol's examples come from its page.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl zstd
plan 22
cd "$tap_scratch" || exit 1
start
if ! curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/v1/health" | grep -q '"encodings":\["zstd"\]'; then
    skip_promised "fastmapd is built without libzstd" 22
    exit 0
fi

# send METHOD TARGET FILE FRAME LENGTH [HEADER]: signed for FILE, sent as FRAME, which is said to decode to LENGTH bytes.
send() {
    body_digest=$(sha256 <"$3") time=$(date +%s) nonce=$(openssl rand -hex 16)
    signature=$(printf '%s\n' fastmap-request-1 "$1" "$2" "$body_digest" "$time" "$nonce" | hmac)
    curl -sS --cacert "$FASTMAP_CERTIFICATE" -D headers -X "$1" --data-binary "@$4" \
        -H "Fastmap-Time: $time" -H "Fastmap-Nonce: $nonce" -H "Fastmap-Digest: $body_digest" \
        -H "Authorization: Fastmap $id $signature" -H "Content-Type:" -H "Content-Encoding: ${coding:-zstd}" \
        -H "Fastmap-Length: $5" ${6:+-H "$6"} "$FASTMAP_URL$2"
}

# refused ...: the status and the error's word.
refused() {
    answer=$(send "$@")
    echo "$(sed -n '$d;s/^HTTP[^ ]* \([0-9]*\).*/\1/p' headers | tail -n 1) $(echo "$answer" | word error)"
}

# ---- Spans -------------------------------------------------------------------------------------------------
open_map 0 1000000
u64 1 2 3 4 >inputs
for _ in 1 2 3 4 5; do
    cat inputs inputs inputs inputs inputs >fivefold
    mv fivefold inputs
done
count=$(($(wc -c <inputs) / 8))
size=$((count * 8))
zstd -q -1 -c inputs >frame
target="/v1/maps/$map/spans/1?first=0&count=$count"
send POST "$target" inputs frame $size >outputs
expect "a packed span is answered, genuinely" genuine -
first=$(header Fastmap-Receipt)
expect_text "all of it is computed" "$(echo "$first" | tr ' ' '\n' | sed -n 's/^computed=//p')" "$count"
call POST "$target" inputs >again
expect_text "the same span as it is has the same receipt" "$(header Fastmap-Receipt)" "$first"
expect "and the same outputs" cmp outputs again
expect_text "nothing is packed for who does not ask" "$(header Content-Encoding)" ""
send POST "$target" inputs frame $size "Accept-Encoding: zstd" >again
expect_text "nor for who does not say that its link is slow" "$(header Content-Encoding)" ""

# slow TARGET: as a client whose outputs come with 100,000 bytes a second.
slow() {
    body_digest=$(sha256 <inputs) time=$(date +%s) nonce=$(openssl rand -hex 16)
    signature=$(printf '%s\n' fastmap-request-1 POST "$1" "$body_digest" "$time" "$nonce" | hmac)
    curl -sS --cacert "$FASTMAP_CERTIFICATE" -D headers --data-binary @inputs \
        -H "Fastmap-Time: $time" -H "Fastmap-Nonce: $nonce" -H "Fastmap-Digest: $body_digest" \
        -H "Authorization: Fastmap $id $signature" -H "Content-Type:" -H "Accept-Encoding: zstd" -H "Fastmap-Rate: 100000" \
        "$FASTMAP_URL$1"
}
slow "$target" >packed
expect_text "outputs are packed for who does" "$(header Content-Encoding)" zstd
expect "genuinely" genuine -
expect "into fewer bytes" test "$(wc -c <packed)" -lt $((size / 2))
zstd -q -d -c packed >unpacked
expect "and are the same" cmp outputs unpacked

# ---- What is refused ---------------------------------------------------------------------------------------
expect_text "a length that is too small is refused" "$(refused POST "$target" inputs frame $((size - 8)))" "413 size"
target="/v1/maps/$map/spans/2?first=0&count=$count"
head -c $(($(wc -c <frame) - 3)) frame >frame.cut
printf 'x' | cat frame - >behind
openssl rand $((size / 2)) >garbage
head -c $((size / 2)) inputs >half
zstd -q -1 -c half >short
expect_text "so is a frame that is cut off" "$(refused POST "$target" inputs frame.cut $size)" "415 encoding"
expect_text "one with a byte behind it" "$(refused POST "$target" inputs behind $size)" "415 encoding"
expect_text "what is no frame" "$(refused POST "$target" inputs garbage $size)" "415 encoding"
expect_text "a frame that gives too little" "$(refused POST "$target" inputs short $size)" "415 encoding"
expect_text "a frame longer than what it gives" "$(refused POST "$target" inputs inputs $((size - 1)))" "400 request"
expect_text "another encoding" "$(coding=gzip refused POST "$target" inputs frame $size)" "415 encoding"
head -c 30000000 /dev/zero | zstd -q -1 -c >bomb
expect_text "a frame that would give a thousand times as much" "$(refused POST "$target" inputs bomb $size)" "415 encoding"
expect_text "and nothing of these is kept: the span is new" "$(span 2 "$count" | cut -d' ' -f2,3)" "status=done computed=$count"

# ---- Blobs -------------------------------------------------------------------------------------------------
openssl rand -hex 1500000 >blob
digest=$(sha256 <blob)
size=$(($(wc -c <blob)))
head -c 1000000 blob >part1
tail -c +1000001 blob >part2
zstd -q -1 -c part1 >frame1
zstd -q --long=24 -c part2 >wide
expect_text "a blob's part may be packed, and counts as what it is" \
    "$(send PUT "/v1/blobs/$digest?size=$size&offset=0" part1 frame1 1000000 | word have)" 1000000
expect_text "a window of more than a megabyte is refused" \
    "$(refused PUT "/v1/blobs/$digest?size=$size&offset=1000000" part2 wide $((size - 1000000)))" "415 encoding"
expect_text "the blob goes on as it is, and is whole" \
    "$(call PUT "/v1/blobs/$digest?size=$size&offset=1000000" part2 | word complete)" true
