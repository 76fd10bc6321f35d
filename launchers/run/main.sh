# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- From the first word to the last ----

here=$(dirname "$(readlink -f "$0" 2>/dev/null || command -v "$0")")
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    -*) take_option "$@"; shift "$taken" ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || die "name a program to run; fastmap-run --help says more"
find_program "$1"
shift
[ "$explain" = no ] || explain_program
refuse_as_rank
look_at_program
look_around
count_ranks
decide_serve
choose_mpi
check_room
decide_bind
make_command
[ -z "$passed" ] || command="$command${command:+ }env$passed"
add "$program" "$@"
if [ "$dry_run" = yes ]; then
    printf '%s\n' "$command"
    exit 0
fi
note "$command"
eval "exec $command"
