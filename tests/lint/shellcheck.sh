#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The shell scripts, each by shellcheck.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

cd "$srcdir" || exit 1
if ! found "${SHELLCHECK:=shellcheck}"; then
    echo "1..0 # SKIP shellcheck is not installed (Debian: shellcheck)"
    exit 0
fi
scripts="autogen.sh quickstart .ci/run $(find tests examples bench launchers -name '*.sh' 2>/dev/null | sort)"
# shellcheck disable=SC2086
plan "$(echo $scripts | wc -w)"
for script in $scripts; do
    expect "$script" "$SHELLCHECK" -x -e SC1090,SC1091 "$script"
done
