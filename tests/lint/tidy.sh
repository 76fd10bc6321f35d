#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The C sources by clang-tidy, with the checks of .clang-tidy.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

cd "$srcdir" || exit 1
if ! found "${CLANG_TIDY:=clang-tidy}"; then
    echo "1..0 # SKIP clang-tidy is not installed (Debian: clang-tidy)"
    exit 0
fi
# The Fortran side needs the Fortran compiler's own header, which clang does not have.
files=$(find lib examples -name '*.c' ! -path 'lib/fortran/*' | sort)
# shellcheck disable=SC2086
plan "$(echo $files | wc -w)"
for file in $files; do
    # shellcheck disable=SC2086
    expect "$file" "$CLANG_TIDY" --quiet --warnings-as-errors='*' "$file" -- \
        -std=c11 -D_GNU_SOURCE -Iinclude -Ilib -DFM_PLUGIN_DIR='""' -DFM_CLOUD_VERSION='""' ${HWLOC_CFLAGS:-} ${OMPI_CFLAGS:-}
done
