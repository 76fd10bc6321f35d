#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What must not be in any file: a path of somebody's machine, a tab or blank at the end of a line; and what
# must be: the licence on top.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
plan 3

cd "$srcdir" || exit 1

# sources PATTERN...: the files of the project, never what a build left in the tree.
sources() {
    find include lib tests examples bench docs launchers m4 .ci -type f 2>/dev/null |
        grep -v -E '/(\.libs|\.deps|autom4te\.cache)/|\.(l?o|la|log|trs|mod|png|dirstamp)$|^tests/fuzz/corpus/' |
        grep -v -x launchers/fastmap-run |
        grep -v -E '^m4/(libtool|lt|pkg)' |
        xargs grep -lI '' configure.ac Makefile.am autogen.sh quickstart
}
sources | sort >"$tap_scratch/sources"

found_paths() {
    xargs grep -nE '(^|[^[:alnum:]_.})/])/(home|root|work)/[[:alnum:]]' <"$tap_scratch/sources"
}

blanks_at_end() {
    xargs grep -nE '[[:blank:]]+$' <"$tap_scratch/sources"
}

no_licence() {
    grep -E '\.([ch]|cc|f90|sh|m4|mk|ac|am|map)$|/run$|quickstart$' "$tap_scratch/sources" |
        while read -r file; do
            head -n 3 "$file" | grep -q 'SPDX-License-Identifier: BSD-3-Clause' || echo "$file"
        done
}

expect_text "no file names a path of one machine" "$(found_paths)" ""
expect_text "no line ends in blanks" "$(blanks_at_end)" ""
expect_text "each source says its licence on top" "$(no_licence)" ""
