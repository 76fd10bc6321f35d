#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs every example: that its answer is right and the same on one and two threads, and that a bad input
# ends in the exit code it documents and a sentence that says why.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"

hello=$builddir/examples/hello
pi=$builddir/examples/pi
mandelbrot=$builddir/examples/mandelbrot
align=$builddir/examples/align
ode_sweep=$builddir/examples/ode_sweep
sample=/usr/share/EMBOSS/test/swiss/seq.dat

# prints CODE SENTENCE command...: the command ends with that code and says that, on either stream.
prints() {
    wanted_code=$1 wanted_text=$2
    shift 2
    code=0
    "$@" >"$tap_scratch/output" 2>&1 || code=$?
    cat "$tap_scratch/output"
    [ "$code" -eq "$wanted_code" ] || { echo "exit code $code, expected $wanted_code"; return 1; }
    grep -qF -e "$wanted_text" "$tap_scratch/output" || { echo "missing: $wanted_text"; return 1; }
}

# shows NAME CODE SENTENCE command...: the same as a check of that name.
shows() {
    name=$1
    shift
    expect "$name" prints "$@"
}

# on THREADS command...
on() {
    FASTMAP_MAX_LOCAL_WORKERS=$1
    export FASTMAP_MAX_LOCAL_WORKERS
    shift
    "$@"
    code=$?
    unset FASTMAP_MAX_LOCAL_WORKERS
    return "$code"
}

check_hello() {
    shows "hello finds the longest Collatz chain" 0 "837799 takes 524 steps" "$hello"
    shows "hello takes no arguments" 2 "usage:" "$hello" 3
}

check_pi() {
    shows "pi counts Gauss's circle of radius 10" 0 "radius 10: 317" "$pi" --radius 10
    shows "pi counts Gauss's circle of radius 1000" 0 "radius 1000: 3141549" "$pi" --radius 1000
    for threads in 1 2; do
        shows "pi is right to 9 decimals on $threads thread(s)" 0 "pi = 3.141592653" \
            on "$threads" "$pi" --radius 20000000
    done
    shows "pi's loop and map agree" 0 "results identical: yes" "$pi" --radius 5000000
    for radius in 0 -1 1e3 99999999999999999999 ""; do
        shows "pi refuses radius '$radius'" 2 "is no whole number from 1 to" "$pi" --radius "$radius"
    done
    shows "pi refuses a stray argument" 2 "unexpected argument 'x'" "$pi" x
    shows "pi explains itself" 0 "usage: pi" "$pi" --help
}

draw() {
    on "$1" "$mandelbrot" --width 120 --height 80 --iterations 300 --output "$tap_scratch/$2" >/dev/null
}

# The bytes at an offset of a file, in hex.
bytes() {
    od -An -v -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

check_mandelbrot() {
    expect "mandelbrot draws on one thread" draw 1 one.png
    expect "mandelbrot draws on two threads" draw 2 two.png
    expect "both pictures have the same bytes" cmp "$tap_scratch/one.png" "$tap_scratch/two.png"
    expect_text "the picture is a PNG" "$(bytes "$tap_scratch/one.png" 0 8)" 89504e470d0a1a0a
    expect_text "of the size asked for" "$(bytes "$tap_scratch/one.png" 16 8)" 0000007800000050
    shows "mandelbrot's loop and map agree" 0 "results identical: yes" "$mandelbrot" -w 33 -h 7 \
        -o "$tap_scratch/small.png"
    shows "mandelbrot names a file that it cannot write" 1 "cannot write $tap_scratch/no/such.png: No such" \
        "$mandelbrot" -w 3 -h 2 -o "$tap_scratch/no/such.png"
    for bad in "width 0" "height 40000" "iterations 1.5" "span 0" "re nan"; do
        shows "mandelbrot refuses $bad" 2 "'${bad#* }' is no" "$mandelbrot" "--${bad% *}" "${bad#* }"
    done
    shows "mandelbrot explains itself" 0 "usage: mandelbrot" "$mandelbrot" --help
}

# WWW--CCC against WWWHHCCC: three W/W of 11, a gap of two (11 + 2), three C/C of 9: 33 - 13 + 27 = 47.
# CCC alone: 27.
write_fasta() {
    {
        echo '>query Cut short'
        echo 'WWWCCC'
        echo '>sp|P12345|GAP_TEST With a gap OS=Nowhere'
        echo 'WWWHH'
        echo 'ccc'
        echo '>end'
        echo 'GGGCCC'
    } >"$tap_scratch/tiny.fasta"
}

# The table without times, and without the closing lines on standard error.
table() {
    "$align" "$@" 2>/dev/null | sed '/^plain loop/,$d'
}

check_align() {
    write_fasta
    tiny=$tap_scratch/tiny.fasta
    expect_text "align's best hits are those worked out by hand, best first" \
        "$("$align" -s 0 -q query "$tiny" 2>/dev/null | awk '$3 ~ /^[0-9]+$/ { print $1, $2, $3, $7, $8, $9 }')" \
        "GAP_TEST P12345 47 75.0% 1-6 1-8
end end 27 100.0% 4-6 4-6"
    shows "align's loop and map agree" 0 "results identical: yes" "$align" "$tiny"
    shows "align leaves out the loop where asked" 0 "times the speed" "$align" --no-compare "$tiny"
    shows "align takes queries from a file" 0 "3 proteins, 20 residues; 3 queries" \
        "$align" --queries "$tiny" "$tiny"
    shows "align finds an entry by accession" 0 "GAP_TEST: With a gap" "$align" -q P12345 "$tiny"
    shows "align names the file's entries where a query is missing" 1 \
        "no entry 'none' in $tiny; its first is called query" "$align" -q none "$tiny"
    shows "align names a missing file" 1 "cannot open" "$align" "$tap_scratch/missing"
    shows "align refuses a folder" 1 "Is a directory" "$align" "$tap_scratch"
    gzip -c "$tiny" >"$tap_scratch/tiny.gz"
    shows "align says how to unpack a compressed file" 1 "gzip -dc" "$align" "$tap_scratch/tiny.gz"
    : >"$tap_scratch/empty"
    shows "align refuses an empty file" 1 "holds no sequence" "$align" "$tap_scratch/empty"
    printf '>one\nWWWUUCCC\n>two\n' >"$tap_scratch/odd"
    shows "align counts letters that it does not know" 0 "letters that BLOSUM62 does not know, read as X: 2" "$align" "$tap_scratch/odd"
    shows "align counts entries without residues" 0 "entries without residues, left out: 1" "$align" "$tap_scratch/odd"
    shows "align wants a file" 2 "give one FILE" "$align"
    shows "align refuses a bad number" 2 "is no whole number from" "$align" --hits 0 "$tiny"
    shows "align refuses an unknown option" 2 "see align --help" "$align" --fast "$tiny"
    shows "align explains itself" 0 "usage: align" "$align" --help
}

check_align_on_sample() {
    if [ ! -r "$sample" ]; then
        skip_promised "the sample of Swiss-Prot is not installed (Debian: emboss-test)" 3
        return
    fi
    shows "align finds the chimpanzee's haemoglobin for man's" 0 \
        "  HBB_PANPA      P68872     780" "$align" -s 0 --no-compare -q HBB_HUMAN "$sample"
    expect_text "align's table is the same on one and two threads" \
        "$(on 2 table -s 1 -q HBB_HUMAN -q RS7_TAKRU "$sample")" \
        "$(on 1 table -s 1 -q HBB_HUMAN -q RS7_TAKRU "$sample")"
    head -n 2000 "$sample" >"$tap_scratch/cut"
    shows "align refuses a file that is cut off" 1 "the file is cut off" "$align" "$tap_scratch/cut"
}

plan 47
check_hello
check_pi
if [ -x "$mandelbrot" ]; then
    check_mandelbrot
else
    skip_promised "mandelbrot is not built without libpng (Debian: libpng-dev)" 13
fi
check_align
check_align_on_sample
if [ -x "$ode_sweep" ]; then
    shows "ode_sweep's loop and map agree" 0 "results identical: yes" "$ode_sweep"
else
    skip_promised "ode_sweep is not built without gfortran" 1
fi
