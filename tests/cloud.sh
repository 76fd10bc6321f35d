#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A program and a real fastmapd, by the settings alone: the service has never seen the program, runs it in its
# sandbox, and the results are those of this machine, byte for byte, whoever computed them and whatever fails.
# shellcheck disable=SC2154,SC2119,SC2034
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"
daemon=$builddir/fastmapd
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
cd "$tap_scratch" || exit 1
start --first_credit 1
needs_sandbox
plan 30

# all_closed, more_spans: what the service has come to.
all_closed() {
    test "$(grep -c event=map-closed log)" -eq "$(grep -c event=map-opened log)"
}

more_spans() {
    test "$(spans)" -gt "$before"
}

spans() {
    admin status | awk '/spans done/ { print $3 }'
}

# said NAME WORD: cloud, of, dollars or seconds.
said() {
    sed -n "s/.*$2=\([0-9.]*\).*/\1/p" "$1.err"
}

same() {
    cp "$1.err" why
    cmp "$1.out" local.out
}

map local 400 1 FASTMAP_EXEC_POLICY=LOCAL
expect_text "LOCAL computes nothing in the cloud, and connects to none" "$(said local cloud)" 0
map cloud 400 1 FASTMAP_EXEC_POLICY=CLOUD
expect "CLOUD has the results of this machine, byte for byte" same cloud
expect_text "and computes everything there" "$(said cloud cloud)" 400
cp cloud.err why
until_true all_closed
before=$(call GET /v1/account | word balance)
expect "the report's dollars are what the account has paid" \
    test "$(said cloud dollars | tr -d .)" = "$(printf '%010d' $((1000000000 - before)))"
expect "which is for about the time that the elements took" test $((1000000000 - before)) -gt 5000
map again 400 1 FASTMAP_EXEC_POLICY=CLOUD
expect "a second run is right, too" same again
map adaptive 400 1
expect "ADAPTIVE has the same results" same adaptive

map token 400 1 FASTMAP_EXEC_POLICY=CLOUD FASTMAP_SECRET="fm1_0123456789abcdef_$(printf '%043d' 0)"
expect "a wrong token ends in local results" same token
expect "with the sentence that names it" grep -q 'does not take the token' token.err
map certificate 400 1 FASTMAP_EXEC_POLICY=CLOUD FASTMAP_CLOUD_CA_FILE=
expect "so does a certificate that is not trusted" same certificate
expect "with its sentence" grep -q 'certificate that is not trusted' certificate.err
expect "no token is in what was said" sh -c "! grep -q '${FASTMAP_TOKEN##*_}' ./*.err log"

# Threads, three ranks and the cloud in one map: rank 0 runs the program, and talks to the service.
program=$builddir/tests/cloud_map # linked with -no-install: a program, not a script of libtool
if [ ! -x "$program" ] || ! found mpirun.openmpi || [ ! -e "$builddir/.libs/fastmap-openmpi.so" ] ||
    nm "$builddir/.libs/libfastmap.so" | grep -q -e __asan_init -e __tsan_init; then
    skip "no Open MPI, or a sanitizer that its ranks are not built for" 15
else
    env FASTMAP_CLOUD_URL="$FASTMAP_URL" FASTMAP_CLOUD_CA_FILE="$FASTMAP_CERTIFICATE" \
        FASTMAP_SECRET="$FASTMAP_TOKEN" FASTMAP_CONFIRM_CHARGES=OFF LD_LIBRARY_PATH="$builddir/.libs" \
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 \
        "$builddir/launchers/fastmap-run" --mpi openmpi -n 3 "$program" 4000 1 >ranks.out 2>ranks.err
    cp ranks.err why
    head -c 3200 ranks.out >first.out
    expect "three ranks, their threads and the cloud have the same results" cmp first.out local.out
    expect_text "of all elements, on all ranks" "$(wc -c <ranks.out | tr -d ' '),$(said ranks ranks)" 32000,3
    expect "some in the cloud, some on other ranks" test "$(said ranks away)" -gt "$(said ranks cloud)" -a \
        "$(said ranks cloud)" -gt 0

    # Ranks below the first cannot reach the service, since something refuses where their setting points to.
    cat >rank <<'END'
[ "$OMPI_COMM_WORLD_RANK" -ge "$FIRST" ] || export FASTMAP_CLOUD_URL=https://127.0.0.1:1
exec env LD_PRELOAD="$SHIM" FASTMAP_WORKER_RANKS=OMPI_COMM_WORLD_RANK "$@"
END
    # from FIRST [NAME CONFIRM ANSWER]: a map whose first rank that can reach the service is that; outputs in
    # NAME.out. CONFIRM: confirm_charges of all ranks; ANSWER, if any, is that of rank 0's callback.
    from() {
        name=${2:-from-$1}
        until_true all_closed
        before=$(balance)
        env FIRST="$1" SHIM="$builddir/.libs/fastmap-worker.so" FASTMAP_CLOUD_URL="$FASTMAP_URL" \
            FASTMAP_CLOUD_CA_FILE="$FASTMAP_CERTIFICATE" FASTMAP_SECRET="$FASTMAP_TOKEN" FASTMAP_CONFIRM_CHARGES="${3:-OFF}" \
            FASTMAP_VERBOSITY=NORMAL LD_LIBRARY_PATH="$builddir/.libs" OMPI_ALLOW_RUN_AS_ROOT=1 \
            OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1 timeout 120 \
            mpirun.openmpi -n 3 sh rank "$program" 4000 2 ${4:+"$4"} >"$name.out" 2>"$name.err" </dev/null
        until_true all_closed
        cp "$name.err" why
        head -c 3200 "$name.out" >first.out
        paid=$((before - $(balance)))
    }
    for first in 1 2; do
        from $first
        expect "the cloud of a rank $((first - 1)) that cannot reach it is rank $first's, with the same results" cmp first.out local.out
        expect_text "said in one line" "$(grep -c "rank $first talks to the cloud" "from-$first.err"),$(grep -c "is not used" "from-$first.err")" 1,0
        # A span that was given up at the end may just have been charged.
        told=$(said "from-$first" dollars | tr -d . | sed 's/^0*//')
        echo "paid $paid, told ${told:=0}" >>why
        expect "and charged once, as rank 0 reports it" test "$told" -gt 0 -a "$told" -le "$paid" -a $((paid * 10)) -le $((told * 11))
    done
    from 3
    expect "where no rank can, the map is computed without, and one line says so" \
        test "$(cmp first.out local.out && grep -c 'no rank of the job can reach it; rank 0 finds that' from-3.err),$(said from-3 cloud)" = 1,0

    # The question about charges is rank 0's, whoever talks to the service.
    # refusals NAME REASON: how often the cloud was said not to be used, and for that reason.
    refusals() {
        echo "$(grep -c 'the cloud is not used' "$1.err"),$(grep -c "the cloud is not used: $2" "$1.err")"
    }
    from 1 yes ON yes
    expect "rank 0's callback is asked once where rank 1 talks to the cloud, with figures that make sense" \
        test "$(said yes asked),$(grep -c 'estimate is wrong' yes.err),$(cmp first.out local.out && echo same)" = 1,0,same
    expect "its yes is a yes: the cloud computes" test "$(said yes cloud)" -gt 0 -a "$paid" -gt 0
    from 2 no ON no
    expect_text "its no, to rank 2, is said once and nothing is charged" \
        "$(said no asked),$(said no cloud),$paid,$(refusals no 'the program said no')" 1,0,0,1,1
    expect "and the map is complete" cmp first.out local.out
    from 1 nobody AUTO
    expect_text "without a terminal or a callback it is a no, and said once" \
        "$(said nobody cloud),$paid,$(refusals nobody 'charges are to be confirmed and there is no terminal')" 0,0,1,1
fi

# The program ends as soon as it has its results.
until_true all_closed
expect_text "every map that was opened is closed again" "$(grep -c event=map-closed log)" \
    "$(grep -c event=map-opened log)"

before=$(spans)
map killed 4000 1 FASTMAP_EXEC_POLICY=CLOUD &
until_true more_spans
stop -KILL
wait $!
head -c 3200 killed.out >first.out
expect "a service that is killed in the middle costs no result" cmp first.out local.out
expect_text "and all elements are there" "$(said killed of)" 4000
