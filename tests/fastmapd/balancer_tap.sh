# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154
# Several hosts that share a ledger, behind the load balancers whose configurations are installed, after tap.sh,
# daemon_tap.sh and postgres_tap.sh: the parts of balancer.sh and growth.sh.

PATH=$PATH:/usr/sbin
modules=/usr/lib/nginx/modules
deploy=$srcdir/launchers/fastmapd/deploy

# needs_balancers: the test is skipped where nginx's stream module or HAProxy is missing.
needs_balancers() {
    for what in "$modules/ngx_stream_module.so libnginx-mod-stream" "$(command -v haproxy) haproxy"; do
        [ ! -e "${what%% *}" ] || continue
        if [ -n "${CI:-}" ]; then
            plan 1
            skip_promised "a load balancer is missing (Debian: ${what##* })"
        else
            echo "1..0 # SKIP a load balancer is missing (Debian: ${what##* })"
        fi
        exit 0
    done
}

# new_host NAME: a state folder for another host, as docs say: the first one's key of the ledger, and its certificate.
new_host() {
    mkdir -m 700 "$1"
    cp -p "$folder/ledger.key" "$folder/certificate.pem" "$folder/certificate.key" "$1"
}

# host NAME FLAG...: runs fastmapd over that folder; $host_pid and $host_url.
host() {
    name=$1
    shift
    rm -f "$name/url"
    "$daemon" --state "$tap_scratch/$name" --ledger "$postgres" "$@" >>"$name.out" 2>>"$name.log" &
    host_pid=$!
    tries=0
    while [ ! -f "$name/url" ] && kill -0 "$host_pid" 2>/dev/null && [ $tries -lt 400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    host_url=$(cat "$name/url")
}

# balance_by nginx|haproxy PORT ONE TWO: between the two addresses, with the configuration that is installed; $balancer.
balance_by() {
    "by_$1" "$2" "${3#https://}" "${4#https://}"
    tries=0
    until curl -sS --cacert "$FASTMAP_CERTIFICATE" "https://127.0.0.1:$2/v1/health" >health 2>why || [ $tries -gt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
}

by_nginx() {
    sed -e "s/192.0.2.11:8443/$2/" -e "s/192.0.2.12:8443/$3/" -e "s/listen 443;/listen 127.0.0.1:$1;/" \
        -e "s|load_module |&$modules/../|" "$deploy/nginx.conf" >nginx.conf
    nginx -p "$tap_scratch" -c "$tap_scratch/nginx.conf" -e "$tap_scratch/nginx.log" \
        -g "daemon off; pid $tap_scratch/nginx.pid;" 2>nginx.err &
    balancer=$!
}

by_haproxy() {
    sed -e "s/192.0.2.11:8443/$2/" -e "s/192.0.2.12:8443/$3/" -e "s/bind :443/bind 127.0.0.1:$1/" \
        "$deploy/haproxy.cfg" >haproxy.cfg
    haproxy -q -db -f haproxy.cfg 2>haproxy.err &
    balancer=$!
}

# let_go PID...: without a word.
let_go() {
    kill "$@" 2>/dev/null
    wait "$@" 2>/dev/null
}
