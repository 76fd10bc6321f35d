#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmap.h alone, before any other header, in each language a user may have, without a warning; and each
# internal header alone.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

c_standards='c11 c17'
cxx_standards='c++11 c++14 c++17 c++20'
warnings='-Wall -Wextra -Wpedantic -pedantic-errors -Wshadow -Wundef -Werror'
plan 9

# The flags are lists.
# shellcheck disable=SC2086
compile() {
    compiler=$1
    shift
    printf '%s\n' "$program" >"$tap_scratch/probe.$extension"
    $compiler "$@" $warnings -fsyntax-only -I"$srcdir/include" -I"$srcdir/lib" \
        "$tap_scratch/probe.$extension"
}

program='#include <fastmap.h>
int probe(void);
int probe(void) { return FASTMAP_VERSION_MAJOR + (int)sizeof(struct fastmap_map); }'
extension=c
for standard in $c_standards; do
    expect "fastmap.h alone is $standard" compile "$CC" -std="$standard" -Wstrict-prototypes
done
extension=cc
if command -v "${CXX%% *}" >/dev/null 2>&1; then
    for standard in $cxx_standards; do
        expect "fastmap.h alone is $standard" compile "$CXX" -std="$standard"
    done
else
    skip_promised "no C++ compiler" 4
fi

macros='#include <fastmap.h>
int probe(void);
int probe(void)
{
    struct fastmap_map map = FASTMAP_MAP(.n = 1, .on_error = FASTMAP_ON_ERROR_STOP);
    struct fastmap_report report = FASTMAP_REPORT();
    struct fastmap_config config = FASTMAP_CONFIG(.verbosity = FASTMAP_VERBOSITY_SILENT);
    return map.size + report.size + config.size == 0;
}'
program=$macros
warnings="$warnings -Wno-missing-field-initializers"
extension=c
expect "the initialiser macros are c11" compile "$CC" -std=c11
extension=cc
if command -v "${CXX%% *}" >/dev/null 2>&1; then
    expect "the initialiser macros are c++20" compile "$CXX" -std=c++20
else
    skip_promised "no C++ compiler"
fi

internal_headers() {
    extension=c
    status=0
    for header in $(cd "$srcdir/lib" && find . -name '*.h' | sed 's|^\./||'); do
        # A second inclusion must add nothing.
        program="#include \"$header\"
#include \"$header\"
typedef int probe;"
        # shellcheck disable=SC2086
        compile "$CC" -std=c11 -D_GNU_SOURCE ${HWLOC_CFLAGS:-} -Wno-unused-function || status=1
    done
    return $status
}
warnings='-Wall -Wextra -Werror'
expect "each internal header compiles alone" internal_headers
