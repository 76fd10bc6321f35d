# SPDX-License-Identifier: BSD-3-Clause
# What the client of the service and fastmapd share: tokens, signatures, receipts, packed bodies. Not part of libfastmap,
# which does not need OpenSSL: linked into what talks to the service.
if HAVE_OPENSSL
noinst_LTLIBRARIES += libfastmap-service.la
libfastmap_service_la_SOURCES = lib/service/coding.h lib/service/hex.c lib/service/hex.h lib/service/press.c \
	lib/service/press.h lib/service/receipt.c lib/service/receipt.h lib/service/sign.c lib/service/sign.h \
	lib/service/token.c lib/service/token.h
if HAVE_ZSTD
libfastmap_service_la_SOURCES += lib/service/coding_zstd.c
else
libfastmap_service_la_SOURCES += lib/service/coding_none.c
endif
libfastmap_service_la_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(ZSTD_CFLAGS) -fvisibility=hidden
libfastmap_service_la_LIBADD = $(OPENSSL_LIBS) $(ZSTD_LIBS)
endif
