dnl SPDX-License-Identifier: BSD-3-Clause
dnl What talking to the service and being one needs.

dnl Digests of programs, signatures, certificates.
AC_DEFUN([FM_CHECK_OPENSSL], [
PKG_CHECK_MODULES([OPENSSL], [libcrypto >= 3.0], [fm_openssl=yes], [fm_openssl=no])
AM_CONDITIONAL([HAVE_OPENSSL], [test "x$fm_openssl" = xyes])
AM_COND_IF([HAVE_OPENSSL], [FM_FOUND([OpenSSL], [`$PKG_CONFIG --modversion libcrypto`])],
    [FM_PROMISE_BROKEN([OpenSSL], [travelling programs, the cloud and its service], [libssl-dev])])
])
