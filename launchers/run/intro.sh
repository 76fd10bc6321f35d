#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=sh disable=SC2034 # the parts share variables
# Starts a program on what is there: the nodes of a batch job, those of a host file, or this machine alone.
# It decides five things, in this order, and then becomes the command that it made of them:
#
#   what the program is  by the libraries that it is linked with: an MPI program runs as it is; a serial one
#                        that uses fastmap runs once, as rank 0, and the other ranks serve its maps
#   where                Slurm, PBS, LSF, Grid Engine, a host file, here: `nodes` of `cores` each
#   how many ranks       and how many threads each: one rank to a NUMA domain, threads fill it
#   which MPI            the program's own, else one that fastmap has a plugin for
#   what binds them      so that each rank's threads have cores of their own
#
# The command is built as quoted text, so that --dry-run prints exactly what would be run. What could end in N copies
# of a serial program is refused: they would overwrite each other's files. Values are handed back in global variables,
# named at each function; the parts of this script lie in launchers/run/, and the build joins them.

version='@version@'
pkglibdir='@pkglibdir@'
pkglibexecdir='@pkglibexecdir@'
prefix='@prefix@'

usage() {
    cat <<'END'
usage: fastmap-run [OPTIONS] PROGRAM [ARGUMENTS]

Runs PROGRAM on the nodes of a Slurm, PBS, LSF or Grid Engine job, on those of a host file, or on this
machine. A program linked with MPI runs as it is. A serial program linked with fastmap runs once, and all
other ranks compute elements of its maps.

  -n N                  ranks in all (default: the batch job's, else one for each NUMA domain)
  --ranks-per-node N    ranks on each node
  --threads N           threads that compute in each rank (default: they fill the rank's cores)
  --bind HOW            auto, numa, core or none: what a rank is bound to
  --hostfile FILE       nodes, one a line: HOST, HOST:CORES or HOST slots=CORES
  --mpi WHICH           auto, openmpi or mpich
  --launcher WHICH      auto, srun or mpirun
  --serve WHEN          auto, yes or no: whether ranks other than 0 serve instead of running PROGRAM's main
  --recover WHEN        auto, yes or no: go on after the loss of a rank, where the MPI can
  --oversubscribe       in a batch job: more ranks or threads than it has cores
  --explain             say what of PROGRAM travels to workers and what would be refused; run nothing
  --dry-run             print the command; run nothing
  --verbose             say on standard error what was decided, and why
  --help, --version
END
}
