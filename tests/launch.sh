#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# fastmap-run: which command it makes of a program, a place and its options. The places are told by variables and
# files as batch systems leave them, the machine by a copy of the parts of /sys that count, the MPIs by libraries and
# launchers that have only their names; then it is run, too.
srcdir=${srcdir:-$(cd "$(dirname "$0")/.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/nodes.sh"

if [ ! -e "$builddir/.libs/libfastmap.so" ]; then
    echo "1..0 # SKIP no shared library built (--disable-shared)"
    exit 0
fi
# What a job of one's own would say.
unset SLURM_JOB_ID PBS_NODEFILE PBS_NUM_PPN NCPUS LSB_DJOB_HOSTFILE LSB_MCPU_HOSTS PE_HOSTFILE LD_PRELOAD
unset OMPI_COMM_WORLD_SIZE PMI_SIZE SLURM_STEP_NUM_TASKS
unset OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM

# ---- A small world -----------------------------------------------------------------------------------------

world=$tap_scratch/world
mkdir -p "$world/bin" "$world/tools" "$world/.libs" "$world/lib" "$world/machine/proc/self" "$world/job"
cp "$builddir/launchers/fastmap-run" "$world/bin/fastmap-run"
for tool in printf awk sed grep od tr cut head sort paste env dirname readlink id ldd readelf cat getconf sh bash; do
    path=$(command -v "$tool") || continue
    case $path in
    /*) ;;
    *) path=/usr/bin/$tool ;; # built into this shell
    esac
    ln -s "$path" "$world/tools/$tool"
done

# machine ALLOWED: eight cores with two hardware threads each, in two NUMA domains, and one without processors.
machine() {
    root=$world/machine/sys/devices/system
    rm -rf "$root"
    for cpu in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        mkdir -p "$root/cpu/cpu$cpu/topology"
        echo "$((cpu % 8)),$((cpu % 8 + 8))" >"$root/cpu/cpu$cpu/topology/thread_siblings_list"
    done
    mkdir -p "$root/node/node0" "$root/node/node1" "$root/node/node2"
    echo 0-3,8-11 >"$root/node/node0/cpulist"
    echo 4-7,12-15 >"$root/node/node1/cpulist"
    echo >"$root/node/node2/cpulist"
    printf 'Name:\tsed\nCpus_allowed_list:\t%s\n' "$1" >"$world/machine/proc/self/status"
}

# launcher NAME VERSION: a launcher that says which it is, and tells the words that it is started with.
launcher() {
    cat >"$world/bin/$1" <<END
#!/bin/sh
case \$1 in
--version) echo '$2' ;;
--mpi=list) printf 'MPI plugin types are...\n\tpmix\n\tpmi2\n\tcray_shasta\n' >&2 ;;
*) printf '<%s>\n' "\$@" ;;
esac
END
    chmod +x "$world/bin/$1"
}

# library SONAME, program NAME FLAGS...: the compiler is a list.
# shellcheck disable=SC2086
library() {
    echo 'int probe(void); int probe(void) { return 0; }' >"$world/part.c"
    $CC -shared -fPIC -o "$world/lib/$1" "-Wl,-soname,$1" "$world/part.c"
}

# shellcheck disable=SC2086
program() {
    program_name=$1
    shift
    $CC -o "$world/bin/$program_name" "$world/main.c" -Wl,--no-as-needed "$@" 2>"$world/why"
}

machine 0-15
launcher mpirun 'mpirun (Open MPI) 4.1.4'
launcher mpirun.mpich 'HYDRA build details:'
launcher srun 'slurm 22.05.8'
printf '#include <stdio.h>\nint main(void) { return puts("main ran") < 0; }\n' >"$world/main.c"
library libmpi.so.40
library libmpich.so.12
library libmpi.so.12
library libopen-pal.so.40
library libpetsc.so.3
library fastmap-worker.so
mv "$world/lib/fastmap-worker.so" "$world/.libs"
# A plugin for each MPI: its launcher may lie beside what it needs.
cp "$world/.libs/fastmap-worker.so" "$world/.libs/fastmap-openmpi.so"
cp "$world/.libs/fastmap-worker.so" "$world/.libs/fastmap-mpich.so"
library libfastmap.so.0
program serial "$world/lib/libfastmap.so.0"
program ours_openmpi "$world/lib/libmpi.so.40" "$world/lib/libfastmap.so.0"
program ours_mpich "$world/lib/libmpich.so.12"
program ours_either "$world/lib/libmpi.so.12"
program ours_old_openmpi "$world/lib/libmpi.so.12" "$world/lib/libopen-pal.so.40"
program plain
program lacking "$world/lib/libpetsc.so.3"
rm "$world/lib/libpetsc.so.3"
program static -static || static=no
if found musl-gcc; then
    CC=musl-gcc program musl
fi
printf '#!/bin/sh\necho main ran\n' >"$world/bin/script"
chmod +x "$world/bin/script"
cp "$world/bin/serial" "$world/bin/its quote's"

# run OPTIONS...: what it says, errors too, with the folders of this test left out.
run() {
    (cd "$world/job" && PATH=$world/bin:$world/tools LD_LIBRARY_PATH=$world/lib fastmap_run_root=$world/machine \
        "$world/bin/fastmap-run" "$@" 2>&1 </dev/null) | sed "s|$world/||g"
}

# makes NAME WANTED OPTIONS...: the command made, with `serve` for the variables of a serial program.
makes() {
    name=$1
    wanted=$2
    shift 2
    expect_text "$name" "$(run --dry-run "$@" | sed \
        's|LD_PRELOAD=.libs/fastmap-worker.so FASTMAP_WORKER_LIBRARY=lib/libfastmap.so.0 FASTMAP_WORKER_RANKS=|serve |')" \
        "$wanted"
}

# says NAME PATTERN OPTIONS...: refused, with a sentence.
says() {
    name=$1
    pattern=$2
    shift 2
    expect "$name" refused "$pattern" "$@"
}

# shellcheck disable=SC2317 # expect calls it
refused() {
    pattern=$1
    shift
    text=$(run "$@")
    echo "$text"
    echo "$text" | grep -q "^fastmap-run: .*$pattern" && [ "$(echo "$text" | wc -l)" -eq 1 ]
}

plan 95

# ---- What the program is -----------------------------------------------------------------------------------

makes "a serial program: main on rank 0, the others serve, one rank to a NUMA domain" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa env serve OMPI_COMM_WORLD_RANK bin/serial" serial
makes "an Open MPI program runs as it is" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa bin/ours_openmpi" ours_openmpi
makes "an MPICH program gets MPICH's launcher" \
    "bin/mpirun.mpich -n 2 -ppn 2 -bind-to numa -map-by numa bin/ours_mpich" ours_mpich
makes "libmpi.so.12 is MPICH's" \
    "bin/mpirun.mpich -n 2 -ppn 2 -bind-to numa -map-by numa bin/ours_either" ours_either
makes "libmpi.so.12 beside Open MPI's own parts is Open MPI's" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa bin/ours_old_openmpi" ours_old_openmpi
makes "one rank of a serial program is started by nobody" "bin/serial -n 3" -n 1 serial -n 3
makes "one rank of any program is" "bin/plain" -n 1 plain
makes "--serve no: main on every rank" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa bin/serial" --serve no serial
makes "--serve yes: a program that opens fastmap as it runs" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa env serve OMPI_COMM_WORLD_RANK bin/plain" \
    --serve yes plain
says "--serve yes is nothing for an MPI program" "linked with MPI and runs on every rank" --serve yes ours_openmpi
FASTMAP_RANKS=off
export FASTMAP_RANKS
says "FASTMAP_RANKS=OFF and ranks that serve" "FASTMAP_RANKS=OFF keeps maps in their rank" serial
unset FASTMAP_RANKS
says "a program that uses neither is refused" "linked neither with MPI nor" -n 2 plain
says "a script is refused" "is a script; give the program" -n 2 script
if [ "${static:-}" = no ]; then
    skip "no static C library"
else
    says "a static program is refused: the preload would be ignored and main run N times" \
        "is linked statically" -n 2 --serve yes static
fi
if [ -x "$world/bin/musl" ]; then
    says "a program of musl is refused, whether it is known to use fastmap or not" "uses musl" -n 2 musl
    says "the same where it is said to" "uses musl" -n 2 --serve yes musl
else
    skip_promised "no musl-gcc" 2
fi
chmod u+s "$world/bin/serial"
says "a set-user-id program is refused" "is set-user-id" -n 2 serial
chmod u-s "$world/bin/serial"
says "a program whose library is missing is refused" "needs libpetsc.so.3, which is not found" -n 2 lacking
rm "$world/tools/ldd"
makes "without ldd: by readelf" "bin/mpirun.mpich -n 2 -ppn 2 -bind-to numa -map-by numa bin/ours_mpich" ours_mpich
rm "$world/tools/readelf"
makes "without readelf: by its bytes" \
    "bin/mpirun.mpich -n 2 -ppn 2 -bind-to numa -map-by numa bin/ours_mpich" ours_mpich
ln -s "$(command -v ldd)" "$world/tools/ldd"
ln -s "$(command -v readelf)" "$world/tools/readelf"
printf '\177ELF\001\001\001' | cat - "$world/bin/serial" >"$world/.libs/fastmap-worker.so"
says "a program for another processor than the library's is refused" "another kind of processor" -n 2 serial
cp "$world/.libs/fastmap-mpich.so" "$world/.libs/fastmap-worker.so"
says "a program that is not there" "there is no such program on the PATH" -n 2 nowhere
cp "$world/bin/serial" "$world/job/here"
says "a program that is here, but not on the PATH" "say ./here" -n 2 here
chmod a-x "$world/job/here"
says "a program that is not executable" "chmod +x" -n 2 ./here
says "a folder is no program" "no program but a folder" -n 2 /

# ---- How many, and bound to what ---------------------------------------------------------------------------

makes "four ranks on eight cores have two each" \
    "bin/mpirun -n 4 --map-by ppr:4:node:PE=2 --bind-to core env serve OMPI_COMM_WORLD_RANK bin/serial" -n 4 serial
makes "the same with MPICH" \
    "bin/mpirun.mpich -n 4 -ppn 4 -bind-to core:2 env serve PMI_RANK bin/serial" -n 4 --mpi mpich serial
makes "--threads alone: as many ranks as that leaves room for" \
    "bin/mpirun -n 4 --map-by ppr:4:node:PE=2 --bind-to core env FASTMAP_MAX_LOCAL_WORKERS=2 \
serve OMPI_COMM_WORLD_RANK bin/serial" --threads 2 serial
makes "ranks that cores cannot be divided by are not bound, nor are their threads" \
    "bin/mpirun -n 3 --map-by ppr:3:node --bind-to none env FASTMAP_BIND=NONE serve OMPI_COMM_WORLD_RANK bin/serial" \
    -n3 serial
makes "more ranks than cores: they yield" \
    "fastmap-run: ranks on a node: 9, cores: 8; they take turns
bin/mpirun -n 9 --oversubscribe --map-by ppr:9:node --bind-to none --mca mpi_yield_when_idle 1 \
env FASTMAP_BIND=NONE serve OMPI_COMM_WORLD_RANK bin/serial" -n 9 serial
says "binding them is refused" "too few for --bind core" -n 9 --bind core serial
makes "--bind none" \
    "bin/mpirun -n 2 --map-by ppr:2:node --bind-to none env FASTMAP_MAX_LOCAL_WORKERS=4 FASTMAP_BIND=NONE \
bin/ours_openmpi" -n 2 --bind none --threads=4 ours_openmpi
machine 0-3
makes "only the domain that the process may use counts" "bin/serial" serial
makes "and so do only its cores" \
    "bin/mpirun -n 2 --map-by ppr:2:node:PE=2 --bind-to core env serve OMPI_COMM_WORLD_RANK bin/serial" -n 2 serial
machine 0-15
says "-n 0" "-n 0: give a whole number" -n 0 serial
says "-n with a word" "-n four: give" -n four serial
says "an unknown option" "there is no such option" --fast serial
says "an unknown word" "give one of auto numa core none" --bind socket serial
says "a missing value" "its value is missing" -n
says "a value where there is none" "takes no value" --dry-run=yes serial
says "no program" "name a program" -n 2
says "-n below --ranks-per-node" "leave out one of them" -n 2 --ranks-per-node 4 serial
says "more nodes than there are" "takes 2 nodes, and there are 1" -n 8 --ranks-per-node 4 serial
says "ranks that domains cannot share" "do not divide evenly" -n 3 --bind numa serial
OMPI_COMM_WORLD_SIZE=4
export OMPI_COMM_WORLD_SIZE
says "started as a rank itself" "one of 4 ranks (OMPI_COMM_WORLD_SIZE)" serial
unset OMPI_COMM_WORLD_SIZE

# ---- Words -------------------------------------------------------------------------------------------------

# shellcheck disable=SC2016 # a dollar that stays one
expect_text "what is printed can be pasted: it starts the same words" \
    "$(words=$(run --dry-run -n 2 --mpi openmpi "its quote's" 'a b' "c'd" '$e' '*' '' 'f
g'); cd "$world" && eval "$words" | tail -n 8)" \
    "<bin/its quote's>
<a b>
<c'd>
<\$e>
<*>
<>
<f
g>"
FASTMAP_SECRET=hush
FASTMAP_VERBOSITY=LOUD
export FASTMAP_SECRET FASTMAP_VERBOSITY
echo 'a slots=8' >"$world/job/one"
makes "settings go to other nodes by name, so that no value is seen" \
    "bin/mpirun -n 8 --host a:8 --map-by ppr:8:node:PE=1 --bind-to core -x FASTMAP_SECRET -x FASTMAP_VERBOSITY \
-x LD_LIBRARY_PATH bin/ours_openmpi" --hostfile one -n 8 ours_openmpi
unset FASTMAP_SECRET FASTMAP_VERBOSITY
expect_text "another preloaded library stays" "$(LD_PRELOAD=$world/lib/libmpi.so.40 run --dry-run serial |
    tr ' ' '\n' | grep PRELOAD)" "LD_PRELOAD=lib/libmpi.so.40:.libs/fastmap-worker.so
FASTMAP_WORKER_LD_PRELOAD=lib/libmpi.so.40"
expect_text "--version" "$(run --version)" "fastmap-run ${version:-$(sed -n 's/^Version: //p' "$builddir/lib/fastmap.pc")}"
expect_text "--help names every option" "$(run --help | grep -c '^  -')" 14
expect_text "--verbose says why, and runs it" "$(run --verbose -n 1 plain)" \
    "fastmap-run: ranks: 1, on a node: 1, threads of each: 8, bound to: none
fastmap-run: one rank on this machine: nothing has to start it
fastmap-run: bin/plain
main ran"

# ---- Which MPI ---------------------------------------------------------------------------------------------

says "--mpi against the program's own" "is linked with openmpi: leave out --mpi" --mpi mpich ours_openmpi
rm "$world/.libs/fastmap-openmpi.so"
makes "the MPI that fastmap has a plugin for" \
    "bin/mpirun.mpich -n 4 -ppn 4 -bind-to core:2 env serve PMI_RANK bin/serial" -n 4 serial
says "--mpi without its plugin" "its plugin .* is missing" -n 4 --mpi openmpi serial
rm "$world/.libs/fastmap-mpich.so"
says "no MPI at all" "no MPI that fastmap has a plugin for was found" -n 4 serial
makes "no MPI, and nobody asked for ranks: threads" "bin/serial" serial
cp "$world/.libs/fastmap-worker.so" "$world/.libs/fastmap-openmpi.so"
cp "$world/.libs/fastmap-worker.so" "$world/.libs/fastmap-mpich.so"
mv "$world/bin/mpirun" "$world/mpirun"
says "no launcher for the program's MPI" "its mpirun is not on the PATH" ours_openmpi
launcher mpirun 'mpirun (Open MPI) 5.0.7'
makes "Open MPI 5: a serial program goes on after the loss of a rank" \
    "bin/mpirun -n 2 --with-ft ulfm --map-by ppr:1:numa --bind-to numa env serve OMPI_COMM_WORLD_RANK bin/serial" serial
makes "Open MPI 5: other programs only if told so" \
    "bin/mpirun -n 2 --map-by ppr:1:numa --bind-to numa bin/ours_openmpi" ours_openmpi
makes "Open MPI 5: more ranks than cores" \
    "fastmap-run: ranks on a node: 9, cores: 8; they take turns
bin/mpirun -n 9 --map-by ppr:9:node:OVERSUBSCRIBE --bind-to none --mca mpi_yield_when_idle 1 \
env FASTMAP_BIND=NONE bin/ours_openmpi" -n 9 ours_openmpi
mv "$world/mpirun" "$world/bin/mpirun"
says "--recover where the MPI cannot" "mpirun of Open MPI 5" --recover yes serial

# ---- Where -------------------------------------------------------------------------------------------------

printf 'a slots=8 # the first\n\nb slots=8 max_slots=16\n' >"$world/job/hosts"
makes "a host file: one rank to a domain of each node" \
    "bin/mpirun -n 4 --host a:8,b:8 --map-by ppr:1:numa --bind-to numa -x LD_LIBRARY_PATH \
env serve OMPI_COMM_WORLD_RANK bin/serial" --hostfile hosts serial
makes "a host file, MPICH" \
    "bin/mpirun.mpich -n 4 -ppn 2 -hosts a:8,b:8 -bind-to numa -map-by numa env serve PMI_RANK bin/serial" \
    --hostfile=hosts --mpi mpich serial
makes "fewer ranks than nodes take as many nodes" \
    "bin/mpirun -n 1 --host a:8 --map-by ppr:1:node --bind-to none -x LD_LIBRARY_PATH bin/serial" \
    -n 1 --hostfile hosts serial
says "more ranks than the host file has cores" "ranks on a node: 16, cores: 8: ask for" -n 32 --hostfile hosts serial
printf 'c\nd:4\nc\n' >"$world/job/mixed"
makes "lines that repeat, and HOST:CORES" \
    "bin/mpirun -n 4 --host c:2,d:4 --map-by ppr:1:numa --bind-to numa -x LD_LIBRARY_PATH bin/ours_openmpi" \
    --hostfile mixed ours_openmpi
printf 'e\nf\n' >"$world/job/names"
makes "names alone: nodes like this one" \
    "bin/mpirun -n 8 --host e:4,f:4 --map-by ppr:4:node:PE=2 --bind-to core -x LD_LIBRARY_PATH bin/ours_openmpi" \
    -n 8 --hostfile names ours_openmpi
echo 'a cores=3' >"$world/job/wrong"
says "a line that means nothing is named" "line 1 (a cores=3) is not HOST" --hostfile wrong serial
: >"$world/job/empty"
says "an empty host file" "names no host" --hostfile empty serial
says "no host file" "cannot be read" --hostfile nothing serial

printf 'g\ng\ng\ng\nh\nh\nh\nh\n' >"$world/job/nodes"
PBS_NODEFILE=$world/job/nodes
export PBS_NODEFILE
PBS_NUM_PPN=4
export PBS_NUM_PPN
makes "Torque: lines are cores" \
    "bin/mpirun -n 4 --host g:4,h:4 --map-by ppr:1:numa --bind-to numa -x LD_LIBRARY_PATH bin/ours_openmpi" ours_openmpi
unset PBS_NUM_PPN
NCPUS=8
export NCPUS
makes "PBS: lines are ranks" \
    "bin/mpirun -n 8 --host g:4,h:4 --map-by ppr:4:node:PE=2 --bind-to core -x LD_LIBRARY_PATH bin/ours_openmpi" \
    ours_openmpi
unset PBS_NODEFILE NCPUS
LSB_MCPU_HOSTS='i 8 j 8'
export LSB_MCPU_HOSTS
makes "LSF" \
    "bin/mpirun -n 16 --host i:8,j:8 --map-by ppr:8:node:PE=1 --bind-to core -x LD_LIBRARY_PATH bin/ours_openmpi" \
    -n 16 ours_openmpi
LSB_DJOB_HOSTFILE=$world/job/nodes
export LSB_DJOB_HOSTFILE
makes "LSF's file comes before its variable" \
    "bin/mpirun -n 4 --host g:4,h:4 --map-by ppr:1:numa --bind-to numa -x LD_LIBRARY_PATH bin/ours_openmpi" ours_openmpi
unset LSB_MCPU_HOSTS LSB_DJOB_HOSTFILE
printf 'k 8 all.q@k UNDEFINED\nl 8 all.q@l UNDEFINED\n' >"$world/job/pe"
PE_HOSTFILE=$world/job/pe
export PE_HOSTFILE
makes "Grid Engine" \
    "bin/mpirun -n 2 --host k:8,l:8 --map-by ppr:1:node --bind-to none -x LD_LIBRARY_PATH bin/ours_openmpi" \
    -n 2 ours_openmpi
unset PE_HOSTFILE

SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES=3 SLURM_JOB_CPUS_PER_NODE='16(x2),8' SLURMD_NODENAME=m
export SLURM_JOB_ID SLURM_JOB_NUM_NODES SLURM_JOB_CPUS_PER_NODE SLURMD_NODENAME
makes "Slurm: srun, with what Open MPI needs" \
    "srun --mpi=pmix --nodes=3 --ntasks=6 --ntasks-per-node=2 --export=ALL --kill-on-bad-exit=1 --input=0 \
--cpus-per-task=4 --cpu-bind=ldoms env serve SLURM_PROCID bin/serial" serial
makes "Slurm: srun, with what MPICH needs" \
    "srun --mpi=pmi2 --nodes=1 --ntasks=4 --ntasks-per-node=4 --export=ALL --kill-on-bad-exit=1 --cpus-per-task=2 --cpu-bind=cores \
bin/ours_mpich" -n 4 --ranks-per-node 4 ours_mpich
SLURM_NTASKS=12
export SLURM_NTASKS
makes "Slurm: as many ranks as the job was asked to have" \
    "srun --mpi=pmix --nodes=3 --ntasks=12 --ntasks-per-node=4 --export=ALL --kill-on-bad-exit=1 --cpus-per-task=2 --cpu-bind=cores \
bin/ours_openmpi" ours_openmpi
unset SLURM_NTASKS
makes "Slurm: mpirun" \
    "bin/mpirun -n 12 --oversubscribe --map-by ppr:4:node:PE=2 --bind-to core -x LD_LIBRARY_PATH bin/ours_openmpi" \
    -n 12 --launcher mpirun ours_openmpi
says "Slurm: more ranks than cores are refused" "ranks on a node: 9, cores: 8: ask for" -n 27 serial
makes "Slurm: unless they are wanted" \
    "fastmap-run: ranks on a node: 9, cores: 8; they take turns
srun --mpi=pmix --nodes=3 --ntasks=27 --ntasks-per-node=9 --export=ALL --kill-on-bad-exit=1 --input=0 --cpu-bind=none --overcommit \
env OMPI_MCA_mpi_yield_when_idle=1 FASTMAP_BIND=NONE serve SLURM_PROCID bin/serial" -n 27 --oversubscribe serial
says "Slurm: a host file is refused" "which has nodes of its own" --hostfile hosts serial
unset SLURM_JOB_ID SLURM_JOB_NUM_NODES SLURM_JOB_CPUS_PER_NODE SLURMD_NODENAME
says "srun without Slurm" "this is no Slurm job" --launcher srun serial

# ---- Real ranks --------------------------------------------------------------------------------------------

real=$builddir/tests/.libs/launch_serial
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 UCX_LOG_LEVEL=error FASTMAP_VERBOSITY=QUIET
# The MPI libraries keep memory until the process ends.
ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"
export ASAN_OPTIONS

# start STATUS OPTIONS...: what the program says, once and again, and whether it ended with STATUS.
start() {
    status=$1
    shift
    LD_LIBRARY_PATH=$builddir/.libs timeout 60 "$builddir/launchers/fastmap-run" "$@" \
        >"$tap_scratch/said" 2>"$tap_scratch/errors" </dev/null
    [ $? -eq "$status" ] || { echo "exit status is not $status"; cat "$tap_scratch/errors"; }
    cat "$tap_scratch/said"
}

if [ -x "$builddir/launchers/fastmap-explain" ]; then
    expect_text "--explain: what travels" "$(start 0 --explain "$real" |
        sed -n -e 's|^\(executable\) .*/|\1 |p' -e 's|^\(worker\) .*/|\1 |p' -e 's|^\(fastmap\) .*/|\1 |p')" \
        "executable launch_serial
worker fastmap-worker.so
fastmap libfastmap.so.0"
else
    skip_promised "no fastmap-explain: built without OpenSSL"
fi

for flavour in openmpi mpich; do
    if ! found "mpirun.$flavour" || [ ! -e "$builddir/.libs/fastmap-$flavour.so" ]; then
        skip_promised "no mpirun.$flavour, or no plugin for it" 5
        continue
    fi
    if nm "$builddir/.libs/libfastmap.so" 2>/dev/null | grep -q __tsan_init; then
        skip "MPI libraries are not built for ThreadSanitizer" 5
        continue
    fi
    expect_text "$flavour: a serial program is one program on 3 ranks" "$(start 0 --mpi "$flavour" -n 3 "$real" 2)" \
        "main: maps 2, ranks 3, elements computed elsewhere: some, results identical: yes"
    expect_text "$flavour: ranks that serve end with a program that has no map" \
        "$(start 0 --mpi "$flavour" -n 3 "$real" 0)" \
        "main: maps 0, ranks 0, elements computed elsewhere: none, results identical: yes"
    if nm "$builddir/.libs/libfastmap.so" 2>/dev/null | grep -q __asan_init; then
        skip "AddressSanitizer would have to come first in a program that knows nothing of it"
    else
        expect_text "$flavour: and with one that never opens fastmap" \
            "$(start 0 --mpi "$flavour" --serve yes -n 2 /bin/echo once)" "once"
    fi
    expect_text "$flavour: its exit status is the job's" "$(start 7 --mpi "$flavour" -n 2 "$real" 1 7)" \
        "main: maps 1, ranks 2, elements computed elsewhere: some, results identical: yes"
    expect_text "$flavour: a rank in which main was not swapped ends before it does anything" \
        "$(LD_LIBRARY_PATH=$builddir/.libs FASTMAP_WORKER_RANKS=RANK "mpirun.$flavour" -n 2 "$real" 2>&1 |
            grep -c -e 'was not preloaded' -e '^main')" 2
done

trap 'nodes_remove; rm -rf "$tap_scratch"' EXIT
if ! found mpirun.openmpi || [ ! -e "$builddir/.libs/fastmap-openmpi.so" ] || [ "$(id -u)" -ne 0 ] ||
    nm "$builddir/.libs/libfastmap.so" 2>/dev/null | grep -q __tsan_init || ! nodes_make "$tap_scratch" 2>/dev/null; then
    skip "no network namespaces (root and iproute2), or no Open MPI"
else
    printf 'node-a:1\n10.77.0.2:1\n' >"$tap_scratch/hosts"
    expect_text "openmpi: a serial program on the two nodes of a host file" "$(
        LD_LIBRARY_PATH=$builddir/.libs
        export LD_LIBRARY_PATH
        nodes_run timeout 60 "$builddir/launchers/fastmap-run" --mpi openmpi --hostfile "$tap_scratch/hosts" -n 2 \
            "$real" 2 2>&1 </dev/null)" \
        "main: maps 2, ranks 2, elements computed elsewhere: some, results identical: yes"
fi
