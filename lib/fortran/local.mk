# SPDX-License-Identifier: BSD-3-Clause
# The C side of the Fortran module, where there is a Fortran compiler whose descriptors it can
# read. The module itself is installed as source.

if HAVE_FORTRAN
fm_sources += lib/fortran/array.c lib/fortran/array.h lib/fortran/map.c
fortrandir = $(includedir)
dist_fortran_DATA = include/fastmap.f90
endif
