# SPDX-License-Identifier: BSD-3-Clause
# Fuzz targets, replayed on their corpus by make check. Each target's source says how to fuzz with it.

internal_tests += tests/fuzz/test_fuzz_replay
tests_fuzz_test_fuzz_replay_SOURCES = tests/fuzz/test_fuzz_replay.c tests/fuzz/fuzz_settings.c
tests_fuzz_test_fuzz_replay_LDADD = $(test_internal)
EXTRA_DIST += tests/fuzz/corpus
