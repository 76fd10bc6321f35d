# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- The command ----

# pass_settings VARIABLE: what the program finds in its environment; the launcher sets VARIABLE to the rank.
# docs/WORKER.md tells what fastmap-worker.so makes of it.
pass_settings() {
    [ -z "$threads" ] || pass "FASTMAP_MAX_LOCAL_WORKERS=$threads"
    # Ranks that share cores must not all bind their first thread to the first one.
    [ "$bind" != none ] || [ "$per_node" -eq 1 ] || [ -n "${FASTMAP_BIND:-}" ] || pass FASTMAP_BIND=NONE
    if [ "$serve" = yes ] && [ "$ranks" -gt 1 ]; then
        # AddressSanitizer wants to come first of all.
        asan=$(printf '%s\n' "$libraries" | sed -n 's/.*libasan\.so[.0-9]* => \([^ ]*\).*/\1/p')
        pass "LD_PRELOAD=${asan:+$asan:}${LD_PRELOAD:+$LD_PRELOAD:}$shim"
        [ -z "${LD_PRELOAD:-}" ] || pass "FASTMAP_WORKER_LD_PRELOAD=$LD_PRELOAD"
        [ -z "$library" ] || pass "FASTMAP_WORKER_LIBRARY=$library"
        pass "FASTMAP_WORKER_RANKS=$1"
    fi
}

# Open MPI passes on its own variables only; those named here go by name, so that no value is seen in a list of
# processes.
forward_by_name() {
    [ "$nodes" -gt 1 ] || [ "$place" = hosts ] || return 0
    for name in $(env | sed -n 's/^\(FASTMAP_[A-Z_]*\|OMP_[A-Z_]*\|LD_LIBRARY_PATH\)=.*/\1/p' | sort); do
        add -x "$name"
    done
}

# Each host with room for its ranks.
host_list() {
    echo "$hosts" | tr ',' '\n' | head -n "$nodes" |
        awk -F: -v ranks="$per_node" '{ print $1 ":" ($2 + 0 > ranks ? $2 : ranks) }' | paste -sd, -
}

# The major version of Open MPI's mpirun.
major() {
    "$mpirun" --version 2>/dev/null </dev/null | sed -n 's/^[^0-9]* \([0-9][0-9]*\)\..*/\1/p' | grep . || echo 4
}

# Open MPI 5 tells ranks of the loss of others. Open MPI 4 goes on too if told to, but tells nobody, and MPICH ends
# the job, whatever it is told.
decide_recover() {
    [ "$recover" != auto ] || [ "$serve" = yes ] || recover=no
    [ "$recover" != no ] || return 0
    if [ "$mpi" = openmpi ] && [ -z "$srun_type" ]; then
        [ "$(major)" -lt 5 ] || { recover=yes; return 0; }
    fi
    [ "$recover" = auto ] || die "--recover yes takes mpirun of Open MPI 5 or newer: use that, or leave it out"
    recover=no
}

refuse_root() {
    [ "$(id -u)" -eq 0 ] && [ "$dry_run" = no ] || return 0
    [ -z "${OMPI_ALLOW_RUN_AS_ROOT:-}" ] || [ -z "${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-}" ] || return 0
    die "Open MPI starts nothing as root: be another user, or, in a container that may break, set" \
        "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"
}

# Cores for each rank: batch systems may count hardware threads, mpirun counts cores. In the job's script this
# machine is one of its nodes.
pe() {
    most=$((here_cores / per_node))
    [ "$on_node" = yes ] && [ "$most" -gt 0 ] && [ "$most" -lt "$share" ] && echo "$most" || echo "$share"
}

# map_by PATTERN --bind-to WHAT. Slurm's slots are tasks, not cores: who fits was decided before.
map_by() {
    if [ "$crowded" = no ] && [ "$place" != slurm ]; then
        add --map-by "$@"
    elif [ "$(major)" -lt 5 ]; then
        add --oversubscribe --map-by "$@"
    else
        add --map-by "$1:OVERSUBSCRIBE" "$2" "$3"
    fi
}

start_openmpi() {
    refuse_root
    add "$mpirun" -n "$ranks"
    [ "$recover" = no ] || add --with-ft ulfm
    [ -z "$hosts" ] || add --host "$(host_list)"
    case $bind in
    numa) map_by "ppr:$((per_node / domains)):numa" --bind-to numa ;;
    core) map_by "ppr:$per_node:node:PE=$(pe)" --bind-to core ;;
    none) map_by "ppr:$per_node:node" --bind-to none ;;
    esac
    # Without it ranks that wait keep the core from those that compute.
    [ "$crowded" = no ] || add --mca mpi_yield_when_idle 1
    forward_by_name
    pass_settings OMPI_COMM_WORLD_RANK
}

start_mpich() {
    add "$mpirun" -n "$ranks" -ppn "$per_node"
    [ -z "$hosts" ] || add -hosts "$(host_list)"
    case $bind in
    numa) add -bind-to numa -map-by numa ;;
    core) add -bind-to "core:$(pe)" ;;
    none) add -bind-to none ;;
    esac
    pass_settings PMI_RANK
}

start_srun() {
    add srun "--mpi=$srun_type" "--nodes=$nodes" "--ntasks=$ranks" "--ntasks-per-node=$per_node" --export=ALL \
        --kill-on-bad-exit=1
    # Else srun would hand a copy of the standard input to each rank.
    [ "$serve" = no ] || add --input=0
    case ${SLURM_STEP_ID:-} in
    '' | 42949672[0-9][0-9]) ;; # the batch script, or salloc's shell
    *) add --overlap ;;         # a shell that srun started, and that has the job's cores already
    esac
    case $bind in
    numa) add "--cpus-per-task=$share" --cpu-bind=ldoms ;;
    core) add "--cpus-per-task=$share" --cpu-bind=cores ;;
    none) add --cpu-bind=none ;;
    esac
    if [ "$crowded" = yes ]; then
        add --overcommit
        [ "$mpi" != openmpi ] || pass OMPI_MCA_mpi_yield_when_idle=1
    elif [ "$bind" = none ]; then
        add "--cpus-per-task=$share"
    fi
    pass_settings SLURM_PROCID
}

make_command() {
    if is_alone; then
        note "one rank on this machine: nothing has to start it"
        pass_settings none
        return
    fi
    decide_recover
    note "MPI: $mpi, started by ${srun_type:+srun --mpi=}${srun_type:-$mpirun}; ranks other than 0 serve: $serve;" \
        "recovery from lost ranks: $recover"
    if [ -n "$srun_type" ]; then
        start_srun
    else
        "start_$mpi"
    fi
}

# As a rank of a job it would start a job for each rank.
refuse_as_rank() {
    for name in OMPI_COMM_WORLD_SIZE PMI_SIZE SLURM_STEP_NUM_TASKS; do
        eval "size=\${$name:-1}"
        [ "${size:-1}" = 1 ] ||
            die "it was itself started as one of $size ranks ($name): call it alone, it starts the ranks"
    done
}

explain_program() {
    installed "$pkglibexecdir" fastmap-explain || installed "$pkglibexecdir" launchers/fastmap-explain ||
        die "fastmap-explain is not in $pkglibexecdir: build fastmap where OpenSSL is installed"
    exec "$file" "$program"
}

