# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- Words: what is said, and words that a shell takes as they are ----

die() {
    echo "fastmap-run: $*" >&2
    exit 2
}

note() {
    [ "$verbose" = no ] || echo "fastmap-run: $*" >&2
}

warn() {
    echo "fastmap-run: $*" >&2
}

# quote TEXT: sets `quoted` to one shell word that means TEXT.
quote() {
    case $1 in
    '' | *[!A-Za-z0-9_./:=,@%+-]*) ;;
    *) quoted=$1; return ;;
    esac
    quote_rest=$1
    quoted=
    while :; do
        case $quote_rest in
        *\'*) quoted="$quoted${quote_rest%%\'*}'\\''"; quote_rest=${quote_rest#*\'} ;;
        *) break ;;
        esac
    done
    quoted="'$quoted$quote_rest'"
}

# add WORD...: to the command.
command=
add() {
    for add_word in "$@"; do
        quote "$add_word"
        command="$command${command:+ }$quoted"
    done
}

# pass NAME=VALUE...: to the environment of the program, not to that of the launcher.
passed=
pass() {
    for pass_word in "$@"; do
        quote "$pass_word"
        passed="$passed $quoted"
    done
}

# installed FOLDER NAME: sets `file` to where it is: beside this script in a build folder or in a prefix that was
# moved, else where it was configured to be.
installed() {
    for file in "$here/../.libs/$2" "$here/../$2" "$here/../${1#"$prefix"/}/$2" "$1/$2"; do
        [ ! -f "$file" ] || return 0
    done
    return 1
}
