# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- Options ----

ranks='' per_node='' threads='' hostfile=''
bind=auto mpi=auto launcher=auto serve=auto recover=auto
oversubscribe=no explain=no dry_run=no verbose=no

number() {
    case $2 in
    '' | *[!0-9]* | 0* | ????????*) die "$1 $2: give a whole number from 1 to 9999999" ;;
    esac
}

# one_of OPTION VALUE WORD...
one_of() {
    one_option=$1 one_value=$2
    shift 2
    for one_word in "$@"; do
        [ "$one_value" != "$one_word" ] || return 0
    done
    die "$one_option $one_value: give one of $*"
}

set_value() {
    case $1 in
    -n) number "$@"; ranks=$2 ;;
    --ranks-per-node) number "$@"; per_node=$2 ;;
    --threads) number "$@"; threads=$2 ;;
    --hostfile) hostfile=$2; [ -n "$2" ] || die "--hostfile: give the name of a file" ;;
    --bind) one_of "$@" auto numa core none; bind=$2 ;;
    --mpi) one_of "$@" auto openmpi mpich; mpi=$2 ;;
    --launcher) one_of "$@" auto srun mpirun; launcher=$2 ;;
    --serve) one_of "$@" auto yes no; serve=$2 ;;
    --recover) one_of "$@" auto yes no; recover=$2 ;;
    *) return 1 ;;
    esac
}

set_flag() {
    case $1 in
    --oversubscribe) oversubscribe=yes ;;
    --explain) explain=yes ;;
    --dry-run) dry_run=yes ;;
    --verbose) verbose=yes ;;
    --help | -h) usage; exit 0 ;;
    --version) echo "fastmap-run $version"; exit 0 ;;
    *) die "$1: there is no such option; fastmap-run --help names them all" ;;
    esac
}

# Looks at "$1" and "$2", and sets `taken`, the number of words that the option has.
take_option() {
    case $1 in
    --*=*)
        taken=1
        set_value "${1%%=*}" "${1#*=}" || die "${1%%=*} takes no value, or there is no such option; see --help"
        ;;
    -n?*) taken=1; set_value -n "${1#-n}" ;;
    -n | --ranks-per-node | --threads | --hostfile | --bind | --mpi | --launcher | --serve | --recover)
        taken=2
        [ $# -gt 1 ] || die "$1: its value is missing"
        set_value "$1" "$2"
        ;;
    *) taken=1; set_flag "$1" ;;
    esac
}
