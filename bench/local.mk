# SPDX-License-Identifier: BSD-3-Clause
# The measurements: `make bench` builds them, runs them in turn and prints the tables. Not part of `make`.
#   make bench BENCH_FLAGS=           the usual grid instead of the quick one (README.md: how long)
#   make bench BENCH_FLAGS=--full     all that is in it
# A runtime that configure did not find is left out: its file is replaced by one with an empty list.

BENCH_FLAGS = --quick


EXTRA_LTLIBRARIES = bench/libbench.la
bench_libbench_la_SOURCES = bench/cell.c bench/cell.h bench/clock.h bench/measure.c bench/measure.h \
    bench/random.h bench/runners.c bench/runners.h bench/stats.c bench/stats.h bench/work.c bench/work.h

if HAVE_TBB
EXTRA_LTLIBRARIES += bench/libbench_tbb.la
bench_libbench_tbb_la_SOURCES = bench/tbb.cpp
bench_libbench_tbb_la_CXXFLAGS = $(AM_CXXFLAGS) $(TBB_CFLAGS)
bench_tbb = bench/libbench_tbb.la $(TBB_LIBS) -lstdc++
else
bench_tbb = bench/libbench_tbb_none.la
endif
EXTRA_LTLIBRARIES += bench/libbench_tbb_none.la
bench_libbench_tbb_none_la_SOURCES = bench/tbb_none.c

if HAVE_OPENMP
EXTRA_LTLIBRARIES += bench/libbench_openmp.la
bench_libbench_openmp_la_SOURCES = bench/openmp.c
bench_libbench_openmp_la_CPPFLAGS = $(AM_CPPFLAGS) -DBENCH_OPENMP_NAME='"gomp"'
bench_libbench_openmp_la_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
bench_openmp = bench/libbench_openmp.la
else
EXTRA_LTLIBRARIES += bench/libbench_openmp_none.la
bench_libbench_openmp_none_la_SOURCES = bench/openmp_none.c
bench_openmp = bench/libbench_openmp_none.la
endif
EXTRA_DIST += bench/README.md

bench_ldflags = $(AM_LDFLAGS) $(OPENMP_CFLAGS) -no-install
bench_ldadd = bench/libbench.la $(bench_openmp) $(bench_tbb) libfastmap.la -lm

bench_grid = bench/local.c bench/report.c bench/report.h bench/summary.c
bench_programs = bench/local bench/metg bench/overhead bench/startup bench/start_plain \
    bench/start_linked

bench_local_SOURCES = $(bench_grid)
bench_local_LDADD = $(bench_ldadd)
bench_local_LDFLAGS = $(bench_ldflags)

bench_metg_SOURCES = bench/metg.c
bench_metg_LDADD = $(bench_ldadd)
bench_metg_LDFLAGS = $(bench_ldflags)

bench_overhead_SOURCES = bench/overhead.c bench/meeting.h
bench_overhead_LDADD = $(bench_ldadd)
bench_overhead_LDFLAGS = $(bench_ldflags)

bench_startup_SOURCES = bench/startup.c
bench_startup_LDADD = bench/libbench.la -lm
bench_startup_LDFLAGS = $(AM_LDFLAGS) -no-install

bench_start_plain_SOURCES = bench/start_plain.c
bench_start_plain_LDADD =

bench_start_linked_SOURCES = bench/start_linked.c bench/meeting.h
bench_start_linked_LDADD = libfastmap.la
bench_start_linked_LDFLAGS = $(AM_LDFLAGS) -no-install

# LLVM's OpenMP: the same source, but one file and the link are clang's. oneTBB is measured beside libgomp.
if HAVE_LIBOMP
bench_programs += bench/local-libomp
EXTRA_PROGRAMS += bench/local-libomp
endif
bench_local_libomp_SOURCES = $(bench_grid)
bench_local_libomp_LDADD = bench/libbench.la bench/openmp-libomp.$(OBJEXT) bench/libbench_tbb_none.la \
    libfastmap.la -lm
bench_local_libomp_LINK = $(LIBTOOL) $(AM_V_lt) --tag=CC --mode=link $(CLANG) -fopenmp $(AM_LDFLAGS) \
    $(LDFLAGS) -no-install -o $@

bench/openmp-libomp.$(OBJEXT): bench/openmp.c bench/runners.h include/fastmap.h
	@$(MKDIR_P) bench
	$(AM_V_CC)$(CLANG) -std=c11 -fopenmp $(AM_CPPFLAGS) $(CPPFLAGS) -DBENCH_OPENMP_NAME='"libomp"' \
	    $(CFLAGS) -c -o $@ `test -f bench/openmp.c || echo '$(srcdir)/'`bench/openmp.c

# What travels needs OpenSSL.
if HAVE_OPENSSL
bench_programs += bench/program
EXTRA_PROGRAMS += bench/program
endif
bench_program_SOURCES = bench/program.c bench/shim.h
bench_program_LDADD = bench/libbench.la libfastmap.la libfastmap-program.la libfastmap-internal.la -lm
bench_program_LDFLAGS = $(AM_LDFLAGS) -no-install

bench_programs += bench/process
EXTRA_PROGRAMS += bench/process
bench_process_SOURCES = bench/process.c
bench_process_LDADD = bench/libbench.la libfastmap.la -lm
bench_process_LDFLAGS = $(AM_LDFLAGS) -no-install
if HAVE_OPENMPI
bench_programs += bench/process_mpi
EXTRA_PROGRAMS += bench/process_mpi
endif
bench_process_mpi_SOURCES = bench/process.c
bench_process_mpi_CFLAGS = $(AM_CFLAGS) $(OMPI_CFLAGS)
bench_process_mpi_LDADD = bench/libbench.la libfastmap.la -lm $(OMPI_LIBS)
bench_process_mpi_LDFLAGS = $(AM_LDFLAGS) -no-install -Wl,--no-as-needed

# The sandbox of the service.
if HAVE_SERVICE
bench_programs += bench/caged
EXTRA_PROGRAMS += bench/caged
endif
bench_caged_SOURCES = bench/caged.c bench/shim.h
bench_caged_LDADD = bench/libbench.la libfastmap.la libfastmapd-pool.la libfastmap-internal.la -lm
bench_caged_LDFLAGS = $(AM_LDFLAGS) -no-install

# The service itself, against nginx; bench/service.sh starts both. A test uses the client, too.
if HAVE_SERVICE
bench_programs += bench/service
EXTRA_PROGRAMS += bench/service
endif
bench_service_SOURCES = bench/service.c bench/service_client.c bench/service_client.h
bench_service_LDADD = libfastmap.la libfastmap-service.la libfastmap-program.la libfastmap-internal.la -lssl -lm
bench_service_LDFLAGS = $(AM_LDFLAGS) -no-install -Wl,--no-as-needed
EXTRA_DIST += bench/service.sh

# The cloud behind a link of stated delay and bandwidth; bench/adaptive.sh starts the service.
if HAVE_SERVICE
EXTRA_PROGRAMS += bench/adaptive bench/faults
endif
bench_adaptive_SOURCES = bench/adaptive.c bench/clock.h bench/optimum.c bench/optimum.h bench/random.h bench/shape.c \
    bench/shape.h
bench_adaptive_LDADD = libfastmap.la -lm
bench_adaptive_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_faults_SOURCES = bench/faults.c bench/clock.h bench/shape.c bench/shape.h
bench_faults_LDADD = libfastmap.la -lm
bench_faults_LDFLAGS = $(AM_LDFLAGS) -no-install
EXTRA_DIST += bench/adaptive.sh bench/adaptive.awk

# Thousands of ranks in simulated time.
EXTRA_PROGRAMS += bench/simulate
bench_simulate_SOURCES = bench/simulate.c bench/random.h bench/simulate.h bench/simulate_events.c bench/simulate_peers.c \
    bench/simulate_ranks.c bench/simulate_steal.c bench/simulate_work.c
bench_simulate_LDADD = libfastmap-internal.la -lm

# Ranks of an MPI job; bench/mpi.sh launches it.
EXTRA_DIST += bench/mpi.sh bench/mpi_futures.py
if HAVE_OPENMPI
EXTRA_PROGRAMS += bench/mpi bench/mpi_small
bench_programs += bench/mpi
endif
bench_mpi_small_SOURCES = bench/mpi_small.c
bench_mpi_small_CFLAGS = $(AM_CFLAGS) $(OMPI_CFLAGS)
bench_mpi_small_LDADD = bench/libbench.la libfastmap.la -lm $(OMPI_LIBS)
bench_mpi_small_LDFLAGS = $(AM_LDFLAGS) -no-install
bench_mpi_SOURCES = bench/mpi.c bench/mpi_job.h bench/mpi_master.c bench/mpi_peers.c bench/mpi_work.c
bench_mpi_CFLAGS = $(AM_CFLAGS) $(OMPI_CFLAGS)
bench_mpi_LDADD = bench/libbench.la libfastmap.la -lm $(OMPI_LIBS)
bench_mpi_LDFLAGS = $(AM_LDFLAGS) -no-install

EXTRA_PROGRAMS += bench/local bench/metg bench/overhead bench/startup bench/start_plain \
    bench/start_linked
CLEANFILES += $(EXTRA_PROGRAMS) $(EXTRA_LTLIBRARIES) bench/openmp-libomp.$(OBJEXT)

bench: $(bench_programs)
	bench/overhead
	bench/startup
	bench/process
if HAVE_OPENMPI
	bench/process_mpi start
endif
if HAVE_OPENSSL
	bench/program
endif
if HAVE_SERVICE
	bench/caged
endif
	bench/metg
	bench/local $(BENCH_FLAGS)
if HAVE_LIBOMP
	bench/local-libomp $(BENCH_FLAGS)
else
	@echo "LLVM's OpenMP left out: configure found no clang with libomp"
endif
if HAVE_OPENMPI
	$(SHELL) $(top_srcdir)/bench/mpi.sh --short
else
	@echo "ranks left out: configure found no Open MPI"
endif
