# SPDX-License-Identifier: BSD-3-Clause
# The service. All but main() is a library, so that tests drive its parts; store and pool are another
# (pool.mk), so that tests put others in their places.
if HAVE_SERVICE
noinst_LTLIBRARIES += libfastmapd.la
libfastmapd_la_SOURCES = \
	launchers/fastmapd/answer.c launchers/fastmapd/answer.h \
	launchers/fastmapd/attempts.c launchers/fastmapd/attempts.h launchers/fastmapd/body.c \
	launchers/fastmapd/calls.h launchers/fastmapd/calls_account.c launchers/fastmapd/calls_blobs.c \
	launchers/fastmapd/calls_maps.c launchers/fastmapd/calls_spans.c \
	launchers/fastmapd/certificate.c launchers/fastmapd/certificate.h \
	launchers/fastmapd/clock.c launchers/fastmapd/clock.h \
	launchers/fastmapd/command.c launchers/fastmapd/command.h \
	launchers/fastmapd/config.c launchers/fastmapd/config.h \
	launchers/fastmapd/config_table.c launchers/fastmapd/config_table.h \
	launchers/fastmapd/control.c launchers/fastmapd/control.h \
	launchers/fastmapd/cpu.c launchers/fastmapd/cpu.h \
	launchers/fastmapd/deal.c launchers/fastmapd/deal.h \
	launchers/fastmapd/ledger.c launchers/fastmapd/ledger.h launchers/fastmapd/ledger_inside.h \
	launchers/fastmapd/ledger_accounts.c launchers/fastmapd/ledger_audit.c launchers/fastmapd/ledger_hosts.c \
	launchers/fastmapd/ledger_maps.c launchers/fastmapd/ledger_schema.c launchers/fastmapd/ledger_vcpus.c \
	launchers/fastmapd/lease.c launchers/fastmapd/lease.h \
	launchers/fastmapd/log.c launchers/fastmapd/log.h \
	launchers/fastmapd/maps.c launchers/fastmapd/maps.h \
	launchers/fastmapd/metrics.c launchers/fastmapd/metrics.h \
	launchers/fastmapd/money.c launchers/fastmapd/money.h \
	launchers/fastmapd/packing.c launchers/fastmapd/packing.h \
	launchers/fastmapd/paths.c launchers/fastmapd/paths.h \
	launchers/fastmapd/replay.c launchers/fastmapd/replay.h \
	launchers/fastmapd/request.c launchers/fastmapd/request.h \
	launchers/fastmapd/routes.c \
	launchers/fastmapd/seal.c launchers/fastmapd/seal.h \
	launchers/fastmapd/serve.c \
	launchers/fastmapd/server.c launchers/fastmapd/server.h launchers/fastmapd/service.h \
	launchers/fastmapd/span_run.c launchers/fastmapd/span_run.h \
	launchers/fastmapd/spans.c launchers/fastmapd/spans.h \
	launchers/fastmapd/sql.c launchers/fastmapd/sql.h launchers/fastmapd/sql_inside.h \
	launchers/fastmapd/sql_sqlite.c \
	launchers/fastmapd/state.c launchers/fastmapd/state.h \
	launchers/fastmapd/target.c launchers/fastmapd/target.h \
	launchers/fastmapd/terms.c launchers/fastmapd/terms.h \
	launchers/fastmapd/text.c launchers/fastmapd/text.h \
	launchers/fastmapd/tokens.c launchers/fastmapd/tokens.h \
	launchers/fastmapd/watch.c launchers/fastmapd/watch.h
if HAVE_LIBPQ
libfastmapd_la_SOURCES += launchers/fastmapd/sql_postgres.c
else
libfastmapd_la_SOURCES += launchers/fastmapd/sql_no_postgres.c
endif
libfastmapd_la_CPPFLAGS = $(AM_CPPFLAGS) -DFMD_VERSION='"$(PACKAGE_VERSION)"'
libfastmapd_la_CFLAGS = $(AM_CFLAGS) $(SERVICE_CFLAGS) $(LIBPQ_CFLAGS) $(OPENSSL_CFLAGS) -pthread
libfastmapd_la_LIBADD = libfastmap-service.la libfastmap-internal.la $(SERVICE_LIBS) $(LIBPQ_LIBS) $(OPENSSL_LIBS) -lpthread

# Of the library's own parts it has only some, and hwloc is not among what they need.
fastmapd_ldflags = $(AM_LDFLAGS) -Wl,--as-needed

sbin_PROGRAMS += fastmapd
fastmapd_SOURCES = launchers/fastmapd/main.c
fastmapd_CPPFLAGS = $(libfastmapd_la_CPPFLAGS)
fastmapd_LDADD = libfastmapd.la libfastmapd-pool.la libfastmap-internal.la
fastmapd_LDFLAGS = $(fastmapd_ldflags)

# To be copied and changed.
deploydir = $(docdir)/deploy
dist_deploy_DATA = launchers/fastmapd/deploy/haproxy.cfg launchers/fastmapd/deploy/nginx.conf
nodist_deploy_DATA = launchers/fastmapd/deploy/fastmapd.service
CLEANFILES += launchers/fastmapd/deploy/fastmapd.service
launchers/fastmapd/deploy/fastmapd.service: launchers/fastmapd/deploy/fastmapd.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) launchers/fastmapd/deploy && sed 's|@''sbindir@|$(sbindir)|' $(srcdir)/launchers/fastmapd/deploy/fastmapd.service.in >$@
endif
EXTRA_DIST += launchers/fastmapd/deploy/fastmapd.service.in
