#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The names that the shared library exports: those that fastmap.h declares or fastmap.f90 binds, no other,
# each of a version.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

library=$builddir/.libs/libfastmap.so
if [ ! -e "$library" ]; then
    echo "1..0 # SKIP configured with --disable-shared: there is no shared library to look at"
    exit 0
fi
plan 4

# The versioned names, without the version nodes themselves (type A).
nm -D --defined-only --with-symbol-versions "$library" |
    awk '$2 != "A" { print $3 }' | sort >"$tap_scratch/exported"
sed 's/@.*//' "$tap_scratch/exported" >"$tap_scratch/names"

# A declaration is FASTMAP_API, a type and a name before the parenthesis; none has a parenthesis before it.
grep -v '^#' "$srcdir/include/fastmap.h" | tr '\n' ' ' | grep -o 'FASTMAP_API [^(#]*(' |
    sed 's/($//; s/.*[ *]//' | sort >"$tap_scratch/declared"
if [ -f "$srcdir/include/fastmap.f90" ]; then
    sed -n "s/.*bind(c, name='\([a-z0-9_]*\)').*/\1/p" "$srcdir/include/fastmap.f90" \
        >"$tap_scratch/bound"
else
    : >"$tap_scratch/bound"
fi
sort -u "$tap_scratch/declared" "$tap_scratch/bound" >"$tap_scratch/public"

expect "the header declares functions" test -s "$tap_scratch/declared"
expect_text "each exported name is public" "$(comm -23 "$tap_scratch/names" "$tap_scratch/public")" ""
expect_text "each function of the header is exported" \
    "$(comm -13 "$tap_scratch/names" "$tap_scratch/declared")" ""
expect_text "each exported name has a version" "$(grep -v '@@FASTMAP_[0-9]' "$tap_scratch/exported")" ""
