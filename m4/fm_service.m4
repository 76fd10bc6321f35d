dnl SPDX-License-Identifier: BSD-3-Clause
dnl What talking to the service and being one needs.

dnl Digests of programs, signatures, certificates.
AC_DEFUN([FM_CHECK_OPENSSL], [
PKG_CHECK_MODULES([OPENSSL], [libcrypto >= 3.0], [fm_openssl=yes], [fm_openssl=no])
AM_CONDITIONAL([HAVE_OPENSSL], [test "x$fm_openssl" = xyes])
AM_COND_IF([HAVE_OPENSSL], [FM_FOUND([OpenSSL], [`$PKG_CONFIG --modversion libcrypto`])],
    [FM_PROMISE_BROKEN([OpenSSL], [travelling programs, the cloud and its service], [libssl-dev])])
])

dnl Bodies in fewer bytes, on both sides.
AC_DEFUN([FM_CHECK_ZSTD], [
PKG_CHECK_MODULES([ZSTD], [libzstd >= 1.4.0], [fm_zstd=yes], [fm_zstd=no])
AM_CONDITIONAL([HAVE_ZSTD], [test "x$fm_zstd" = xyes])
AM_COND_IF([HAVE_ZSTD], [FM_FOUND([zstd], [`$PKG_CONFIG --modversion libzstd`])],
    [FM_PROMISE_BROKEN([zstd], [less to send to the cloud and back over slow links], [libzstd-dev])])
])

dnl The client: a plugin beside the library.
AC_DEFUN([FM_CHECK_CLOUD], [
AC_REQUIRE([FM_CHECK_OPENSSL])
PKG_CHECK_MODULES([CLOUD], [libcurl >= 7.68 jansson >= 2.10], [fm_cloud=$fm_openssl], [fm_cloud=no])
AM_CONDITIONAL([HAVE_CLOUD], [test "x$fm_cloud" = xyes])
AM_COND_IF([HAVE_CLOUD], [FM_FOUND([the cloud], [libcurl `$PKG_CONFIG --modversion libcurl`])],
    [FM_PROMISE_BROKEN([the cloud], [the tier that computes in the cloud], [libcurl4-openssl-dev libjansson-dev])])
dnl Its tests have a service of their own.
PKG_CHECK_MODULES([LIBSSL], [libssl >= 3.0], [fm_libssl=$fm_cloud], [fm_libssl=no])
AM_CONDITIONAL([HAVE_CLOUD_TEST], [test "x$fm_libssl" = xyes])
])

dnl fastmapd itself, beside OpenSSL.
AC_DEFUN([FM_CHECK_SERVICE], [
AC_REQUIRE([FM_CHECK_OPENSSL])
PKG_CHECK_MODULES([SERVICE], [libmicrohttpd >= 0.9.71 libseccomp >= 2.5 gnutls >= 3.6 jansson >= 2.10 sqlite3 >= 3.37],
    [fm_service=$fm_openssl], [fm_service=no])
AM_CONDITIONAL([HAVE_SERVICE], [test "x$fm_service" = xyes])
AM_COND_IF([HAVE_SERVICE], [FM_FOUND([fastmapd], [libmicrohttpd `$PKG_CONFIG --modversion libmicrohttpd`])],
    [FM_PROMISE_BROKEN([fastmapd], [the service], [libmicrohttpd-dev libseccomp-dev libgnutls28-dev libjansson-dev libsqlite3-dev])])
dnl A ledger that several hosts share.
PKG_CHECK_MODULES([LIBPQ], [libpq >= 12], [fm_libpq=$fm_service], [fm_libpq=no])
AM_CONDITIONAL([HAVE_LIBPQ], [test "x$fm_libpq" = xyes])
AM_COND_IF([HAVE_LIBPQ], [FM_FOUND([PostgreSQL], [libpq `$PKG_CONFIG --modversion libpq`])],
    [FM_PROMISE_BROKEN([PostgreSQL], [a ledger that several fastmapd share], [libpq-dev])])
])
