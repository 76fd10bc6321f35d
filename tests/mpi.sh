#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The scenarios of tests/mpi_ranks.c as 1, 2, 4 and 8 real ranks: a program that knows nothing of MPI, under
# each launcher; programs that initialise MPI themselves, at each thread level. A rank says "ok SCENARIO";
# all ranks must say all of them.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

scenarios=19
# Open MPI refuses root and more ranks than cores unless told; waiting ranks share cores here.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_base_warn_component_unused=0 UCX_LOG_LEVEL=error
export FASTMAP_VERBOSITY=QUIET
# The MPI libraries keep memory until the process ends.
ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
export ASAN_OPTIONS

# ThreadSanitizer sees nothing of the locks inside an MPI library that was built without it.
if nm "$builddir/.libs/libfastmap.so" 2>/dev/null | grep -q __tsan_init; then
    echo "1..0 # SKIP MPI libraries are not built for ThreadSanitizer"
    exit 0
fi

# count COMMAND...: how many scenarios were right, over all ranks; what else was said goes to why.
count() {
    timeout 150 "$@" >"$tap_scratch/said" 2>&1 </dev/null
    echo "exit $?" >"$tap_scratch/exit"
    grep -c '^ok ' "$tap_scratch/said"
}

# all_ok NAME RANKS COMMAND...
all_ok() {
    name=$1
    ranks=$2
    shift 2
    if [ "$(count "$@")" -eq $((ranks * scenarios)) ] && grep -q 'exit 0' "$tap_scratch/exit"; then
        ok "$name"
    else
        { grep -v '^ok ' "$tap_scratch/said" | head -n 20; cat "$tap_scratch/exit"; } >"$tap_scratch/why"
        not_ok "$name"
    fi
}

plan 31
all_ok "a program that no launcher started" 1 "$builddir/tests/mpi_plain"
for flavour in openmpi mpich; do
    if ! found "mpirun.$flavour" || [ ! -e "$builddir/.libs/fastmap-$flavour.so" ]; then
        skip_promised "no mpirun.$flavour, or no plugin for it" 8
        continue
    fi
    for ranks in 1 2 4 8; do
        all_ok "$flavour: $ranks ranks" "$ranks" "mpirun.$flavour" -n "$ranks" "$builddir/tests/mpi_plain"
    done
    for level in SINGLE FUNNELED SERIALIZED MULTIPLE; do
        all_ok "$flavour: 3 ranks, then in parts, MPI_THREAD_$level" 6 \
            "mpirun.$flavour" -n 3 "$builddir/tests/mpi_levels_$flavour" "$level"
    done
done
# identical NAME COMMAND...: each rank, or the first for all, compares with the loop and says so.
identical() {
    expect "$1 as 4 ranks: results identical" identical_to_loop "$@"
}

identical_to_loop() {
    shift
    timeout 150 mpirun.openmpi -n 4 "$@" >"$tap_scratch/said" 2>&1 || { cat "$tap_scratch/said"; return 1; }
    grep -q 'results identical: yes' "$tap_scratch/said" && ! grep 'identical: no' "$tap_scratch/said"
}

if found mpirun.openmpi && [ -x "$builddir/examples/flame" ]; then
    identical flame "$builddir/examples/flame"
    identical align "$builddir/examples/align" -q OPSD_HUMAN /usr/share/EMBOSS/test/swiss/seq.dat
    identical ode_sweep "$builddir/examples/ode_sweep"
    OMPI_MCA_btl=tcp,self all_ok "openmpi: 2 ranks over tcp" 2 \
        mpirun.openmpi -n 2 "$builddir/tests/mpi_plain"
else
    skip_promised "no mpirun.openmpi, or no examples for it" 4
fi

# served NAME RANKS OKS COMMAND...: rank 0 makes maps, all others only serve.
served() {
    name=$1
    ranks=$2
    oks=$3
    shift 3
    if [ "$(count "$@")" -eq $((oks + ranks - 1)) ] && grep -q 'exit 0' "$tap_scratch/exit" &&
        [ "$(grep -c '^ok served' "$tap_scratch/said")" -eq $((ranks - 1)) ]; then
        ok "$name"
    else
        { cat "$tap_scratch/said"; cat "$tap_scratch/exit"; } >"$tap_scratch/why"
        not_ok "$name"
    fi
}

serve=$builddir/tests/mpi_serve
served "rank 0 alone makes the maps" 1 19 "$serve"
for flavour in openmpi mpich; do
    if ! found "mpirun.$flavour" || [ ! -e "$builddir/.libs/fastmap-$flavour.so" ]; then
        skip_promised "no mpirun.$flavour, or no plugin for it" 4
        continue
    fi
    served "$flavour: one rank serves" 2 19 "mpirun.$flavour" -n 2 "$serve"
    served "$flavour: five ranks serve" 6 19 "mpirun.$flavour" -n 6 "$serve"
    FASTMAP_WORKER_RANKS='' served "$flavour: all others serve, as rank 0 knows" 3 19 \
        "mpirun.$flavour" -n 3 "$serve"
    FASTMAP_WORKER_RANKS='' served "$flavour: no map is ever made" 3 1 \
        "mpirun.$flavour" -n 3 "$serve" nothing
done

scenarios=3
if found mpirun.openmpi && [ -x "$builddir/tests/mpi_fortran" ]; then
    all_ok "openmpi: Fortran over parts of the ranks, and with ranks that serve" 4 \
        mpirun.openmpi -n 4 "$builddir/tests/mpi_fortran"
else
    skip_promised "no mpirun.openmpi, or no Fortran for it"
fi
