# SPDX-License-Identifier: BSD-3-Clause
# Tests of the store, the pool and the sandbox, with what runs inside: built without sanitizers, which need more
# memory than a worker may have, and without libfastmap.
pool_tests = tests/fastmapd/test_attacks tests/fastmapd/test_pool tests/fastmapd/test_store
pool_prisoners = tests/fastmapd/prisoner
test_pool = libtest.la libfastmapd-pool.la libfastmap-internal.la
cage = tests/fastmapd/cage.c tests/fastmapd/cage.h

tests_fastmapd_test_attacks_SOURCES = tests/fastmapd/test_attacks.c $(cage)
tests_fastmapd_test_attacks_LDADD = $(test_pool)
tests_fastmapd_test_pool_SOURCES = tests/fastmapd/test_pool.c $(cage)
tests_fastmapd_test_pool_LDADD = $(test_pool)
tests_fastmapd_test_store_LDADD = $(test_pool)

tests_fastmapd_prisoner_SOURCES = tests/fastmapd/prisoner.c tests/fastmapd/prisoner.h tests/fastmapd/attacks.c \
	lib/program/channel.c lib/wire/worker.c
tests_fastmapd_prisoner_CFLAGS = -std=c11 $(WARNINGS_CFLAGS) -O1 -fno-sanitize=all
tests_fastmapd_prisoner_LDFLAGS = -no-install -Wl,--export-dynamic-symbol=fastmap_serve
tests_fastmapd_prisoner_LDADD = -lpthread

# An ordinary program with the shared library.
pool_tests += tests/fastmapd/test_caged
pool_prisoners += tests/fastmapd/honest
tests_fastmapd_test_caged_SOURCES = tests/fastmapd/test_caged.c $(cage)
tests_fastmapd_test_caged_LDADD = $(test_pool)
tests_fastmapd_honest_LDFLAGS = $(AM_LDFLAGS) -no-install
tests_fastmapd_honest_LDADD = libfastmap.la

pool_tests += tests/fastmapd/test_landlock
tests_fastmapd_test_landlock_SOURCES = tests/fastmapd/test_landlock.c $(cage)
tests_fastmapd_test_landlock_LDADD = $(test_pool)
