#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmap-run inside jobs of a real Slurm, which this test starts for itself: one controller and two nodes on this
# machine, with a configuration, ports and folders of their own, without authentication, reachable from this machine
# only. Each MPI's ranks are started by srun and by mpirun.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

for tool in slurmctld slurmd srun salloc sbatch sinfo; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "1..0 # SKIP no $tool (Debian: slurmctld slurmd slurm-client)"
        exit 0
    fi
done
if [ ! -e "$builddir/.libs/libfastmap.so" ] ||
    nm "$builddir/.libs/libfastmap.so" 2>/dev/null | grep -q -e __tsan_init -e __asan_init; then
    echo "1..0 # SKIP no shared library, or one for a sanitizer"
    exit 0
fi
real=$builddir/tests/.libs/launch_serial
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 UCX_LOG_LEVEL=error FASTMAP_VERBOSITY=QUIET
export LD_LIBRARY_PATH="$builddir/.libs" SLURM_CONF="$tap_scratch/slurm.conf"
unset SLURM_JOB_ID LD_PRELOAD

# ---- A Slurm of our own ------------------------------------------------------------------------------------

daemons=
# shellcheck disable=SC2086,SC2317 # a list; the trap calls it
stop_slurm() {
    [ -z "$daemons" ] || kill $daemons 2>/dev/null
    for daemon in $daemons; do
        wait "$daemon" 2>/dev/null
    done
    daemons=
}
trap 'stop_slurm; rm -rf "$tap_scratch"' EXIT
trap 'exit 130' INT TERM

# Three ports in a row that nobody listens on; where somebody takes them in between, the next three.
free_ports() {
    awk -v seed="$$$1" 'BEGIN { srand(seed); first = 20000 + int(rand() * 10000) }
        NR > 1 { split($2, local, ":"); used[local[2]] = 1 }
        END {
            while (sprintf("%04X", first) in used || sprintf("%04X", first + 1) in used ||
                sprintf("%04X", first + 2) in used) first++
            print first
        }' /proc/net/tcp
}

# Each node has as many processors as the machine: they share them.
write_configuration() {
    host=$(hostname -s)
    user=$(id -un)
    cat >"$SLURM_CONF" <<END
ClusterName=fastmap
SlurmctldHost=$host(127.0.0.1)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
CredType=cred/none
SlurmctldPort=$1
StateSaveLocation=$tap_scratch/state
SlurmdSpoolDir=$tap_scratch/spool-%n
SlurmctldPidFile=$tap_scratch/slurmctld.pid
SlurmdPidFile=$tap_scratch/slurmd-%n.pid
SlurmctldLogFile=$tap_scratch/slurmctld.log
SlurmdLogFile=$tap_scratch/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=one NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 1)) CPUs=$(nproc)
NodeName=two NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 2)) CPUs=$(nproc)
PartitionName=all Nodes=one,two Default=YES State=UP
END
}

start_slurm() {
    write_configuration "$(free_ports "$1")"
    mkdir -p "$tap_scratch/state"
    slurmctld -D -c >"$tap_scratch/why" 2>&1 &
    daemons=$!
    for node in one two; do
        slurmd -D -N "$node" >>"$tap_scratch/why" 2>&1 &
        daemons="$daemons $!"
    done
    tries=0
    while [ "$(sinfo -h -o %D -t idle 2>/dev/null)" != 2 ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || return 1
        sleep 0.2
    done
}

start_slurm 1 || { stop_slurm; start_slurm 2; } || {
    stop_slurm
    sed 's/^/# /' "$tap_scratch/why"
    cat "$tap_scratch"/slurm*.log | sed 's/^/# /'
    echo "1..0 # SKIP Slurm does not start here"
    exit 0
}

# ---- Jobs --------------------------------------------------------------------------------------------------

# job OPTIONS OF SALLOC -- OPTIONS OF FASTMAP-RUN: what the program says.
job() {
    of_salloc=
    while [ "$1" != -- ]; do
        of_salloc="$of_salloc $1"
        shift
    done
    shift
    # shellcheck disable=SC2086 # a list
    timeout 60 salloc -Q $of_salloc "$builddir/launchers/fastmap-run" "$@" 2>"$tap_scratch/errors" </dev/null ||
        { echo "exit status $?"; cat "$tap_scratch/errors"; }
}

one_program() {
    echo "main: maps $1, ranks $2, elements computed elsewhere: some, results identical: yes"
}

cores=$(nproc)
plan 12
for flavour in openmpi mpich; do
    if ! found "mpirun.$flavour" || [ ! -e "$builddir/.libs/fastmap-$flavour.so" ]; then
        skip_promised "no mpirun.$flavour, or no plugin for it" 4
        continue
    fi
    for launcher in srun mpirun; do
        expect_text "$flavour: $launcher starts a serial program as two ranks" \
            "$(job -N 1 -c "$cores" -- --mpi "$flavour" --launcher "$launcher" --oversubscribe -n 2 "$real" 2)" \
            "$(one_program 2 2)"
    done
    expect_text "$flavour: more ranks than cores, where they are wanted" \
        "$(job -N 1 -c "$cores" -- --mpi "$flavour" -n "$((cores + 1))" --oversubscribe "$real" 1)" \
        "$(one_program 1 "$((cores + 1))")"
    expect_text "$flavour: the program's exit status is the job's" \
        "$(job -N 1 -n 1 -c "$cores" -- --mpi "$flavour" -n 2 --oversubscribe "$real" 0 7 |
            sed -n 's/^exit status/&/p')" "exit status 7"
done
if [ -e "$builddir/.libs/fastmap-mpich.so" ]; then
    expect_text "in a shell that srun started, whose step has the job's cores" \
        "$(timeout 60 salloc -Q -N 1 -c "$cores" srun -n 1 -c "$cores" "$builddir/launchers/fastmap-run" --mpi mpich \
            --oversubscribe -n 2 "$real" 1 2>/dev/null </dev/null)" "$(one_program 1 2)"
    expect_text "rank 0 has the standard input, the others leave it alone" \
        "$(echo 2 | timeout 60 salloc -Q -N 1 -c "$cores" "$builddir/launchers/fastmap-run" --mpi mpich \
            --oversubscribe -n 2 "$real" - 2>/dev/null)" "$(one_program 2 2)"
else
    skip_promised "no plugin for MPICH" 2
fi
expect_text "more ranks than the job has cores are refused" \
    "$(job -N 1 -c "$cores" -- -n "$((cores + 1))" "$real" 1 | grep -c 'share cores by --oversubscribe')" 1

cat >"$tap_scratch/script" <<END
#!/bin/sh
"$builddir/launchers/fastmap-run" --mpi mpich --oversubscribe "$real" 1
END
if [ -e "$builddir/.libs/fastmap-mpich.so" ]; then
    expect_text "in a script: a rank to each task, on both nodes" \
        "$(timeout 60 sbatch -W -Q -N 2 --ntasks-per-node 1 -o "$tap_scratch/out" "$tap_scratch/script"
            cat "$tap_scratch/out")" "$(one_program 1 2)"
else
    skip_promised "no plugin for MPICH"
fi
