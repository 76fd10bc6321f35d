#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmapd beside nginx on this machine: spans of 64 bytes and of 1 MiB, the same MiB up to and down from nginx, in turn
# and several times, so that what else the machine does meets both. Run from the build folder:
#     sh ../bench/service.sh [rounds [ledger]]
set -eu
build=$(pwd)
rounds=${1:-5} ledger=${2:-}
scratch=$(mktemp -d)
chmod 755 "$scratch"
daemon='' nginx=''
trap 'kill $daemon $nginx 2>/dev/null || :; wait; rm -rf "$scratch"' EXIT
PATH=$PATH:/usr/sbin

"$build/fastmapd" --state "$scratch/state" --log error --connections 2000 --connections_address 2000 \
    --ledger "$ledger" >"$scratch/out" &
daemon=$!
while [ ! -f "$scratch/state/url" ]; do sleep 0.1; done
url=$(cat "$scratch/state/url")
token=$(awk '/^token/ { print $2 }' "$scratch/out")
shim=$(find "$build" -name fastmap-worker.so | head -n 1)

client() {
    "$build/bench/service" --certificate "$scratch/state/certificate.pem" --worker "$shim" "$@"
}
service() {
    client --url "$url" --token "$token" --pid "$daemon" "$@"
}

# nginx with the same certificate, on a port that was free a moment ago.
front=$((20000 + $$ % 20000))
mkdir -p "$scratch/up" "$scratch/tmp"
chmod 777 "$scratch/up" "$scratch/tmp"
cat >"$scratch/nginx.conf" <<END
worker_processes auto;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $scratch/tmp;
    server {
        listen 127.0.0.1:$front ssl;
        ssl_certificate $scratch/state/certificate.pem;
        ssl_certificate_key $scratch/state/certificate.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        client_max_body_size 8m;
        keepalive_requests 10000000;
        root $scratch;
        location /up { dav_methods PUT; }
    }
}
END
if command -v nginx >/dev/null; then
    nginx -p "$scratch" -c "$scratch/nginx.conf" -e "$scratch/nginx.log" -g "daemon off; pid $scratch/pid;" 2>/dev/null &
    nginx=$!
    sleep 1
fi

echo "load: $(cat /proc/loadavg)"
round=0
while [ "$round" -lt "$rounds" ]; do
    service --bytes 64 --spans 20000
    service --bytes 1048576 --spans 300 | grep spans
    [ -z "$nginx" ] || client --url "https://127.0.0.1:$front" --pid "$nginx" --put /up/x --bytes 1048576 --spans 300 |
        sed 's/spans/times up and down, nginx,/'
    round=$((round + 1))
done
client --url "$url" --pid "$daemon" --idle 1000
