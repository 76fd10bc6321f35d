# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh
# What a shell test sources: one TAP line per check. The Makefile sets srcdir, builddir and the tools; by
# hand a test is run from the build folder, and finds the rest itself.
#
#   srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
#   . "$srcdir/tests/tap.sh"
#   plan 4
#   expect "two is two" test 2 -eq 2            # runs the command; its output is shown where it fails
#   expect_text "the version" "$found" "0.1.0"  # compares, and shows both
#   skip "a reason" 1                           # stands aside for one check
#   skip_promised "a reason" 1                  # the same, but a failure in CI: quickstart installs it

builddir=${builddir:-$(pwd)}
CC=${CC:-cc}
CXX=${CXX:-c++}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}

tap_number=0
tap_scratch=$(mktemp -d)
trap 'rm -rf "$tap_scratch"' EXIT

plan() {
    echo "1..$1"
}

ok() {
    tap_number=$((tap_number + 1))
    echo "ok $tap_number - $1"
}

# not_ok NAME: the lines of $tap_scratch/why say why.
not_ok() {
    tap_number=$((tap_number + 1))
    sed 's/^/# /' "$tap_scratch/why"
    echo "not ok $tap_number - $1"
}

expect() {
    tap_name=$1
    shift
    echo "failed: $*" >"$tap_scratch/why"
    if "$@" >>"$tap_scratch/why" 2>&1 </dev/null; then
        ok "$tap_name"
    else
        not_ok "$tap_name"
    fi
}

expect_text() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        printf 'found:\n%s\nexpected:\n%s\n' "$2" "$3" >"$tap_scratch/why"
        not_ok "$1"
    fi
}

skip() {
    tap_left=${2:-1}
    while [ "$tap_left" -gt 0 ]; do
        tap_number=$((tap_number + 1))
        tap_left=$((tap_left - 1))
        echo "ok $tap_number # SKIP $1"
    done
}

skip_promised() {
    if [ "${CI:-}" != true ]; then
        skip "$@"
        return
    fi
    tap_left=${2:-1}
    while [ "$tap_left" -gt 0 ]; do
        tap_left=$((tap_left - 1))
        echo "quickstart installs this, so CI has it" >"$tap_scratch/why"
        not_ok "$1"
    done
}

# found TOOL: whether configure (or the path) has it.
found() {
    [ -n "$1" ] && [ "$1" != no ] && command -v "$1" >/dev/null 2>&1
}
