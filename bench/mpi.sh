#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs bench/mpi and mpi4py.futures on this machine: elements that sleep with 2, 4 and 8 ranks, elements that
# compute with as many ranks as there are cores. From a build folder, after `make bench/mpi`:
#     ../bench/mpi.sh [--short] [--net] [--no-python] [OPTIONS OF bench/mpi]
# --short: 2 and 4 ranks, three rounds of short maps; what `make bench` does.
# --net (as root): the ranks are spread over two "nodes", network namespaces with host names of their own
# that are joined by a veth pair, and talk TCP. Nodes share the file system and the cores.
set -u
srcdir=$(cd "$(dirname "$0")/.." && pwd)
. "$srcdir/tests/nodes.sh"
net=no
python=yes
rank_counts='2 4 8'
length=
while :; do
    case ${1-} in
    --net) net=yes ;;
    --no-python) python=no ;;
    --short) rank_counts='2 4' length='--rounds 3 --seconds 0.05' ;;
    *) break ;;
    esac
    shift
done

[ -x bench/mpi ] || { echo "mpi.sh: no bench/mpi here: make bench/mpi, then run this in the build folder" >&2; exit 2; }
launcher=$(command -v mpirun.openmpi || command -v mpirun) || { echo "mpi.sh: no mpirun" >&2; exit 2; }
# The distribution's mpi4py belongs to the distribution's python.
if [ "$python" = yes ]; then
    for python in python3 /usr/bin/python3 no; do
        "$python" -c 'import mpi4py.futures' 2>/dev/null && break
    done
    [ "$python" != no ] ||
        echo "mpi.sh: mpi4py left out: it is not installed (Debian: python3-mpi4py)"
fi

# Open MPI refuses root and more ranks than cores unless told; ranks that wait share cores with others.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_mpi_yield_when_idle=1
export OMPI_MCA_btl_base_warn_component_unused=0 UCX_LOG_LEVEL=error
export FASTMAP_VERBOSITY=QUIET

scratch=$(mktemp -d) || exit 2

# shellcheck disable=SC2317 # the trap calls it
tidy_up() {
    [ "$net" = no ] || nodes_remove
    rm -rf "$scratch"
}
trap tidy_up EXIT
trap 'exit 130' INT TERM

# ---- Runs ------------------------------------------------------------------------------------------------

# launch RANKS COMMAND... Each node believes that it has all cores: bound, both would begin with the same one.
launch() {
    ranks=$1
    shift
    if [ "$net" = no ]; then
        timeout 3600 "$launcher" -n "$ranks" "$@"
        return
    fi
    nodes_run timeout 3600 "$launcher" --bind-to none -x FASTMAP_VERBOSITY \
        --host "node-a:$((ranks - ranks / 2)),10.77.0.2:$((ranks / 2))" -n "$ranks" "$@"
}

# both RANKS KIND OPTIONS...: a failure of one run does not keep the others from theirs.
both() {
    ranks=$1
    kind=$2
    shift 2
    # The length is a list.
    # shellcheck disable=SC2086
    set -- --kind "$kind" $length "$@"
    launch "$ranks" bench/mpi "$@" || failed=1
    [ "$python" = no ] || launch "$ranks" "$python" -m mpi4py.futures "$srcdir/bench/mpi_futures.py" "$@" || failed=1
}

if [ "$net" = yes ] && ! nodes_make "$scratch"; then
    echo "mpi.sh: no network namespaces: --net needs root and iproute2" >&2
    exit 2
fi
failed=0
echo "load before: $(cut -d ' ' -f 1 /proc/loadavg); cores: $(nproc); two nodes by TCP: $net"
for ranks in $rank_counts; do
    both "$ranks" sleep "$@"
done
cores=$(nproc)
both "$((cores > 1 ? cores : 2))" compute "$@"
exit "$failed"
