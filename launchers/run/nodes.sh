# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- Where ----

# Sets `place` (slurm, hosts, here), `nodes`, `cores` (of the smallest node; 0: not told), `wanted` (ranks that the
# job was asked to have on each node; empty: not told) and `hosts` (NAME:CORES, separated by commas).

# How many of the lists of processors on standard input ("0-3,8") have one that we may use.
count_lists() {
    awk -v allowed="$allowed" '
        function expand(list, set,    i, parts, part, ends, cpu) {
            parts = split(list, part, ",")
            for (i = 1; i <= parts; i++) {
                if (split(part[i], ends, "-") < 2) ends[2] = ends[1]
                for (cpu = ends[1] + 0; cpu <= ends[2] + 0; cpu++) set[cpu] = 1
            }
        }
        function usable(list,    cpu, set) {
            expand(list, set)
            for (cpu in set) if (cpu in may) return 1
            return 0
        }
        BEGIN { expand(allowed, may) }
        NF && !seen[$0]++ { count += usable($0) }
        END { print count + 0 }'
}

# This machine: NUMA domains with processors, and cores, of those that we may use.
look_here() {
    # Tests show another machine by fastmap_run_root.
    sys=${fastmap_run_root:-}/sys/devices/system
    allowed=$(sed -n 's/^Cpus_allowed_list:[[:blank:]]*//p' "${fastmap_run_root:-}/proc/self/status" 2>/dev/null)
    domains=$(cat "$sys"/node/node[0-9]*/cpulist 2>/dev/null | count_lists)
    here_cores=$(cat "$sys"/cpu/cpu[0-9]*/topology/thread_siblings_list 2>/dev/null | count_lists)
    [ "$here_cores" -gt 0 ] || here_cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
    [ "$domains" -gt 0 ] || domains=1
}

# read_hosts NAME FILE COUNTED: COUNTED is yes where a line without a number is one core, no where it says nothing.
read_hosts() {
    found=$(awk -v counted="$3" '
        function wrong(why) { print "line " NR " (" $0 ") " why; bad = 1; exit }
        { sub(/#.*/, "") }
        NF == 0 { next }
        {
            name = $1; given = 0
            if (name ~ /^[^:]+:[0-9]+$/) { given = name; sub(/.*:/, "", given); sub(/:.*/, "", name) }
            for (i = 2; i <= NF; i++) {
                if ($i ~ /^slots=[0-9]+$/) given = substr($i, 7)
                else if (i == 2 && $i ~ /^[0-9]+$/) { given = $i; break }
                else if ($i !~ /^max[-_]slots=[0-9]+$/) wrong("is not HOST, HOST:CORES or HOST slots=CORES")
            }
            if (given != 0) counted = "yes"
            if (!(name in cores)) order[++hosts] = name
            else counted = "yes"
            cores[name] += given != 0 ? given : 1
        }
        END {
            if (bad) exit
            least = counted == "yes" && hosts > 0 ? cores[order[1]] : 0
            for (i = 1; i <= hosts; i++) {
                if (counted == "yes" && cores[order[i]] < least) least = cores[order[i]]
                list = list (i > 1 ? "," : "") order[i] (counted == "yes" ? ":" cores[order[i]] : "")
            }
            print "ok", hosts + 0, least, list
        }' "$2")
    case $found in
    'ok 0 '*) die "$1: it names no host; write one on each line" ;;
    'ok '*) ;;
    *) die "$1: $found" ;;
    esac
    # shellcheck disable=SC2086 # four words
    set -- $found
    place=hosts nodes=$2 cores=$3 hosts=$4
}

# batch_hosts SYSTEM FILE: the file that a batch system left.
batch_hosts() {
    [ -r "$2" ] || die "$1's list of nodes, $2, cannot be read; run fastmap-run in the job's script"
    read_hosts "$1's list of nodes, $2" "$2" yes
    note "$1: nodes: $nodes, cores of each: $cores or more"
}

# Torque's file has a line for each core; PBS Pro's has one for each rank that was asked for.
look_at_pbs() {
    batch_hosts PBS "$PBS_NODEFILE"
    [ -z "${PBS_NUM_PPN:-}" ] || return 0
    wanted=$cores
    case ${NCPUS:-} in
    '' | *[!0-9]*) ;;
    *) [ "$NCPUS" -le "$cores" ] || cores=$NCPUS ;;
    esac
}

look_at_lsf() {
    if [ -n "${LSB_DJOB_HOSTFILE:-}" ]; then
        batch_hosts LSF "$LSB_DJOB_HOSTFILE"
        return
    fi
    read_hosts "LSF's LSB_MCPU_HOSTS" - yes <<END
$(echo "$LSB_MCPU_HOSTS" | awk '{ for (i = 1; i < NF; i += 2) print $i, $(i + 1) }')
END
    note "LSF: nodes: $nodes, cores of each: $cores or more"
}

# Slurm writes one number for several nodes: "16(x3),8".
least_of() {
    echo "$1" | tr ',' '\n' | sed 's/(.*//' | sort -n | head -n 1
}

look_at_slurm() {
    place=slurm
    nodes=${SLURM_JOB_NUM_NODES:-${SLURM_NNODES:-1}}
    # Elsewhere what this machine looks like says nothing.
    [ -n "${SLURMD_NODENAME:-}" ] || on_node=no
    cores=$(least_of "${SLURM_JOB_CPUS_PER_NODE:-${SLURM_CPUS_ON_NODE:-0}}")
    if [ -n "${SLURM_NTASKS_PER_NODE:-}" ]; then
        wanted=$SLURM_NTASKS_PER_NODE
    elif [ -n "${SLURM_NTASKS:-}" ]; then
        wanted=$(((SLURM_NTASKS + nodes - 1) / nodes))
        [ -n "$ranks$per_node" ] || ranks=$SLURM_NTASKS
    elif [ "$on_node" = no ]; then
        wanted=1
    fi
    note "Slurm job $SLURM_JOB_ID: nodes: $nodes, processors of each: $cores or more"
}

look_around() {
    place=here nodes=1 wanted='' hosts='' on_node=yes
    look_here
    cores=$here_cores
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        [ -z "$hostfile" ] ||
            die "--hostfile inside Slurm job $SLURM_JOB_ID, which has nodes of its own: leave it out"
        look_at_slurm
    elif [ -n "$hostfile" ]; then
        [ -r "$hostfile" ] || die "host file $hostfile cannot be read; check its name and rights"
        read_hosts "host file $hostfile" "$hostfile" no
        on_node=no
    elif [ -n "${PBS_NODEFILE:-}" ]; then
        look_at_pbs
    elif [ -n "${LSB_DJOB_HOSTFILE:-}${LSB_MCPU_HOSTS:-}" ]; then
        look_at_lsf
    elif [ -n "${PE_HOSTFILE:-}" ]; then
        batch_hosts "Grid Engine" "$PE_HOSTFILE"
    fi
    [ "$place" = slurm ] || [ "$launcher" != srun ] ||
        die "--launcher srun, but this is no Slurm job: start one by salloc or sbatch, or leave out --launcher"
    # A host file without numbers: nodes are taken to be like this one.
    told=$cores
    [ "$cores" -gt 0 ] || cores=$here_cores
}
