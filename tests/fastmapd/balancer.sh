#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Two daemons behind the nginx configuration that is installed: a client stays with one host, TLS is passed through, and
# when that host drains the client is told to connect anew, and finds the other.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"

PATH=$PATH:/usr/sbin
needs curl openssl nginx
modules=/usr/lib/nginx/modules
[ -e $modules/ngx_stream_module.so ] || {
    echo "1..0 # SKIP nginx has no stream module (Debian: libnginx-mod-stream)"
    exit 0
}
plan 7
cd "$tap_scratch" || exit 1

# A port that the system chooses, for nginx: a daemon had it.
start
front=${FASTMAP_URL##*:}
token=$FASTMAP_TOKEN
stop
# The second host: the same certificate and, here, the same accounts to begin with.
cp -r state other
start
one=$FASTMAP_URL
"$daemon" --state "$tap_scratch/other" >/dev/null 2>&1 &
second=$!
while [ ! -f other/url ]; do sleep 0.05; done
two=$(cat other/url)

sed -e "s/192.0.2.11:8443/127.0.0.1:${one##*:}/" -e "s/192.0.2.12:8443/127.0.0.1:${two##*:}/" \
    -e "s/listen 443;/listen 127.0.0.1:$front;/" -e "s|load_module |&$modules/../|" "$srcdir/launchers/fastmapd/deploy/nginx.conf" >nginx.conf
nginx -p "$tap_scratch" -c "$tap_scratch/nginx.conf" -e "$tap_scratch/nginx.log" \
    -g "daemon off; pid $tap_scratch/nginx.pid;" 2>nginx.err &
balancer=$!
FASTMAP_URL=https://127.0.0.1:$front
tries=0
until curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/v1/health" >health 2>why || [ $tries -gt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done

use "$token"
expect_text "health through the balancer" "$(word status <health)" ok
open_map 0 1000000
u64 1 2 3 4 >inputs
found_all=0
for i in 1 2 3 4 5 6 7 8; do
    span $i 4 | grep -q status=done && found_all=$((found_all + 1))
done
expect_text "every connection of a client finds its map" "$found_all" 8
call GET /v1/account >account.json
expect "answers are genuine through the balancer" genuine "$(sha256 <account.json)"

# Which one has it? That one drains.
url=$FASTMAP_URL
FASTMAP_URL=$one
has_map=$(call GET "/v1/maps/$map" | word state)
FASTMAP_URL=$url
[ "$has_map" = open ] && drained=$pid || drained=$second
kill -TERM "$drained"
wait "$drained"
expect_text "the host drains" $? 0
expect_text "new connections find the other host" \
    "$(curl -sS --cacert "$FASTMAP_CERTIFICATE" "$FASTMAP_URL/v1/health" | word status)" ok
expect_text "where the map is not" "$(refusal POST "/v1/maps/$map/spans/9?first=0&count=4" inputs)" "404 map"
open_map 0 1000000
expect_text "and another is opened" "$(span 1 4 | cut -d' ' -f2)" status=done
kill "$balancer" "$second" 2>/dev/null
wait "$balancer" "$second" 2>/dev/null
[ "$drained" = "$pid" ] && pid=
stop
