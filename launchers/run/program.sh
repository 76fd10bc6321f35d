# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # the parts share variables
# ---- What the program is ----

# Sets `program` to a path that a launcher finds as this shell does.
find_program() {
    case $1 in
    */*) program=$1 ;;
    *)
        program=$(command -v -- "$1")
        case $program in
        /*) ;;
        *)
            [ ! -f "$1" ] || die "$1 is not on the PATH, but in this folder: say ./$1"
            die "$1: there is no such program on the PATH"
            ;;
        esac
        ;;
    esac
    [ -e "$program" ] || die "$program: there is no such file; check the path"
    [ -f "$program" ] || die "$program is no program but a folder or a device; give the path of a program"
    [ -x "$program" ] || die "$program is not executable; chmod +x makes it so, if it is a program"
}

# The libraries that a file needs, and what those need, as `name => path` lines. ldd follows them all;
# readelf, where there is no ldd, knows those of the file itself; failing both, the names are in its bytes.
libraries_of() {
    if command -v ldd >/dev/null 2>&1; then
        (unset LD_PRELOAD && ldd "$1" 2>&1)
    elif command -v readelf >/dev/null 2>&1; then
        readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1 => \1/p'
    else
        LC_ALL=C tr -c '[:alnum:]._+-' '\n' <"$1" | sed -n 's/^lib[[:alnum:]_+-]*\.so[.0-9]*$/& => &/p' | sort -u
    fi
}

# bytes FILE FIRST COUNT: in hexadecimal.
bytes() {
    od -An -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# Which MPI a list of libraries is: the soname is enough but for libmpi.so.12, which both have used.
mpi_of() {
    case $1 in
    *libopen-pal.so* | *libopen-rte.so* | *libmpi.so.[234]0* | *libmpi_mpifh.so.[234]0*) echo openmpi ;;
    *libmpich*.so* | *libmpi.so.12* | *libmpifort.so.12* | *libmpi_cray*.so* | *libmpi_gnu*.so*) echo mpich ;;
    *libmpi.so*) echo unknown ;;
    esac
}

# Sets `kind` (mpi, serial, static, musl, script, other), `linked` (its MPI), `libraries`, and `library` (its fastmap).
look_at_program() {
    kind=other linked='' library='' libraries=''
    case $(bytes "$program" 0 4) in
    7f454c46) ;;
    2321*) kind=script; return ;;
    *) return ;;
    esac
    case $(bytes "$program" 0 4096) in
    *2f6c642d6d75736c2d*) kind=musl; return ;; # its loader is /ld-musl-, which ldd cannot read
    esac
    libraries=$(libraries_of "$program")
    case $libraries in
    *'=> not found'*)
        die "$program needs $(printf '%s\n' "$libraries" | sed -n 's/[[:blank:]]*\(.*\) => not found.*/\1/p' |
            head -n 1), which is not found; add its folder to LD_LIBRARY_PATH"
        ;;
    *'not a dynamic executable'* | *'statically linked'* | '') kind=static; return ;;
    esac
    linked=$(mpi_of "$libraries")
    [ -n "$linked" ] && kind=mpi || kind=serial
    library=$(printf '%s\n' "$libraries" | sed -n 's/.*libfastmap\.so[.0-9]* => \([^ ]*\).*/\1/p')
}

# A program that has the archive inside can serve if it shows the library's names to the loader.
has_archive() {
    LC_ALL=C grep -q fastmap_serve "$program" || return 1
    ! command -v readelf >/dev/null 2>&1 || readelf --dyn-syms --wide "$program" | grep -q ' fastmap_serve$'
}

# Whether main can be swapped in this program: else the loader would ignore the preload without a word.
check_swap() {
    no='run it as it is on every rank by --serve no, if it is made for that'
    case $kind in
    static) die "$program is linked statically, so that its main cannot be swapped and each rank would run all of" \
        "it: link it dynamically, or $no" ;;
    musl) die "$program uses musl, whose loader cannot swap main: build it with glibc, or $no" ;;
    script) die "$program is a script; give the program that runs it, by its path (such as /usr/bin/python3 SCRIPT)," \
        "or $no" ;;
    other) die "$program is no ELF program; give the path of one" ;;
    esac
    if [ -u "$program" ] || [ -g "$program" ]; then
        die "$program is set-user-id or set-group-id, so that its main cannot be swapped; chmod ug-s, or $no"
    fi
    installed "$pkglibdir" fastmap-worker.so || die "fastmap-worker.so is not in $pkglibdir; install fastmap again"
    shim=$(cd "$(dirname "$file")" && pwd)/fastmap-worker.so
    # Class, byte order and processor.
    [ "$(bytes "$program" 4 2)$(bytes "$program" 18 2)" = "$(bytes "$shim" 4 2)$(bytes "$shim" 18 2)" ] ||
        die "$program is for another kind of processor than this fastmap; install fastmap for that, or $no"
}

# Whether each of several ranks would do the same, as far as can be told.
check_use() {
    [ "$kind" != serial ] || [ -n "$library" ] || has_archive ||
        die "$program is linked neither with MPI nor, visibly, with fastmap (link with libfastmap.so, or with its" \
            "archive and -rdynamic), so that all ranks would do the same: --serve yes, if it opens fastmap as it" \
            "runs; --serve no, if copies are wanted"
}

# Settles `serve`: whether ranks other than 0 serve. A single rank never does.
decide_serve() {
    [ "$serve" != yes ] || [ "$kind" != mpi ] ||
        die "--serve yes, but $program is linked with MPI and runs on every rank itself; leave out --serve"
    if [ "$serve" = no ] || [ "$kind" = mpi ] || [ "$ranks" = 1 ]; then
        serve=no
        return
    fi
    [ "$serve" = yes ] || check_use
    [ "$(echo "${FASTMAP_RANKS:-}" | tr '[:lower:]' '[:upper:]')" != OFF ] ||
        die "FASTMAP_RANKS=OFF keeps maps in their rank, so that the others could not serve: unset it, or use -n 1"
    check_swap
    # What opens fastmap as it runs has it from where this is installed.
    [ -n "$library" ] || has_archive || ! installed "${pkglibdir%/*}" libfastmap.so.0 ||
        library=$(cd "$(dirname "$file")" && pwd)/libfastmap.so.0
    serve=yes
}
