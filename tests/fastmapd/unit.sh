#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The systemd unit that is installed: systemd finds nothing wrong with it, and what it leaves to fastmapd is enough for
# the sandbox. There is no systemd to start it here, so its capabilities and its view of the file system are made by
# setpriv and unshare, from the unit's own lines.
# shellcheck disable=SC2154,SC2119,SC2016,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"

unit=$tap_scratch/fastmapd.service
sed "s|@sbindir@|$builddir|" "$srcdir/launchers/fastmapd/deploy/fastmapd.service.in" >"$unit"

# has LINE: the unit says so.
has() {
    grep -qx "$1" "$unit"
}

plan 6
if ! found systemd-analyze; then
    skip "systemd-analyze is not installed (Debian: systemd)" 2
else
    systemd-analyze verify --man=no "$unit" >"$tap_scratch/why" 2>&1
    expect_text "systemd finds nothing wrong with the unit" "$(grep fastmapd "$tap_scratch/why")" ""
    # What is left of it is the making of namespaces, for which there are no better words.
    expect "its exposure is below 5.5 of 10" systemd-analyze security --offline=true --threshold=55 "$unit"
fi

for directive in RestrictNamespaces PrivateUsers MemoryDenyWriteExecute SystemCallFilter ProcSubset; do
    grep "^$directive=" "$unit"
done >"$tap_scratch/forbidding"
expect_text "no directive forbids what a worker needs" "$(cat "$tap_scratch/forbidding")" ""

if [ "$(id -u)" -ne 0 ] || ! found unshare || ! found setpriv || ! unshare -m true 2>/dev/null; then
    skip "only root can take capabilities and mounts away" 3
    exit 0
fi

# What the unit's words do to the file system.
folder=$tap_scratch/state
mkdir -m 700 "$folder"
{
    echo 'set -e'
    echo 'mount --bind /tmp /tmp' # in the place of PrivateTmp: the state folder and the build may be there
    echo "mkdir dev; mount --bind '$tap_scratch' '$tap_scratch'; cd '$tap_scratch'"
    ! has ProtectHome=yes || echo 'mount -t tmpfs -o ro,mode=000 none /home'
    ! has PrivateDevices=yes || echo 'mount -t tmpfs -o nosuid,noexec,mode=755 none dev
        for i in null zero full random urandom; do : >dev/$i; mount --bind /dev/$i dev/$i; done
        mount --rbind dev /dev'
    ! has ProtectKernelTunables=yes || echo 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys'
    ! has ProtectControlGroups=yes || echo 'mount -t tmpfs -o ro none /sys/fs/cgroup'
    ! has ProtectSystem=strict || echo 'mount -o remount,bind,ro /'
    echo 'exec "$@"'
} >"$tap_scratch/view.sh"
chmod 755 "$tap_scratch"
capabilities=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr '[:upper:]' '[:lower:]' | sed 's/cap_/,+/g; s/ //g')
cat >"$tap_scratch/as_unit" <<END
#!/bin/sh
exec unshare -m --propagation private sh "$tap_scratch/view.sh" setpriv --no-new-privs --bounding-set "-all$capabilities" "$builddir/fastmapd" "\$@"
END
chmod 755 "$tap_scratch/as_unit"
daemon=$tap_scratch/as_unit
cd "$tap_scratch" || exit 1
start --first_credit 1
cp log why
expect "fastmapd starts with what the unit leaves" test -n "$FASTMAP_URL"
expect "and has its best sandbox" grep -q 'confinement="namespaces, seccomp, a user of its own for each"' log
shim=$(find "$builddir/.libs" "$builddir/lib" -name fastmap-worker.so 2>/dev/null | head -n 1)
expect "in which a program runs" "$builddir/bench/service" --url "$FASTMAP_URL" --certificate "$FASTMAP_CERTIFICATE" \
    --pid "$pid" --worker "$shim" --token "$FASTMAP_TOKEN" --bytes 64 --spans 100
stop
