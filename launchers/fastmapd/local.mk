# SPDX-License-Identifier: BSD-3-Clause
# The service. All but main() is a library, so that tests drive its parts.
if HAVE_SERVICE
noinst_LTLIBRARIES += libfastmapd.la
libfastmapd_la_SOURCES = \
	launchers/fastmapd/certificate.c launchers/fastmapd/certificate.h \
	launchers/fastmapd/command.c launchers/fastmapd/command.h \
	launchers/fastmapd/config.c launchers/fastmapd/config.h \
	launchers/fastmapd/config_table.c launchers/fastmapd/config_table.h \
	launchers/fastmapd/ledger.c launchers/fastmapd/ledger.h launchers/fastmapd/ledger_inside.h \
	launchers/fastmapd/ledger_accounts.c launchers/fastmapd/ledger_audit.c launchers/fastmapd/ledger_maps.c \
	launchers/fastmapd/log.c launchers/fastmapd/log.h \
	launchers/fastmapd/metrics.c launchers/fastmapd/metrics.h \
	launchers/fastmapd/money.c launchers/fastmapd/money.h \
	launchers/fastmapd/paths.c launchers/fastmapd/paths.h \
	launchers/fastmapd/seal.c launchers/fastmapd/seal.h \
	launchers/fastmapd/sql.c launchers/fastmapd/sql.h \
	launchers/fastmapd/state.c launchers/fastmapd/state.h \
	launchers/fastmapd/text.c launchers/fastmapd/text.h
libfastmapd_la_CPPFLAGS = $(AM_CPPFLAGS) -DFMD_VERSION='"$(PACKAGE_VERSION)"'
libfastmapd_la_CFLAGS = $(AM_CFLAGS) $(SERVICE_CFLAGS) $(OPENSSL_CFLAGS) -pthread
libfastmapd_la_LIBADD = libfastmap-service.la libfastmap-internal.la $(SERVICE_LIBS) $(OPENSSL_LIBS) -lpthread
endif
