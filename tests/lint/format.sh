#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The layout of the C sources, as .clang-format has it: statements within 100 columns, and comments within
# 110. Blanks before a comment at the end of a line are the author's: tables are aligned by hand.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

cd "$srcdir" || exit 1
if ! found "${CLANG_FORMAT:=clang-format}"; then
    echo "1..0 # SKIP clang-format is not installed (Debian: clang-format)"
    exit 0
fi

# One blank before a comment that follows code, none before a line that goes on with it.
squeeze() {
    awk '{
        line = $0
        if (inside) sub(/^ +/, "", line)
        else if (line ~ /[^ ] +\/[*\/]/) sub(/ +\/\*/, " /*", line)
        rest = $0
        gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", rest)
        if (!inside && rest ~ /\/\*/) inside = 1
        else if (inside && rest ~ /\*\//) inside = 0
        print line
    }'
}

well_laid_out() {
    squeeze <"$1" >"$tap_scratch/written"
    "$CLANG_FORMAT" --assume-filename="$1" <"$1" | squeeze >"$tap_scratch/formatted"
    diff -u "$tap_scratch/written" "$tap_scratch/formatted" &&
        awk 'length > 110 { print FNR ": " length " columns"; bad = 1 } END { exit bad }' "$1"
}

files=$(find include lib launchers tests examples bench \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cpp' \) | sort)
# shellcheck disable=SC2086
plan "$(echo $files | wc -w)"
for file in $files; do
    expect "$file" well_laid_out "$file"
done
