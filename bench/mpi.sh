#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs bench/mpi and mpi4py.futures on this machine: elements that sleep with 2, 4 and 8 ranks, elements that
# compute with as many ranks as there are cores. From a build folder, after `make bench/mpi`:
#     ../bench/mpi.sh [--net] [--no-python] [OPTIONS OF bench/mpi]
# --net (as root): the ranks are spread over two "nodes", network namespaces with host names of their own
# that are joined by a veth pair, and talk TCP. Nodes share the file system and the cores.
set -u
srcdir=$(cd "$(dirname "$0")/.." && pwd)
net=no
python=yes
while :; do
    case ${1-} in
    --net) net=yes ;;
    --no-python) python=no ;;
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

# ---- Two nodes -------------------------------------------------------------------------------------------

scratch=$(mktemp -d) || exit 2
net_a=fmbench-a-$$
net_b=fmbench-b-$$

# shellcheck disable=SC2317 # the trap calls it
remove_nodes() {
    if [ "$net" = yes ]; then
        ip netns delete "$net_a" 2>/dev/null
        ip netns delete "$net_b" 2>/dev/null
    fi
    rm -rf "$scratch"
}
trap remove_nodes EXIT
trap 'exit 130' INT TERM

# node NAMESPACE INTERFACE ADDRESS
node() {
    nsenter --net="/run/netns/$1" ip link set lo up &&
        nsenter --net="/run/netns/$1" ip address add "$3/24" dev "$2" &&
        nsenter --net="/run/netns/$1" ip link set "$2" up
}

# mpirun calls the agent as `agent HOST COMMAND...`. nsenter rather than `ip netns exec`, which would mount
# another /sys; a session folder each, since both nodes see the same /tmp.
write_agent() {
    cat >"$scratch/agent" <<AGENT
#!/bin/sh
while :; do case \$1 in -*) shift ;; *) break ;; esac; done
host=\$1
shift
mkdir -p "$scratch/\$host"
TMPDIR="$scratch/\$host" exec nsenter --net="/run/netns/$net_b" \\
    unshare -u sh -c 'hostname "\$0" && exec sh -c "\$*"' "\$host" "\$@"
AGENT
    chmod +x "$scratch/agent"
}

make_nodes() {
    ip netns add "$net_a" && ip netns add "$net_b" &&
        ip link add fm0 netns "$net_a" type veth peer name fm1 netns "$net_b" &&
        node "$net_a" fm0 10.77.0.1 && node "$net_b" fm1 10.77.0.2 && write_agent
}

# ---- Runs ------------------------------------------------------------------------------------------------

# launch RANKS COMMAND... Each node believes that it has all cores: bound, both would begin with the same one.
launch() {
    ranks=$1
    shift
    if [ "$net" = no ]; then
        timeout 3600 "$launcher" -n "$ranks" "$@"
        return
    fi
    mkdir -p "$scratch/node-a"
    TMPDIR="$scratch/node-a" timeout 3600 nsenter --net="/run/netns/$net_a" \
        unshare -u sh -c 'hostname node-a && exec "$@"' sh \
        "$launcher" --bind-to none -x FASTMAP_VERBOSITY --mca plm_rsh_agent "$scratch/agent" --mca btl tcp,self --mca pml ob1 \
        --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
        --host "node-a:$((ranks - ranks / 2)),10.77.0.2:$((ranks / 2))" -n "$ranks" "$@"
}

# both RANKS KIND OPTIONS...: a failure of one run does not keep the others from theirs.
both() {
    ranks=$1
    kind=$2
    shift 2
    launch "$ranks" bench/mpi --kind "$kind" "$@" || failed=1
    [ "$python" = no ] || launch "$ranks" "$python" -m mpi4py.futures "$srcdir/bench/mpi_futures.py" --kind "$kind" "$@" || failed=1
}

if [ "$net" = yes ] && ! make_nodes; then
    echo "mpi.sh: no network namespaces: --net needs root and iproute2" >&2
    exit 2
fi
failed=0
echo "load before: $(cut -d ' ' -f 1 /proc/loadavg); cores: $(nproc); two nodes by TCP: $net"
for ranks in 2 4 8; do
    both "$ranks" sleep "$@"
done
cores=$(nproc)
both "$((cores > 1 ? cores : 2))" compute "$@"
exit "$failed"
