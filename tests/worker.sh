#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Kinds of programs whose elements run in worker processes, and what becomes of the workers. What elements do is
# tried by test_process.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libfastmap.so
if [ ! -e "$library" ] || [ ! -e "$builddir/.libs/fastmap-worker.so" ]; then
    echo "1..0 # SKIP configured with --disable-shared: there is nothing to preload"
    exit 0
fi
plan 24

programs=$srcdir/tests/worker
link="-L$builddir/.libs -lfastmap -Wl,-rpath,$builddir/.libs"
fine='0 fine; 0 failed, right'
unset LD_PRELOAD
FASTMAP_VERBOSITY=QUIET
export FASTMAP_VERBOSITY
# shellcheck disable=SC3045 # where a shell does not have it, nothing is lost
ulimit -c 0 2>/dev/null

# build NAME [FLAGS...]: the program in a way of its own. Flags are lists.
# shellcheck disable=SC2086
build() {
    name=$1
    shift
    $CC -std=gnu11 -O1 -g -I"$srcdir/include" "$programs/program.c" -o "$tap_scratch/$name" "$@" $link \
        >"$tap_scratch/$name.log" 2>&1
}

run() {
    name=$1
    shift
    timeout 60 "$tap_scratch/$name" "$@" 2>&1
}

# kind WHAT NAME [FLAGS...]: builds it and expects the map to be computed.
kind() {
    what=$1
    name=$2
    shift 2
    if build "$name" "$@"; then
        expect_text "$what" "$(run "$name")" "$fine"
    else
        skip_promised "$what: it cannot be built here"
    fi
}

expect "the program builds" build pie -fPIE -pie
kind "a position-independent program" pie -fPIE -pie
kind "one that is not" no_pie -fno-pie -no-pie
kind "one bound at once, without lazy stubs" now -fPIE -pie -Wl,-z,now
kind "one whose elements use OpenMP" openmp -fopenmp

if [ -n "${OMPI_CFLAGS:-}" ] && command -v mpirun.openmpi >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    build mpi -DWITH_MPI $OMPI_CFLAGS ${OMPI_LIBS:-}
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
    expect_text "one linked with Open MPI" "$(run mpi)" "$fine"
    expect_text "the same as two ranks" \
        "$(timeout 100 mpirun.openmpi --oversubscribe -n 2 "$tap_scratch/mpi" 2>&1 | sort -u)" "$fine"
    expect_text "elements of rank 0 that crash on both ranks cost themselves alone" \
        "$(timeout 100 mpirun.openmpi --oversubscribe -n 2 "$tap_scratch/mpi" ranks 2>&1 | grep failed)" \
        "-4, 2 failed, first 99 by 6, 2 wrong, some away 1"
    expect_text "the same where the other rank only serves" \
        "$(timeout 100 "$builddir/launchers/fastmap-run" -n 2 "$tap_scratch/pie" ranks 2>&1 | grep failed)" \
        "-4, 2 failed, first 99 by 6, 2 wrong, some away 1"
else
    skip_promised "no Open MPI" 4
fi

if $CC -shared -fPIC -I"$srcdir/include" "$programs/plugin.c" -o "$tap_scratch/plugin.so"; then
    expect_text "a function of a plugin" "$(run pie plugin "$tap_scratch/plugin.so")" "$fine"
fi

# ---- Sanitizers ----

if build asan -fsanitize=address; then
    expect_text "one under AddressSanitizer" "$(ASAN_OPTIONS=detect_leaks=0 run asan)" "$fine"
    ASAN_OPTIONS=detect_leaks=0 run asan overflow >"$tap_scratch/asan.out"
    expect "what AddressSanitizer finds is shown with the worker's name" \
        grep -q '^\[worker [0-9]*\] .*heap-buffer-overflow' "$tap_scratch/asan.out"
    expect "and costs one element" grep -q '; 1 failed' "$tap_scratch/asan.out"
else
    skip "no AddressSanitizer" 3
fi

# ---- Languages ----

if command -v "${CXX%% *}" >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    $CXX -std=c++11 -O1 -I"$srcdir/include" "$programs/program.cpp" -o "$tap_scratch/cxx" $link
    expect_text "C++ with global objects and exceptions" "$(run cxx)" "0, 100 right, 0 failed, signal 0 of 0"
    expect_text "an exception that leaves an element costs that element" \
        "$(run cxx throws | grep -v '^\[worker')" "-4, 99 right, 1 failed, signal 6 of 51"
else
    skip_promised "no C++ compiler" 2
fi

if found "${FC%% *}" && grep -q fastmap_fortran_map "$library"; then
    # shellcheck disable=SC2086
    (cd "$tap_scratch" && $FC -O1 "$srcdir/include/fastmap.f90" "$programs/program.f90" -o legacy $link) \
        >"$tap_scratch/legacy.log" 2>&1
    FASTMAP_WORKERS=PROCESSES
    FASTMAP_MAX_LOCAL_WORKERS=3
    export FASTMAP_WORKERS FASTMAP_MAX_LOCAL_WORKERS
    run legacy >"$tap_scratch/legacy.out"
    unset FASTMAP_WORKERS FASTMAP_MAX_LOCAL_WORKERS
    expect "Fortran with COMMON and SAVE, unchanged" grep -q '^all right' "$tap_scratch/legacy.out"
    expect "what a Fortran element prints is shown" \
        grep -q '^\[worker [0-9]*\]  *element seventeen' "$tap_scratch/legacy.out"
else
    skip "no Fortran" 2
fi

# ---- What cannot be a worker ----

archive=$builddir/.libs/libfastmap.a
if [ -e "$archive" ]; then
    hwloc=$($PKG_CONFIG --libs hwloc)
    # shellcheck disable=SC2086
    inside() {
        name=$1
        shift
        $CC -std=gnu11 -O1 -I"$srcdir/include" "$programs/program.c" -o "$tap_scratch/$name" "$archive" "$@" \
            $hwloc -lm -pthread >"$tap_scratch/$name.log" 2>&1
    }
    inside hidden
    expect "a program that keeps its fastmap to itself is refused" \
        sh -c "'$tap_scratch/hidden' | grep -q '^-10 .*export-dynamic-symbol=fastmap_serve'"
    mkdir -p "$tap_scratch/fastmap"
    ln -s "$builddir/.libs/fastmap-worker.so" "$tap_scratch/fastmap/fastmap-worker.so"
    inside shown -Wl,--export-dynamic-symbol=fastmap_serve
    expect_text "one that shows it is not" "$(run shown)" "$fine"
    # Of what hwloc would like to have there is no static library; nothing here calls it.
    if inside static -static -Wl,--unresolved-symbols=ignore-all && [ -x "$tap_scratch/static" ]; then
        expect "a static program is refused" sh -c "FASTMAP_MAX_LOCAL_WORKERS=1 '$tap_scratch/static' |
            grep -q '^-10 the program is a static executable.*; 0 failed, wrong\$'"
    else
        skip "no static C library"
    fi
else
    skip "no static library" 3
fi

# ---- What is printed ----

expect "what an element prints is shown with its worker's name" \
    sh -c "'$tap_scratch/pie' print | grep -q '^\[worker [0-9]*\] element 3\$'"
run pie flood >"$tap_scratch/flood.out"
expect "a flood is cut" sh -c "grep -q 'more than .* KiB' '$tap_scratch/flood.out' &&
    test \$(wc -c <'$tap_scratch/flood.out') -lt 4000000"
expect "and the map is computed all the same" grep -q "^$fine" "$tap_scratch/flood.out"

# ---- Whose they are ----

# Elements that never end, in as many workers as the machine has cores; then the program is killed.
killed_leaves_nobody() {
    : >"$tap_scratch/pids"
    "$tap_scratch/pie" loop "$tap_scratch/pids" >/dev/null 2>&1 &
    program=$!
    tries=0
    while [ ! -s "$tap_scratch/pids" ] && [ $tries -lt 300 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    [ -s "$tap_scratch/pids" ] || return 1
    worker=$(head -n 1 "$tap_scratch/pids")
    kill -0 "$worker" || return 1
    kill -9 $program
    wait $program 2>/dev/null
    tries=0
    while kill -0 "$worker" 2>/dev/null && [ $tries -lt 100 ]; do
        # One that nobody has waited for yet is dead as well.
        grep -q '^State:.*Z' "/proc/$worker/status" 2>/dev/null && return 0
        sleep 0.1
        tries=$((tries + 1))
    done
    ! kill -0 "$worker" 2>/dev/null
}
expect "kill -9 of the program leaves no worker in an endless element" killed_leaves_nobody
