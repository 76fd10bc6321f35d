#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Starts a fastmapd for bench/adaptive or, with --faults first, bench/faults, passes the other arguments on, and
# ends it. Run from the build folder:
#     sh ../bench/adaptive.sh [--all] [--every K] [--cell ...]
#     sh ../bench/adaptive.sh --faults [ROUNDS]
set -eu
build=$(pwd)
program=adaptive
[ "${1:-}" != --faults ] || {
    program=faults
    shift
}
scratch=$(mktemp -d)
chmod 755 "$scratch"
daemon=''
trap '[ -z "$daemon" ] || { kill "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null; } || :; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM HUP

"$build/fastmapd" --state "$scratch/state" --vcpus 64 --log error >"$scratch/out" 2>"$scratch/log" &
daemon=$!
until [ -f "$scratch/state/url" ]; do
    kill -0 "$daemon" 2>/dev/null || {
        cat "$scratch/log" >&2
        exit 1
    }
    sleep 0.1
done
FASTMAP_CLOUD_URL=$(cat "$scratch/state/url")
FASTMAP_SECRET=$(awk '$1 == "token" { print $2 }' "$scratch/out")
export FASTMAP_CLOUD_URL FASTMAP_SECRET FASTMAP_CLOUD_CA_FILE="$scratch/state/certificate.pem"
FASTMAP_VERBOSITY=${FASTMAP_VERBOSITY:-QUIET}
export FASTMAP_VERBOSITY
echo "load: $(cat /proc/loadavg)"
status=0
"$build/bench/$program" "$@" || status=$?
exit $status
