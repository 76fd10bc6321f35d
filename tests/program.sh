#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Programs of several kinds, and what of them travels: as they see it themselves while they run, and as
# fastmap-explain sees it. What travels is put below an empty folder and started there, which shows that
# nothing is missing; and each kind that cannot travel is refused with its own sentence.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

explain=$builddir/launchers/fastmap-explain
shim=$builddir/.libs/fastmap-worker.so
if [ ! -x "$explain" ]; then
    echo "1..0 # SKIP no fastmap-explain was built (OpenSSL is missing)"
    exit 0
fi
if [ ! -e "$builddir/.libs/libfastmap.so" ]; then
    echo "1..0 # SKIP no shared library built (--disable-shared)"
    exit 0
fi
plan 57
XDG_CACHE_HOME=$tap_scratch/cache
export XDG_CACHE_HOME
unset LD_LIBRARY_PATH LD_PRELOAD
work=$tap_scratch/work
mkdir "$work"
cd "$work" || exit 1

# ---- Programs ----------------------------------------------------------------------------------------------

# It prints its manifest, after a line of standard input where that is asked for, and names the function where
# that is; or, without arguments, its element of 21.
cat >probe.c <<'END'
#include <dlfcn.h>
#include <fastmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "program/module.h"
#include "program/program.h"

fastmap_func *kind_function(void);

static const void *function_of(const char *plugin)
{
    const void *address = NULL;
    fastmap_func *function = kind_function();
    if (plugin == NULL) {
        memcpy(&address, &function, sizeof address);
        return address;
    }
    void *handle = dlopen(plugin, RTLD_NOW);
    if (handle == NULL)
        printf("%s\n", dlerror());
    return handle != NULL ? dlsym(handle, "plugin_triple") : NULL;
}

int main(int argc, char **argv)
{
    struct fm_program program;
    const void *address = function_of(argc > 2 ? argv[2] : NULL);
    if (argc < 2) {
        int x = 21, y = 0;
        kind_function()(&x, &y, NULL);
        printf("%d %s\n", y, fastmap_version());
        return 0;
    }
    struct fm_program_function named;
    if (getenv("PROBE_NAMES") != NULL && fm_program_locate(address, &named) == 0) {
        printf("%llu %s\n", (unsigned long long)named.offset, named.module);
        return 0;
    }
    if (getenv("PROBE_WAITS") != NULL)
        getchar();
    if (fm_program_gather(address, argv[1], &program) != 0) {
        printf("%s\n", fm_base_last_error());
        return 1;
    }
    fwrite(program.manifest, 1, program.manifest_bytes, stdout);
    fm_program_free(&program);
    return 0;
}
END
cat >plain.c <<'END'
#include <fastmap.h>
fastmap_func *kind_function(void);
static int local(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}
fastmap_func *kind_function(void) { return local; }
END
cat >kind.cc <<'END'
#include <fastmap.h>
#include <stdexcept>
#include <string>
#include <vector>
static std::vector<std::string> global(3, "a global object");
static int local(const void *in, void *out, const void *)
{
    try {
        throw std::runtime_error(global.at(2));
    } catch (const std::exception &) {
        *static_cast<int *>(out) = 2 * *static_cast<const int *>(in);
    }
    return 0;
}
extern "C" fastmap_func *kind_function() { return local; }
END
cat >kind.f90 <<'END'
function kind_function() bind(c) result(address)
    use, intrinsic :: iso_c_binding
    type(c_funptr) :: address
    interface
        integer(c_int) function fortran_element(x, y, shared) bind(c)
            import
            integer(c_int), intent(in) :: x
            integer(c_int), intent(out) :: y
            type(c_ptr), value :: shared
        end function
    end interface
    address = c_funloc(fortran_element)
end function
integer(c_int) function fortran_element(x, y, shared) bind(c)
    use, intrinsic :: iso_c_binding
    integer(c_int), intent(in) :: x
    integer(c_int), intent(out) :: y
    type(c_ptr), value :: shared
    character(len=20) :: text
    write (text, '(i20)') 2 * x
    read (text, *) y
    fortran_element = 0
end function
END
cat >kind_omp.c <<'END'
#include <fastmap.h>
#include <omp.h>
fastmap_func *kind_function(void);
static int local(const void *in, void *out, const void *shared)
{
    int sum = 0;
    (void)shared;
#pragma omp parallel for reduction(+ : sum)
    for (int i = 0; i < 2; i++)
        sum += *(const int *)in;
    *(int *)out = sum;
    return 0;
}
fastmap_func *kind_function(void) { return local; }
END
cat >kind_mpi.c <<'END'
#include <fastmap.h>
#include <mpi.h>
fastmap_func *kind_function(void);
static int local(const void *in, void *out, const void *shared)
{
    int version = 0, subversion = 0;
    (void)shared;
    *(int *)out = 2 * *(const int *)in;
    return MPI_Get_version(&version, &subversion); /* which may be called without MPI_Init */
}
fastmap_func *kind_function(void) { return local; }
END
cat >tiny.c <<'END'
#include <fastmap.h>
static int f(const void *in, void *out, const void *shared)
{
    (void)in; (void)out; (void)shared;
    return 0;
}
int main(void) { return fastmap(f, 0, 0, 0, 0, 0, 0, 0); }
END

cflags="-O1 -std=gnu11 -D_GNU_SOURCE -I$srcdir/include -I$srcdir/lib"
fastmap="-L$builddir/.libs -lfastmap -Wl,-rpath,$builddir/.libs"
# What the probe looks into itself with.
inside="$builddir/.libs/libfastmap-program.a $builddir/.libs/libfastmap-internal.a \
    $("$PKG_CONFIG" --libs libcrypto 2>/dev/null || echo -lcrypto) -pthread -ldl"

# The compilers and the flags are lists.
# shellcheck disable=SC2086
{
    $CC $cflags -fPIE -c probe.c -o probe.o
    $CC $cflags -fPIE -c plain.c -o plain.o
}

# shows NAME STATUS TEXT COMMAND...: its status, and that what it says has the text in it.
shows() {
    shows_name=$1
    shows_status=$2
    shows_text=$3
    shift 3
    shows_found=0
    "$@" >"$tap_scratch/said" 2>&1 </dev/null || shows_found=$?
    if [ "$shows_found" -eq "$shows_status" ] && grep -q -F -e "$shows_text" "$tap_scratch/said"; then
        ok "$shows_name"
    else
        {
            echo "status $shows_found, expected $shows_status with: $shows_text"
            cat "$tap_scratch/said"
        } >"$tap_scratch/why"
        not_ok "$shows_name"
    fi
}

# stage MANIFEST ROOT: puts the files where the manifest says, and checks them against it.
stage() {
    sed 1,3d "$1" | while read -r _ digest bytes path; do
        mkdir -p "$2$(dirname "$path")" && cp -L "$path" "$2$path" || return 1
        found="$(wc -c <"$2$path") $(sha256sum <"$2$path")"
        if [ "$found" != "$bytes $digest  -" ]; then
            echo "$path is not what the manifest says: $found"
            return 1
        fi
    done
}

# Another user's root needs the kernel's leave; the superuser has it.
in_root() {
    if [ "$(id -u)" = 0 ]; then chroot "$@"; else unshare -r chroot "$@"; fi
}

# read_manifest MANIFEST: the variables that start it.
read_manifest() {
    folders=$(sed 1,3d "$1" | sed 's/^[^ ]* [^ ]* [^ ]* //; s|/[^/]*$||' | sort -u | paste -s -d : -)
    loader=$(sed -n 's/^loader [^ ]* [^ ]* //p' "$1")
    program=$(sed -n 's/^executable [^ ]* [^ ]* //p' "$1")
    worker=$(sed -n 's/^worker [^ ]* [^ ]* //p' "$1")
    library=$(sed -n 's/^fastmap [^ ]* [^ ]* //p' "$1")
}

# start_staged ROOT: runs the program there, with its own main.
start_staged() {
    in_root "$1" "$loader" --inhibit-cache --library-path "$folders" --preload "$worker" "$program"
}

# serve_staged ROOT FUNCTION: has it compute two elements there, as a worker.
serve_staged() {
    "$builddir/tests/program_host" "$1" "$loader" "$folders" "$worker" "$library" "$program" \
        "${2#* }" "${2%% *}"
}

version=${version:-$(sed -n 's/^Version: //p' "$builddir/lib/fastmap.pc")}

# travels KIND NEEDS: five checks of the program ./KIND.
travels() {
    mkdir -p "$tap_scratch/root-$1"
    shows "$1: it knows what it needs" 0 "$2" "./$1" "$shim"
    cp "$tap_scratch/said" "$1.manifest"
    "$explain" --manifest "./$1" >"$1.explained" 2>"$tap_scratch/why"
    expect "$1: fastmap-explain sees the same" cmp "$1.manifest" "$1.explained"
    expect "$1: the files are what the manifest says" stage "$1.manifest" "$tap_scratch/root-$1"
    if in_root / true 2>/dev/null; then
        read_manifest "$1.manifest"
        expect_text "$1: it starts where there is nothing else" \
            "$(start_staged "$tap_scratch/root-$1" 2>&1)" "42 $version"
        expect_text "$1: it serves where there is nothing else" \
            "$(serve_staged "$tap_scratch/root-$1" "$(PROBE_NAMES=1 "./$1" "$shim")" 2>&1)" "42 44"
    else
        skip "no leave to change the root" 2
    fi
}

# shellcheck disable=SC2046,SC2086
{
    $CC -pie probe.o plain.o -o pie $fastmap $inside
    travels pie /libfastmap.so.0
    $CC $cflags -no-pie -fno-pie probe.c plain.c -o no-pie $fastmap $inside
    travels no-pie /libc.so.6
    if command -v "${CXX%% *}" >/dev/null 2>&1; then
        $CXX -O1 -I"$srcdir/include" kind.cc probe.o -o cxx $fastmap $inside
        travels cxx /libstdc++.so.6
    else
        skip_promised "no C++ compiler" 5
    fi
    if command -v gfortran >/dev/null 2>&1; then
        gfortran -O1 kind.f90 probe.o -o fortran $fastmap $inside
        travels fortran /libgfortran.so
    else
        skip_promised "no Fortran compiler" 5
    fi
    if $CC $cflags -fopenmp kind_omp.c probe.o -o omp $fastmap $inside 2>/dev/null; then
        travels omp libgomp.so
    else
        skip "no OpenMP" 5
    fi
    if "$PKG_CONFIG" --exists ompi-c 2>/dev/null; then
        $CC $cflags $("$PKG_CONFIG" --cflags ompi-c) kind_mpi.c probe.o -o openmpi $fastmap $inside \
            $("$PKG_CONFIG" --libs ompi-c)
        travels openmpi /libopen-pal.so
    else
        skip_promised "no Open MPI" 5
    fi
}

# ---- What is taken along, and what is not --------------------------------------------------------------

cat >plugin.c <<'END'
int plugin_triple(const void *in, void *out, const void *shared);
int plugin_triple(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = 3 * *(const int *)in;
    return 0;
}
END
# shellcheck disable=SC2086
$CC $cflags -fPIC -shared plugin.c -o plugin.so -lm -Wl,--no-as-needed
shows "a plugin's function takes the plugin along" 0 "$work/plugin.so" ./pie "$shim" "$work/plugin.so"
cp "$tap_scratch/said" plugin.manifest
if in_root / true 2>/dev/null; then
    stage plugin.manifest "$tap_scratch/root-plugin"
    read_manifest plugin.manifest
    expect_text "it is found where there is nothing else" \
        "$(serve_staged "$tap_scratch/root-plugin" "$(PROBE_NAMES=1 ./pie "$shim" "$work/plugin.so")" 2>&1)" "63 66"
else
    skip "no leave to change the root"
fi
shows "fastmap-explain takes along what it is told of" 0 "$work/plugin.so" "$explain" ./pie "$work/plugin.so"
shows "it says how much travels" 0 "total" "$explain" ./pie
shows "it lists what the processor has" 0 "processor  $(uname -m)" "$explain" ./pie

shows "fastmap-run --explain asks it" 0 "$work/pie" "$builddir/launchers/fastmap-run" --explain ./pie

mkdir elsewhere
cp pie elsewhere/pie
# shellcheck disable=SC2016
shows "a program that the loader was started with is not the loader" 0 "$work/pie" \
    "$(sed -n 's/^loader [^ ]* [^ ]* //p' pie.manifest)" ./pie "$shim"

# A rebuilt program: what travels is what runs.
expected=$(sed -n 's/^executable \([^ ]*\) .*/\1/p' pie.manifest)
mkfifo gate
PROBE_WAITS=1 ./pie "$shim" <gate >rebuilt.manifest 2>&1 &
probe=$!
exec 3>gate
cp no-pie other && mv other pie
echo >&3
exec 3>&-
wait "$probe"
expect_text "a program that was rebuilt since it started travels as it runs" \
    "$(sed -n 's/^executable \([^ ]*\) .*/\1/p' rebuilt.manifest)" "$expected"
cp elsewhere/pie pie

# A library overwritten in place, which is the same file: its time tells, some seconds after the start.
# shellcheck disable=SC2086
{
    $CC $cflags -fPIC -shared plugin.c -o libplug.so
    $CC -pie probe.o plain.o -o linked $fastmap $inside -L. -Wl,--no-as-needed -lplug -Wl,-rpath,"$work"
}
PROBE_WAITS=1 ./linked "$shim" <gate >overwritten 2>&1 &
probe=$!
exec 3>gate
sleep 4
touch libplug.so
echo >&3
exec 3>&-
wait "$probe"
expect "a library that was written to since the program started is refused" \
    grep -F "libplug.so was changed since this process loaded it" overwritten

# A folder relative to the current one, and a library's name that is a link: on the other side it must be
# found by that name.
mkdir versions
# shellcheck disable=SC2086
{
    $CC $cflags -fPIC -shared plugin.c -o versions/libver.so.1.0 -Wl,-soname,libver.so.1
    ln -s libver.so.1.0 versions/libver.so.1
    ln -s libver.so.1 versions/libver.so
    $CC -pie probe.o plain.o -o versioned $fastmap $inside -Lversions -Wl,--no-as-needed -lver
}
shows "a library keeps the name by which it is found" 0 " $work/versions/libver.so.1" \
    env LD_LIBRARY_PATH=versions ./versioned "$shim"
cp "$tap_scratch/said" versioned.manifest
env LD_LIBRARY_PATH=versions "$explain" --manifest ./versioned >versioned.explained 2>&1
expect "fastmap-explain finds it by the same" cmp versioned.manifest versioned.explained

# ---- What is refused ---------------------------------------------------------------------------------------

# shellcheck disable=SC2086
{
    $CC $cflags tiny.c -o shell-as-loader $fastmap -Wl,--dynamic-linker=/bin/sh
}
if found musl-gcc; then
    # shellcheck disable=SC2086
    musl-gcc $cflags tiny.c -o musl -Wl,--unresolved-symbols=ignore-all
    shows "a program of musl is refused" 1 "is linked with musl" "$explain" ./musl
else
    skip_promised "no musl-gcc"
fi
shows "what is no loader is not started" 1 "/bin/sh, which the program names as its loader, is none" \
    "$explain" ./shell-as-loader
shows "a script is refused" 1 "is a script" "$explain" "$srcdir/tests/program.sh"
shows "a file that is no program is refused" 1 "is no executable" "$explain" "$srcdir/README.md"
shows "a missing file is named" 1 "/nowhere/program cannot be opened" "$explain" /nowhere/program
head -c 5000 pie >cut-short
shows "a program that is cut is refused" 1 "damaged" "$explain" ./cut-short
shows "a program without fastmap is refused" 1 "neither needs libfastmap.so nor exports" "$explain" sh

# shellcheck disable=SC2086
if $CC $cflags -static tiny.c -o static 2>/dev/null -Wl,--defsym=fastmap=0; then
    shows "a static program is refused" 1 "link the program without -static" "$explain" ./static
else
    skip "no static C library"
fi

cat >contained.f90 <<'END'
subroutine with_contained(shim) bind(c)
    use, intrinsic :: iso_c_binding
    type(c_ptr), value :: shim
    integer :: factor
    interface
        subroutine show_refusal(f, shim) bind(c)
            import
            type(c_funptr), value :: f
            type(c_ptr), value :: shim
        end subroutine
    end interface
    factor = command_argument_count()
    call show_refusal(c_funloc(element), shim)
contains
    integer(c_int) function element(x, y) bind(c)
        integer(c_int), intent(in) :: x
        integer(c_int), intent(out) :: y
        y = factor * x
        element = 0
    end function
end subroutine
END
cat >refusal.c <<'END'
#include <stdio.h>

#include "base/error.h"
#include "program/program.h"

void with_contained(const char *shim);
void show_refusal(void *function, const char *shim);
void show_refusal(void *function, const char *shim)
{
    struct fm_program program;
    printf("%d %s\n", fm_program_gather(function, shim, &program), fm_base_last_error());
}
int main(int argc, char **argv)
{
    with_contained(argv[argc > 1]);
    return 0;
}
END
if command -v gfortran >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    {
        $CC $cflags -c refusal.c -o refusal.o
        gfortran -O1 contained.f90 refusal.o -o contained $fastmap -Wl,--no-as-needed $inside 2>/dev/null
    }
    shows "a contained Fortran procedure is refused" 0 "-10 the function belongs to no file" ./contained "$shim"
else
    skip_promised "no Fortran compiler"
fi

# shellcheck disable=SC2086
if $CC -static probe.o plain.o -o static-probe -Wl,--defsym=fastmap_version=0 $inside 2>/dev/null; then
    shows "a static program knows that it cannot be a worker" 1 "is a static executable" ./static-probe "$shim"
else
    skip "no static OpenSSL"
fi

if [ -e "$builddir/.libs/libfastmap.a" ]; then
    archive="$builddir/.libs/libfastmap.a $("$PKG_CONFIG" --libs hwloc) -lm -pthread"
    # shellcheck disable=SC2086
    {
        $CC $cflags tiny.c -o archive $archive
        $CC $cflags tiny.c -o exporting -Wl,-u,fastmap_serve \
            -Wl,--export-dynamic-symbol=fastmap_serve $archive
    }
    shows "a program with the archive inside is refused" 1 "nor exports fastmap_serve" "$explain" ./archive
    shows "what the sentence says to do helps" 0 "$work/exporting" "$explain" ./exporting
else
    skip "no archive built (--disable-static)" 2
fi

mkdir lost
# shellcheck disable=SC2086
$CC $cflags -fPIC -shared plugin.c -o lost/liblost.so
# shellcheck disable=SC2086
$CC $cflags tiny.c -o lacking $fastmap -Llost -Wl,--no-as-needed -llost
shows "a library that is nowhere is named" 1 "needs liblost.so, which the loader does not find" \
    "$explain" ./lacking
shows "it is found where the environment says" 0 "$work/lost/liblost.so" \
    env LD_LIBRARY_PATH=lost "$explain" ./lacking
# shellcheck disable=SC2086
$CC $cflags tiny.c -o relative $fastmap -Wl,--no-as-needed lost/liblost.so
shows "a library by a relative path is refused" 1 "a path that depends on the current folder" \
    "$explain" ./relative

shows "a wrong option is a wrong use" 2 "no option --nothing" "$explain" --nothing
