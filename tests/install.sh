#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# make install into a fresh prefix, and a program outside the tree that knows nothing but pkg-config.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"
version=${version:-$(sed -n 's/^Version: //p' "$builddir/lib/fastmap.pc")}
plan 11

prefix=$tap_scratch/prefix
expect "make install succeeds" \
    make -C "$builddir" install prefix="$prefix" exec_prefix="$prefix" \
        libdir="$prefix/lib" includedir="$prefix/include" datarootdir="$prefix/share"

# The file was made for the configured prefix; --define-prefix takes it from where the file lies.
flags() {
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig "$PKG_CONFIG" --define-prefix "$@" fastmap
}
expect_text "pkg-config knows the version" "$(flags --modversion)" "$version"

mkdir "$tap_scratch/outside"
cd "$tap_scratch/outside" || exit 1
cat >program.c <<'END'
#include <fastmap.h>
#include <stdio.h>

static int square(const void *in, void *out, const void *shared)
{
    const int *x = in;

    (void)shared;
    *(int *)out = *x * *x;
    return 0;
}

int main(void)
{
    int x[1000], y[1000];
    long sum = 0;

    for (int i = 0; i < 1000; i++)
        x[i] = i;
    if (fastmap(square, x, sizeof(x[0]), y, sizeof(y[0]), 1000, NULL, 0) != 0) {
        fprintf(stderr, "%s\n", fastmap_last_error());
        return 1;
    }
    for (int i = 0; i < 1000; i++)
        sum += y[i];
    printf("%s %ld\n", fastmap_version(), sum);
    return 0;
}
END
# The compiler and the flags are lists.
# shellcheck disable=SC2046,SC2086
expect "a C program builds with pkg-config alone" \
    $CC -std=c11 program.c -o program $(flags --cflags --libs)
expect_text "it runs and is right" \
    "$(LD_LIBRARY_PATH=$prefix/lib ./program 2>&1)" "$version 332833500"

if [ -f "$prefix/lib/libfastmap.a" ]; then
    # Only fastmap comes from its archive: hwloc's own libraries need not be there as archives.
    # shellcheck disable=SC2046,SC2086
    expect "it builds against the archive too" $CC -std=c11 program.c -o program-static \
        -I"$prefix/include" "$prefix/lib/libfastmap.a" $("$PKG_CONFIG" --libs hwloc) -pthread -lm
    expect_text "that runs and is right" "$(./program-static 2>&1)" "$version 332833500"
else
    skip "configured with --disable-static" 2
fi

expect "the manual page is installed" test -f "$prefix/share/man/man3/fastmap.3"
expect "its launcher is installed, with its page" test -f "$prefix/share/man/man1/fastmap-run.1"
expect_text "the launcher runs from where it was moved to" "$("$prefix/bin/fastmap-run" --version)" \
    "fastmap-run $version"
expect "the licence is installed" test -f "$prefix/share/doc/fastmap/LICENSE"

expect "make uninstall leaves no file" sh -c "
    make -C '$builddir' uninstall prefix='$prefix' exec_prefix='$prefix' \
        libdir='$prefix/lib' includedir='$prefix/include' datarootdir='$prefix/share' >/dev/null &&
    find '$prefix' -type f | { ! grep .; }"
