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

# The travelling program needs OpenSSL, which libfastmap does not: linked into what sends programs. With what it
# needs of the library, so that a plugin, which sees nothing of that, can have it; sentences are its own there.
if HAVE_OPENSSL
noinst_LTLIBRARIES += libfastmap-program.la
libfastmap_program_la_SOURCES = lib/wire/manifest.c lib/wire/manifest.h lib/wire/bytes.h \
	lib/program/cache.c lib/program/cache.h lib/program/cpu.h lib/program/cpu_hwcap.h lib/program/cpu_x86.h \
	lib/program/digest.c lib/program/digest.h lib/program/elf.c lib/program/elf.h \
	lib/program/files.c lib/program/files.h lib/program/path.c lib/program/process.c lib/program/program.h \
	lib/program/started.c lib/program/started.h \
	lib/program/maps.c lib/program/maps.h lib/program/module.c lib/program/module.h \
	lib/base/error.c lib/base/error.h lib/base/text.c lib/base/text.h
libfastmap_program_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) -pthread -fvisibility=hidden
libfastmap_program_la_LIBADD = $(OPENSSL_LIBS)
endif
