# SPDX-License-Identifier: BSD-3-Clause
# One plugin for each MPI that is installed; they differ in mpi.h and in what they link.

fm_mpi_cflags = $(AM_CFLAGS)
fm_mpi_ldflags = $(AM_LDFLAGS) -module -avoid-version -shared -no-undefined \
    -Wl,--version-script=$(top_srcdir)/lib/tier/mpi/plugin.map
EXTRA_DIST += lib/tier/mpi/plugin.map

if HAVE_OPENMPI
pkglib_LTLIBRARIES += fastmap-openmpi.la
fastmap_openmpi_la_SOURCES = lib/tier/mpi/bell.c lib/tier/mpi/bell.h lib/tier/mpi/mpi.c \
    lib/tier/ranks.h
fastmap_openmpi_la_CFLAGS = $(fm_mpi_cflags) $(OMPI_CFLAGS)
fastmap_openmpi_la_LDFLAGS = $(fm_mpi_ldflags)
fastmap_openmpi_la_LIBADD = $(OMPI_LIBS)
endif
if HAVE_MPICH
pkglib_LTLIBRARIES += fastmap-mpich.la
fastmap_mpich_la_SOURCES = lib/tier/mpi/bell.c lib/tier/mpi/bell.h lib/tier/mpi/mpi.c \
    lib/tier/ranks.h
fastmap_mpich_la_CFLAGS = $(fm_mpi_cflags) $(MPICH_CFLAGS)
fastmap_mpich_la_LDFLAGS = $(fm_mpi_ldflags)
fastmap_mpich_la_LIBADD = $(MPICH_LIBS)
endif
