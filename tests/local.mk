# SPDX-License-Identifier: BSD-3-Clause
# The tests. To add one, append its name to the list that fits, and say what it links:
#   C tests are tests/NAME.c on test.h. Those of the public interface link what users link (test_public),
#   those of internals the library without its version script (test_internal).
#   Shell tests are tests/NAME.sh on tap.sh. Those that look at what is installed are left out of
#   check-san and check-tsan.

c_tests = tests/test_base tests/test_settings tests/test_wire_worker tests/test_worker $(fuzz_tests) \
    tests/test_sched tests/test_ranks tests/test_topology tests/test_map tests/test_local tests/test_stress \
    tests/test_process tests/test_progress tests/test_align tests/test_cloud_rank tests/test_question \
    tests/test_module
fuzz_tests = tests/fuzz/test_fuzz_settings tests/fuzz/test_fuzz_worker
fortran_tests = tests/test_fortran
# Of fastmapd, on its parts.
service_tests = tests/fastmapd/test_ledger tests/fastmapd/test_parts tests/fuzz/test_fuzz_target \
    tests/fuzz/test_fuzz_terms tests/fuzz/test_fuzz_daemon
service_scripts = tests/fastmapd/daemon.sh tests/fastmapd/hostile.sh tests/fastmapd/protocol.sh \
    tests/fastmapd/ledger_postgres.sh tests/fastmapd/balancer.sh tests/fastmapd/packed.sh \
    tests/fastmapd/clock.sh
shell_tests = tests/examples.sh tests/mpi.sh tests/launch.sh tests/slurm.sh
installed_tests = tests/exports.sh tests/install.sh tests/worker.sh tests/program.sh
lint_quick = tests/lint/layers.sh tests/lint/headers.sh tests/lint/paths.sh
lint_tests = $(lint_quick) tests/lint/shellcheck.sh tests/lint/format.sh tests/lint/cppcheck.sh \
    tests/lint/tidy.sh

test_public = libtest.la libfastmap.la
test_internal = libtest.la libfastmap-internal.la
test_service = libtest.la libfastmapd.la
include tests/fastmapd/pool.mk

tests_test_base_LDADD = $(test_internal)
tests_test_settings_LDADD = $(test_internal)
# It fails one allocation after the other.
tests_test_settings_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc
tests_fastmapd_test_ledger_SOURCES = tests/fastmapd/test_ledger.c tests/fastmapd/cutter.c tests/fastmapd/cutter.h
tests_fastmapd_test_ledger_LDADD = $(test_service)
tests_fastmapd_test_parts_LDADD = $(test_service)
tests_fuzz_test_fuzz_target_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_target.c
tests_fuzz_test_fuzz_target_LDADD = $(test_service)
tests_fuzz_test_fuzz_terms_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_terms.c
tests_fuzz_test_fuzz_terms_LDADD = $(test_service)
tests_fuzz_test_fuzz_daemon_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_daemon.c
tests_fuzz_test_fuzz_daemon_LDADD = $(test_service)
# The daemon over a pool and a store that do as the tests say.
tests_fastmapd_fastmapd_fake_SOURCES = launchers/fastmapd/main.c tests/fastmapd/fake_pool.c tests/fastmapd/fake_store.c
tests_fastmapd_fastmapd_fake_CPPFLAGS = $(AM_CPPFLAGS) -DFMD_VERSION='"$(PACKAGE_VERSION)"'
tests_fastmapd_fastmapd_fake_LDADD = libfastmapd.la
tests_fastmapd_fastmapd_fake_LDFLAGS = $(fastmapd_ldflags)
tests_test_topology_LDADD = $(test_internal) -lm
tests_test_topology_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=calloc
tests_test_wire_worker_LDADD = $(test_internal)
tests_test_worker_LDADD = $(test_internal)
# A fuzz target is tests/fuzz/fuzz_NAME.c; the test runs it on its corpus.
fuzz_replay = tests/fuzz/test_fuzz_replay.c tests/fuzz/fuzz.h
tests_fuzz_test_fuzz_settings_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_settings.c
tests_fuzz_test_fuzz_settings_LDADD = $(test_internal)
tests_fuzz_test_fuzz_worker_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_worker.c
tests_fuzz_test_fuzz_worker_LDADD = $(test_internal)
tests_test_sched_LDADD = $(test_internal) -lm
tests_test_ranks_LDADD = $(test_internal)
tests_test_map_LDADD = $(test_public) -lm
tests_test_local_LDADD = $(test_internal)
tests_test_local_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pthread_create,--wrap=calloc,--wrap=aligned_alloc
tests_test_stress_LDADD = $(test_public) -lm
tests_test_process_LDADD = $(test_public) -lm
tests_test_cloud_rank_SOURCES = tests/test_cloud_rank.c tests/stand_in_cloud.c tests/stand_in_cloud.h
tests_test_cloud_rank_LDADD = $(test_internal)
tests_test_question_LDADD = $(test_internal)
tests_test_progress_LDADD = $(test_internal)
tests_test_align_SOURCES = tests/test_align.c $(align_parts)
tests_test_align_LDADD = $(test_public) -lm
EXTRA_DIST += tests/fuzz/corpus
tests_test_module_LDADD = $(test_internal)

# A contained procedure as the function makes gfortran put code on the stack.
tests_test_fortran_LDFLAGS = $(AM_LDFLAGS) -Wl,-z,execstack
tests_test_fortran_SOURCES = include/fastmap.f90 tests/fortran_elements.f90 tests/test_fortran.f90
# A compiled module must be there before it is used.
tests/fortran_elements.$(OBJEXT): include/fastmap.$(OBJEXT)
tests/test_fortran.$(OBJEXT): include/fastmap.$(OBJEXT) tests/fortran_elements.$(OBJEXT)

# A plugin: -rpath makes libtool build the shared object, which is never installed.
check_LTLIBRARIES += tests/plugin.la tests/clock_shim.la
tests_clock_shim_la_SOURCES = tests/fastmapd/clock_shim.c
tests_clock_shim_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nonexistent
tests_plugin_la_SOURCES = tests/plugin.c
tests_plugin_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nonexistent

TESTS = $(shell_tests)
if HAVE_CUNIT
check_LTLIBRARIES += libtest.la
check_PROGRAMS += $(c_tests)
TESTS += $(c_tests)
if HAVE_SERVICE
check_PROGRAMS += $(service_tests) tests/fastmapd/fastmapd_fake
TESTS += $(service_tests)
check_PROGRAMS += $(pool_tests) $(pool_prisoners)
TESTS += $(pool_tests)
TESTS += $(service_scripts)
endif
if HAVE_OPENSSL
shared_tests = tests/test_press tests/test_service tests/fuzz/test_fuzz_coding tests/fuzz/test_fuzz_service
check_PROGRAMS += $(shared_tests)
TESTS += $(shared_tests)
tests_fuzz_test_fuzz_coding_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_coding.c
tests_fuzz_test_fuzz_coding_LDADD = libtest.la libfastmap-service.la
tests_test_press_LDADD = libtest.la libfastmap-service.la
tests_fuzz_test_fuzz_service_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_service.c
tests_fuzz_test_fuzz_service_LDADD = libtest.la libfastmap-service.la
tests_test_service_LDADD = libtest.la libfastmap-service.la
endif
endif
check_PROGRAMS += tests/mpi_plain tests/mpi_serve tests/launch_serial
tests_mpi_plain_SOURCES = tests/mpi_plain.c tests/mpi_ranks.c tests/mpi_ranks.h
mpi_levels_sources = tests/mpi_levels.c tests/mpi_ranks.c tests/mpi_ranks.h
if HAVE_OPENMPI
check_PROGRAMS += tests/mpi_levels_openmpi
tests_mpi_levels_openmpi_SOURCES = $(mpi_levels_sources)
tests_mpi_levels_openmpi_CFLAGS = $(AM_CFLAGS) $(OMPI_CFLAGS)
tests_mpi_levels_openmpi_LDADD = libfastmap.la $(OMPI_LIBS)
endif
if HAVE_MPICH
check_PROGRAMS += tests/mpi_levels_mpich
tests_mpi_levels_mpich_SOURCES = $(mpi_levels_sources)
tests_mpi_levels_mpich_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
tests_mpi_levels_mpich_LDADD = libfastmap.la $(MPICH_LIBS)
endif
if HAVE_OPENSSL
# As users link it, and the inside beside it.
program_tests = tests/test_program
check_PROGRAMS += tests/program_host
tests_program_host_LDADD = libfastmap-internal.la
tests_test_program_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fstat
tests_test_program_LDADD = libtest.la libfastmap.la libfastmap-program.la libfastmap-internal.la
program_tests += tests/fuzz/test_fuzz_manifest tests/fuzz/test_fuzz_elf
tests_fuzz_test_fuzz_manifest_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_manifest.c
tests_fuzz_test_fuzz_manifest_LDADD = libtest.la libfastmap-program.la libfastmap-internal.la
tests_fuzz_test_fuzz_elf_SOURCES = $(fuzz_replay) tests/fuzz/fuzz_elf.c
tests_fuzz_test_fuzz_elf_LDADD = libtest.la libfastmap-program.la libfastmap-internal.la
if HAVE_CUNIT
check_PROGRAMS += $(program_tests)
TESTS += $(program_tests)
endif
endif
if HAVE_CLOUD_TEST
# The plugin as it ships, against a service of its own that fails on demand.
tests_test_cloud_SOURCES = tests/test_cloud.c tests/cloud_service.c tests/cloud_service.h
tests_test_cloud_CFLAGS = $(AM_CFLAGS) $(LIBSSL_CFLAGS) $(CLOUD_CFLAGS) -pthread
tests_test_cloud_LDADD = $(test_public) libfastmap-service.la $(LIBSSL_LIBS) $(CLOUD_LIBS) $(OPENSSL_LIBS)
if HAVE_CUNIT
tests_test_cloud_packed_SOURCES = tests/test_cloud_packed.c tests/cloud_service.c tests/cloud_service.h
tests_test_cloud_packed_CFLAGS = $(tests_test_cloud_CFLAGS)
tests_test_cloud_packed_LDADD = $(tests_test_cloud_LDADD)
check_PROGRAMS += tests/test_cloud tests/test_cloud_packed
TESTS += tests/test_cloud tests/test_cloud_packed
endif
endif
if HAVE_FORTRAN
if HAVE_OPENMPI_FORT
check_PROGRAMS += tests/mpi_fortran
tests_mpi_fortran_SOURCES = include/fastmap.f90 tests/mpi_fortran.f90
tests_mpi_fortran_LDADD = libfastmap.la $(OMPI_FORT_LIBS)
# Not as flags of the program: the module would be compiled for it alone, beside itself.
tests/mpi_fortran.$(OBJEXT): AM_FCFLAGS += $(OMPI_FORT_CFLAGS)
tests/mpi_fortran.$(OBJEXT): include/fastmap.$(OBJEXT)
endif
check_PROGRAMS += $(fortran_tests)
TESTS += $(fortran_tests)
endif
if HAVE_SERVICE
if !SANITIZED
# The client of the measurements is the program that travels.
check_PROGRAMS += bench/service
TESTS += tests/fastmapd/load.sh tests/fastmapd/unit.sh
if HAVE_CLOUD
check_PROGRAMS += tests/cloud_map
TESTS += tests/cloud.sh tests/cloud_again.sh tests/cloud_vcpus.sh tests/fastmapd/vcpus.sh tests/fastmapd/growth.sh
endif
endif
endif
EXTRA_DIST += tests/fastmapd/load.sh tests/fastmapd/unit.sh tests/cloud.sh tests/cloud_again.sh tests/cloud_vcpus.sh tests/fastmapd/vcpus.sh \
    tests/fastmapd/growth.sh tests/fastmapd/balancer_tap.sh
tests_cloud_map_LDFLAGS = $(AM_LDFLAGS) -no-install
if !SANITIZED
TESTS += $(installed_tests) $(lint_quick)
endif

libtest_la_SOURCES = tests/test.c tests/test.h tests/session.h
libtest_la_CFLAGS = $(AM_CFLAGS) $(CUNIT_CFLAGS) -pthread
libtest_la_LIBADD = $(CUNIT_LIBS) -lpthread

EXTRA_DIST += tests/worker/plugin.c tests/worker/program.c tests/worker/program.cpp tests/worker/program.f90
EXTRA_DIST += tests/fastmapd/daemon_tap.sh tests/fastmapd/postgres_tap.sh $(service_scripts)
EXTRA_DIST += tests/tap.sh tests/nodes.sh tests/count.sh tests/tsan.supp $(shell_tests) $(installed_tests) $(lint_tests)

# ---- The harness -------------------------------------------------------------------------------------

tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
TEST_EXTENSIONS = .sh
SH_LOG_DRIVER = $(tap_driver)
SH_LOG_COMPILER = $(SHELL)

# A test sees this build and no settings of the user's. halt_on_error and the like: the first finding of
# a sanitizer ends the program, which the harness counts as an error.
AM_TESTS_ENVIRONMENT = \
    srcdir='$(abs_top_srcdir)'; export srcdir; \
    builddir='$(abs_top_builddir)'; export builddir; \
    version='$(PACKAGE_VERSION)'; export version; \
    CC='$(CC)'; export CC; \
    CXX='$(CXX)'; export CXX; \
    PKG_CONFIG='$(PKG_CONFIG)'; export PKG_CONFIG; \
    HWLOC_CFLAGS='$(HWLOC_CFLAGS)'; export HWLOC_CFLAGS; \
    OMPI_CFLAGS='$(OMPI_CFLAGS)'; export OMPI_CFLAGS; \
    OMPI_LIBS='$(OMPI_LIBS)'; export OMPI_LIBS; \
    FC='$(FC)'; export FC; \
    CLANG_FORMAT='$(CLANG_FORMAT)'; export CLANG_FORMAT; \
    CLANG_TIDY='$(CLANG_TIDY)'; export CLANG_TIDY; \
    CPPCHECK='$(CPPCHECK)'; export CPPCHECK; \
    SHELLCHECK='$(SHELLCHECK)'; export SHELLCHECK; \
    HOME='$(abs_top_builddir)/tests'; export HOME; \
    unset FASTMAP_CONFIG FASTMAP_SECRET FASTMAP_SECRET_FILE FASTMAP_EXEC_POLICY FASTMAP_VERBOSITY \
        FASTMAP_MAX_LOCAL_WORKERS FASTMAP_BIND FASTMAP_PROGRESS FASTMAP_RANKS FASTMAP_WORKERS \
        FASTMAP_VERIFY FASTMAP_CLOUD_URL FASTMAP_CLOUD_CA_FILE FASTMAP_CLOUD_PIN FASTMAP_MAX_CHARGE \
        FASTMAP_MAX_CLOUD_WORKERS FASTMAP_CONFIRM_CHARGES XDG_CONFIG_HOME XDG_CACHE_HOME; \
    TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 die_after_fork=0 \
        suppressions=$(abs_top_srcdir)/tests/tsan.supp $$TSAN_OPTIONS"; \
    export TSAN_OPTIONS; \
    UBSAN_OPTIONS="print_stacktrace=1 $$UBSAN_OPTIONS"; export UBSAN_OPTIONS;
