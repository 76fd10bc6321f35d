# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/program/channel.c lib/program/channel.h lib/program/companion.c lib/program/companion.h lib/program/crash.c lib/program/crash.h \
	lib/program/maps.c lib/program/maps.h lib/program/module.c lib/program/module.h

# What is preloaded into a program to make it a worker: not a part of the library. Without sanitizers, whose
# runtimes start after its constructor.
pkglib_LTLIBRARIES += fastmap-worker.la
fastmap_worker_la_SOURCES = lib/program/shim.c
fastmap_worker_la_CFLAGS = -std=c11 $(WARNINGS_CFLAGS) -fvisibility=hidden -fno-sanitize=all
fastmap_worker_la_LDFLAGS = -module -avoid-version -shared -Wl,-z,initfirst -Wl,-z,now
fastmap_worker_la_LIBADD = -ldl
