# SPDX-License-Identifier: BSD-3-Clause
# The part of fastmapd that keeps and runs other people's programs. To be named before libfastmapd.la.
if HAVE_SERVICE
noinst_LTLIBRARIES += libfastmapd-pool.la
libfastmapd_pool_la_SOURCES = \
	launchers/fastmapd/cell.c launchers/fastmapd/cell.h launchers/fastmapd/cell_plan.c \
	launchers/fastmapd/deal.c launchers/fastmapd/deal.h \
	launchers/fastmapd/landlock.c launchers/fastmapd/landlock.h \
	launchers/fastmapd/memory.c launchers/fastmapd/memory.h \
	launchers/fastmapd/pool.c launchers/fastmapd/pool.h launchers/fastmapd/pool_inside.h \
	launchers/fastmapd/pool_map.c launchers/fastmapd/pool_span.c launchers/fastmapd/pool_turn.c \
	launchers/fastmapd/pool_end.c launchers/fastmapd/pool_grant.c launchers/fastmapd/pool_talk.c \
	launchers/fastmapd/pool_share.c launchers/fastmapd/pool_worker.c \
	launchers/fastmapd/sandbox.c launchers/fastmapd/sandbox.h launchers/fastmapd/sandbox_kind.c \
	launchers/fastmapd/seccomp.c launchers/fastmapd/seccomp.h \
	launchers/fastmapd/store.c launchers/fastmapd/store.h launchers/fastmapd/store_inside.h \
	launchers/fastmapd/store_old.c launchers/fastmapd/store_parts.c launchers/fastmapd/tree.c
libfastmapd_pool_la_CFLAGS = $(AM_CFLAGS) $(SERVICE_CFLAGS) $(OPENSSL_CFLAGS) -pthread
libfastmapd_pool_la_LIBADD = libfastmap-program.la $(SERVICE_LIBS) $(OPENSSL_LIBS) -lpthread
endif
