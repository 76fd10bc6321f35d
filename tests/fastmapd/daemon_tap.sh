# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# What the tests of a running fastmapd share, after tap.sh: starting and stopping one over its own state folder, and
# the functions of docs/PROTOCOL.md, part 2, taken from there. Each test talks to loopback, on a port that the system
# chose.

fake=$builddir/tests/fastmapd/fastmapd_fake
daemon=${daemon:-$fake}
folder=$tap_scratch/state
pid=

# needs TOOL...: the test is skipped where one is missing.
needs() {
    for tool in "$@"; do
        found "$tool" || {
            echo "1..0 # SKIP $tool is not installed (Debian: $tool)"
            exit 0
        }
    done
}

# needs_sandbox: the test is skipped where the daemon that was just started did not stay, for want of one.
needs_sandbox() {
    kill -0 "$pid" 2>/dev/null || {
        echo "1..0 # SKIP no sandbox here: $(tail -n 1 "$tap_scratch/log")"
        exit 0
    }
}

# start [FLAG...]: returns when it listens. $FASTMAP_URL and, for a fresh ledger, $FASTMAP_TOKEN are set.
start() {
    rm -f "$folder/url"
    "$daemon" --state "$folder" "$@" >"$tap_scratch/out" 2>>"$tap_scratch/log" &
    pid=$!
    tries=0
    while [ ! -f "$folder/url" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    FASTMAP_URL=$(cat "$folder/url" 2>/dev/null)
    FASTMAP_CERTIFICATE=$folder/certificate.pem
    if grep -q '^token' "$tap_scratch/out"; then
        FASTMAP_TOKEN=$(awk '/^token/ { print $2 }' "$tap_scratch/out")
        use "$FASTMAP_TOKEN"
    fi
}

stop() {
    [ -z "$pid" ] || kill "${1:--TERM}" "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    stopped=$?
    pid=
}
trap 'stop -KILL 2>/dev/null; rm -rf "$tap_scratch"' EXIT

admin() {
    "$daemon" --state "$folder" "$@"
}

# The examples of the protocol, a block a file: example-1 defines the functions.
(cd "$tap_scratch" && awk '
    /^```sh$/ { n++; inside = 1; next }
    /^```$/ { inside = 0 }
    inside { print >("example-" n) }
' "$srcdir/docs/PROTOCOL.md")

# use TOKEN: who signs from now on.
use() {
    FASTMAP_TOKEN=$1
    # shellcheck source=/dev/null
    . "$tap_scratch/example-1"
}

# word NAME: of the JSON on standard input.
word() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# refusal METHOD TARGET [FILE]: the status and the error's word.
refusal() {
    answer=$(call "$@") || answer=
    echo "$(sed -n '$d;s/^HTTP[^ ]* \([0-9]*\).*/\1/p' headers | tail -n 1) $(echo "$answer" | word error)"
}

# open_map FUNCTION BUDGET [KEY]: of a program that needs nothing; $map, and the answer in ./map.json.
open_map() {
    printf 'a program' >manifest
    program=$(call POST /v1/programs manifest | word program)
    cat >terms.json <<END
{"key": "${3:-$(openssl rand -hex 16)}", "program": "$program", "function": {"module": "", "offset": $1, "kind": "element"},
 "in_size": 8, "out_size": 8, "vcpus": 2, "budget": $2}
END
    call POST /v1/maps terms.json >map.json
    map=$(word map <map.json)
}

# u64 NUMBER...: as bytes.
u64() {
    for number; do
        hex=$(printf '%016x' "$number")
        for i in 15 13 11 9 7 5 3 1; do
            printf '%b' "\\0$(printf '%03o' "0x$(echo "$hex" | cut -c$i-$((i + 1)))")"
        done
    done
}

# span NUMBER COUNT: sends ./inputs; the receipt without the map's name and its vCPUs.
span() {
    call POST "/v1/maps/$map/spans/$1?first=0&count=$2" inputs >outputs
    genuine - || echo "not genuine: $(cat outputs)"
    header Fastmap-Receipt | sed 's/^map=[0-9a-f]* //; s/ vcpus=[0-9]*$//'
}

balance() {
    call GET /v1/account | word balance
}

# with_cloud NAME VARIABLE... COMMAND...: its outputs in NAME.out, sentences in NAME.err.
with_cloud() {
    name=$1
    shift
    env FASTMAP_CLOUD_URL="$FASTMAP_URL" FASTMAP_CLOUD_CA_FILE="$FASTMAP_CERTIFICATE" \
        FASTMAP_SECRET="$FASTMAP_TOKEN" FASTMAP_CONFIRM_CHARGES=OFF FASTMAP_VERBOSITY=LOUD "$@" \
        >"$name.out" 2>"$name.err"
}

# map NAME N MILLISECONDS VARIABLE...: of elements that compute for so long.
map() {
    map_name=$1 count=$2 cost=$3
    shift 3
    with_cloud "$map_name" "$@" timeout 120 "$builddir/tests/cloud_map" "$count" "$cost"
}

# sleeper NAME N: of elements that sleep for 20 ms, all of them in the cloud.
sleeper() {
    with_cloud "$1" FASTMAP_EXEC_POLICY=CLOUD timeout 120 "$builddir/tests/cloud_map" "$2" 20 sleep
}

# vcpus NAME: how many its map was told to have, one after the other.
vcpus() {
    sed -n 's/.*the cloud \(grants\|has\) \([0-9]*\) of [0-9]* vCPUs.*/\2/p' "$1.err" | uniq | tr '\n' ' '
}

# until_true COMMAND...: waits for it, for fifteen seconds at most.
until_true() {
    tries=0
    until "$@" || [ $tries -ge 150 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}
