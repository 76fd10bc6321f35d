#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Who may call whom in lib/: once by #include, once by the symbols that the objects need, and once by what
# the shared library is linked with. The table is the architecture; a new folder is a new row.
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"

# folder : folders whose headers it may include and whose functions it may call : outside libraries
arrows='
base       : base                                :
sched      : base sched                          :
wire       : base wire                           :
program    : base wire program                   : openssl
tier       : base tier                           :
tier/local : base tier tier/local                : hwloc
tier/process : base wire program tier tier/process :
tier/mpi   : tier tier/mpi                       : mpi
tier/cloud : base wire program service tier tier/cloud : curl openssl
service    : service                             : openssl
engine     : base sched wire program tier tier/local tier/process engine :
fortran    : base api fortran                    :
api        : base engine                         :
'
libraries='hwloc mpi curl openssl omp'
plan 6

cd "$srcdir/lib" || exit 1

# rows FIELD FOLDER: a field of the folder's row.
field() {
    echo "$arrows" | awk -F: -v row="$2" -v field="$1" '{ gsub(/ /, "", $1) } $1 == row { print $field }'
}

allowed() {
    for name in $(field "$1" "$2"); do
        [ "$name" = "$3" ] && return 0
    done
    return 1
}

# folder_of PATH: where a source or header lies; a file on top is the api.
folder_of() {
    case $1 in
    */*) echo "${1%/*}" ;;
    *) echo api ;;
    esac
}

find . -name '*.[ch]' | sed 's|^\./||' | sort >"$tap_scratch/files"

unknown_folders() {
    while read -r file; do
        [ -n "$(field 2 "$(folder_of "$file")")" ] || echo "$file: its folder has no row in layers.sh"
    done <"$tap_scratch/files"
}

wrong_includes() {
    while read -r file; do
        from=$(folder_of "$file")
        sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file" | while read -r header; do
            [ -f "$header" ] || echo "$file includes \"$header\", which is no path from lib/"
            allowed 2 "$from" "$(folder_of "$header")" || echo "$file includes \"$header\""
        done
    done <"$tap_scratch/files"
}

wrong_library_headers() {
    while read -r file; do
        for library in $libraries; do
            grep -q "^ *# *include *[<\"]$library\(/[^>\"]*\)*\.h" "$file" || continue
            allowed 3 "$(folder_of "$file")" "$library" || echo "$file includes $library.h"
        done
    done <"$tap_scratch/files"
}

expect_text "every source has a layer" "$(unknown_folders)" ""
expect_text "includes follow the arrows" "$(wrong_includes)" ""
expect_text "a library's header is included only in its own folder" "$(wrong_library_headers)" ""

# Objects: which folder defines each name, then which names each folder lacks.
objects=$builddir/lib
find "$objects" -path '*/.libs/*.o' | sort >"$tap_scratch/objects"
while read -r object; do
    folder=${object#"$objects"/}
    folder=$(folder_of "${folder%.libs/*}x")
    nm -P "$object" | awk -v folder="$folder" '{ print folder, $1, $2 }'
done <"$tap_scratch/objects" >"$tap_scratch/symbols"

wrong_symbols() {
    awk -v arrows="$arrows" '
        BEGIN {
            rows = split(arrows, row, "\n")
            for (i = 1; i <= rows; i++) {
                split(row[i], field, ":")
                gsub(/ /, "", field[1])
                count = split(field[2], target, " ")
                for (j = 1; j <= count; j++) may[field[1], target[j]] = 1
                libraries[field[1]] = field[3]
            }
        }
        NR == FNR { if ($3 ~ /^[A-TV-Z]$/) home[$2] = $1; next }
        $3 != "U" { next }
        $2 in home { if (!(($1, home[$2]) in may)) print $1 " uses " $2 " of " home[$2]; next }
        $2 ~ /^hwloc_/ && libraries[$1] !~ /hwloc/ { print $1 " uses " $2 }
        $2 ~ /^MPI_/ && libraries[$1] ~ /mpi/ { next }
        $2 ~ /^curl_/ && libraries[$1] ~ /curl/ { next }
        $2 ~ /^(MPI_|curl_|GOMP_|omp_)/ { print $1 " uses " $2 }
    ' "$tap_scratch/symbols" "$tap_scratch/symbols"
}

# fm_<folder>_<verb>, so that a call site shows which layer it enters.
wrong_names() {
    awk '$3 ~ /^[A-TV-Z]$/ && $1 != "api" && $2 !~ /^fastmap_/ && $2 != "__libc_start_main" {
        folder = $1
        sub(/.*\//, "", folder)
        if ($2 !~ "^fm_(tier_)?" folder "_") print $1 " defines " $2
    }' "$tap_scratch/symbols"
}

if [ -s "$tap_scratch/symbols" ]; then
    expect_text "undefined symbols follow the arrows" "$(wrong_symbols)" ""
    expect_text "global names are fm_<folder>_<verb>" "$(wrong_names)" ""
else
    skip "no shared objects built (--disable-shared)" 2
fi

if [ -e "$builddir/.libs/libfastmap.so" ]; then
    expect_text "the library needs hwloc and the C library only" \
        "$(readelf -d "$builddir/.libs/libfastmap.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
            grep -v -E '^(libhwloc|libc|libm|libpthread|ld-linux[^.]*)\.so')" ""
else
    skip "no shared library built (--disable-shared)"
fi
