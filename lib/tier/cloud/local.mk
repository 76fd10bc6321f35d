# SPDX-License-Identifier: BSD-3-Clause
# The cloud as a plugin of its own: only programs that have a token and something to gain load curl and OpenSSL.
EXTRA_DIST += lib/tier/cloud/plugin.map

if HAVE_CLOUD
pkglib_LTLIBRARIES += fastmap-cloud.la
fastmap_cloud_la_SOURCES = lib/tier/cloud.h lib/tier/cloud/account.c lib/tier/cloud/attempt.c \
    lib/tier/cloud/attempt.h lib/tier/cloud/call.c lib/tier/cloud/call.h lib/tier/cloud/cloud.c \
    lib/tier/cloud/cloud.h lib/tier/cloud/line.c lib/tier/cloud/line.h lib/tier/cloud/map.c \
    lib/tier/cloud/reply.c lib/tier/cloud/reply.h lib/tier/cloud/rules.c lib/tier/cloud/rules.h \
    lib/tier/cloud/say.c lib/tier/cloud/say.h lib/tier/cloud/shared.c lib/tier/cloud/spans.c \
    lib/tier/cloud/terms.c lib/tier/cloud/upload.c lib/tier/cloud/warm.c \
    lib/program/companion.c lib/program/companion.h lib/base/values.c lib/base/values.h
fastmap_cloud_la_CPPFLAGS = $(AM_CPPFLAGS) -DFM_PLUGIN_DIR='"$(pkglibdir)"' -DFM_CLOUD_VERSION='"$(PACKAGE_VERSION)"'
fastmap_cloud_la_CFLAGS = $(AM_CFLAGS) $(CLOUD_CFLAGS) $(OPENSSL_CFLAGS) -pthread -fvisibility=hidden
fastmap_cloud_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -no-undefined \
    -Wl,--version-script=$(top_srcdir)/lib/tier/cloud/plugin.map
fastmap_cloud_la_LIBADD = libfastmap-program.la libfastmap-service.la $(CLOUD_LIBS) $(OPENSSL_LIBS)
endif
