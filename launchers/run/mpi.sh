# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- Which MPI ----

# family COMMAND: which MPI's launcher it is.
family() {
    case $("$1" --version 2>/dev/null </dev/null) in
    *'Open MPI'* | *OpenRTE* | *PRRTE* | *prte*) echo openmpi ;;
    *HYDRA* | *MPICH* | *MVAPICH* | *Intel*MPI*) echo mpich ;;
    esac
}

# launcher_of MPI LIBRARIES: sets `mpirun`: the one installed beside the library that is linked, else what the PATH
# calls mpirun, if it is of that MPI, else the names that distributions give it.
launcher_of() {
    beside=$(printf '%s\n' "$2" | sed -n 's|.*libmpi[^ ]* => \(/.*\)/lib[^/]*/libmpi[^/]*\.so.*|\1/bin|p' | head -n 1)
    for mpirun in ${beside:+"$beside/mpirun"} mpirun mpiexec "mpirun.$1" "mpiexec.$1" orterun mpiexec.hydra; do
        if command -v "$mpirun" >/dev/null 2>&1 && [ "$(family "$mpirun")" = "$1" ]; then
            mpirun=$(command -v "$mpirun")
            return 0
        fi
    done
    mpirun=
    return 1
}

# srun_type MPI: sets `srun_type`, how srun introduces ranks of this MPI to each other.
srun_type() {
    srun_type=
    if [ "$place" != slurm ] || [ "$launcher" = mpirun ] || ! command -v srun >/dev/null 2>&1; then
        return 1
    fi
    case $1:$libraries in
    openmpi:*) srun_type=pmix ;;
    mpich:*libmpi_cray*.so* | mpich:*libmpi_gnu*.so*) srun_type=cray_shasta ;;
    *) srun_type=pmi2 ;;
    esac
    srun --mpi=list 2>&1 </dev/null | tr -s ' \t,:' '\n' | grep -qx "$srun_type" && return 0
    srun_type=
    return 1
}

# can_start MPI LIBRARIES
can_start() {
    launcher_of "$1" "$2"
    srun_type "$1" || { [ "$launcher" != srun ] && [ -n "$mpirun" ]; }
}

# can_serve MPI: whether fastmap has its plugin, and something starts it.
can_serve() {
    installed "$pkglibdir" "fastmap-$1.so" && can_start "$1" "$(libraries_of "$file")"
}

die_no_start() {
    [ "$launcher" != srun ] || die "srun has no --mpi type for $1 (srun --mpi=list): leave out --launcher"
    die "$1 is what $program needs, but its mpirun is not on the PATH: load its module or add its folder"
}

# Whether nothing has to start the program.
is_alone() {
    [ "$ranks" -eq 1 ] && [ "$place" = here ] && [ "$kind" != mpi ]
}

# Sets `mpi`, `mpirun` and `srun_type`.
choose_mpi() {
    ! is_alone || return 0
    [ "$linked" != unknown ] || linked=$mpi
    [ "$linked" != auto ] || die "which MPI $program is linked with cannot be told: say --mpi openmpi or --mpi mpich"
    if [ -n "$linked" ]; then
        [ "$mpi" = auto ] || [ "$mpi" = "$linked" ] ||
            die "--mpi $mpi, but $program is linked with $linked: leave out --mpi"
        mpi=$linked
        can_start "$mpi" "$libraries" || die_no_start "$mpi"
        return
    fi
    first=$(family mpirun)
    [ "$mpi" = auto ] || first=
    for choice in ${first:+"$first"} openmpi mpich; do
        [ "$mpi" = auto ] || [ "$mpi" = "$choice" ] || continue
        if can_serve "$choice"; then
            mpi=$choice
            return
        fi
    done
    # Where nobody asked for ranks, threads do.
    if [ "$place" = here ] && [ "$mpi" = auto ] && [ "$asked" = no ]; then
        note "no MPI that fastmap has a plugin for was found, so one rank has all cores"
        ranks=1 per_node=1
        return
    fi
    [ "$mpi" = auto ] ||
        die "--mpi $mpi, but its mpirun or its plugin $pkglibdir/fastmap-$mpi.so is missing: install that MPI," \
            "then fastmap again"
    die "no MPI that fastmap has a plugin for was found: install Open MPI or MPICH, then fastmap again; without" \
        "-n the program runs here, on all cores"
}
