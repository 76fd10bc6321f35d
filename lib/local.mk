# SPDX-License-Identifier: BSD-3-Clause
# The library. Each folder below appends its files to fm_sources; they are compiled once, into a library
# that hides nothing from unit tests; what is installed is the same code behind the version script.

fm_sources = lib/api.c

include lib/base/local.mk
include lib/sched/local.mk
include lib/wire/local.mk
include lib/program/local.mk
include lib/tier/local/local.mk
include lib/tier/process/local.mk
include lib/tier/mpi/local.mk
include lib/tier/cloud/local.mk
include lib/engine/local.mk
include lib/fortran/local.mk
include lib/service/local.mk

include_HEADERS = include/fastmap.h include/fastmap_mpi.h
if HAVE_FORTRAN
# As source: each compiler, and each version of one, has its own format of compiled modules.
include_HEADERS += include/fastmap.f90
endif

# initial-exec: a thread's own variables are one load away, which the added cost of an element needs. The
# library uses a few hundred bytes of them, so that dlopen() still finds room.
noinst_LTLIBRARIES += libfastmap-internal.la
libfastmap_internal_la_SOURCES = $(fm_sources)
libfastmap_internal_la_CPPFLAGS = $(AM_CPPFLAGS) -DFM_PLUGIN_DIR='"$(pkglibdir)"'
libfastmap_internal_la_CFLAGS = $(AM_CFLAGS) $(LOOP_CFLAGS) $(HWLOC_CFLAGS) -pthread \
    -fvisibility=hidden -ftls-model=initial-exec
libfastmap_internal_la_LIBADD = $(HWLOC_LIBS) -lm

# Not unloaded by dlclose(): its threads may be asleep inside.
lib_LTLIBRARIES += libfastmap.la
libfastmap_la_SOURCES =
libfastmap_la_LIBADD = libfastmap-internal.la
libfastmap_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined -pthread \
    -Wl,--version-script=$(top_srcdir)/lib/fastmap.map -Wl,-z,nodelete
EXTRA_libfastmap_la_DEPENDENCIES = lib/fastmap.map
EXTRA_DIST += lib/fastmap.map

pkgconfigdir = $(libdir)/pkgconfig
nodist_pkgconfig_DATA = lib/fastmap.pc
