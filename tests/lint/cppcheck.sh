#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The library by cppcheck, all files at once: it follows calls between them. Not so its check of what a called
# function finds uninitialized, which takes a struct filled field by field for an empty one.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

cd "$srcdir" || exit 1
if ! found "${CPPCHECK:=cppcheck}"; then
    echo "1..0 # SKIP cppcheck is not installed (Debian: cppcheck)"
    exit 0
fi
plan 1
expect "cppcheck finds nothing in lib/" "$CPPCHECK" --quiet --error-exitcode=1 --std=c11 --language=c \
    --enable=warning,performance,portability --inline-suppr --suppress=missingInclude \
    --suppress=missingIncludeSystem --suppress=ctuuninitvar -D_GNU_SOURCE -D__x86_64__ -D__GNUC__=12 -D__linux__ \
    -Iinclude -Ilib lib
