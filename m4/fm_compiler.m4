dnl SPDX-License-Identifier: BSD-3-Clause
dnl The C compiler: what it must know, how much it warns, and whether it builds for a sanitizer.

dnl FM_REQUIRE_C11: stops where the compiler lacks C11 or its atomics.
AC_DEFUN([FM_REQUIRE_C11], [
AC_CACHE_CHECK([whether $CC knows C11 with atomics], [fm_cv_c11], [
    fm_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS -std=c11"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdatomic.h>]],
                                    [[_Atomic long n = 0; return (int)atomic_fetch_add(&n, 1);]])],
                   [fm_cv_c11=yes], [fm_cv_c11=no])
    CFLAGS=$fm_saved_cflags
])
AS_IF([test "x$fm_cv_c11" = xno],
      [AC_MSG_ERROR([$CC does not compile C11 with atomics: install gcc 5 or clang 3.6 or newer, or name one by CC=])])
])

dnl FM_REQUIRE_LINUX: the threads sleep on futexes.
AC_DEFUN([FM_REQUIRE_LINUX], [
AC_CHECK_HEADER([linux/futex.h], [],
    [AC_MSG_ERROR([linux/futex.h is missing: fastmap runs on Linux; on Debian install linux-libc-dev])])
])

dnl FM_ADD_FLAG(VARIABLE, FLAG): appends FLAG to VARIABLE where the compiler takes it.
AC_DEFUN([FM_ADD_FLAG], [
AS_VAR_PUSHDEF([fm_taken], [fm_cv_flag_$2])
AC_CACHE_CHECK([whether $CC takes $2], [fm_taken], [
    fm_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([fm_taken], [yes])],
                      [AS_VAR_SET([fm_taken], [no])])
    CFLAGS=$fm_saved_cflags
])
AS_VAR_IF([fm_taken], [yes], [$1="$[]$1 $2"])
AS_VAR_POPDEF([fm_taken])
])

dnl FM_WARNINGS: WARNINGS_CFLAGS, and --enable-werror.
AC_DEFUN([FM_WARNINGS], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make compiler warnings errors])],
              [], [enable_werror=no])
WARNINGS_CFLAGS=
m4_foreach_w([fm_flag],
    [-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
     -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wduplicated-cond
     -Wlogical-op -Wimplicit-fallthrough],
    [FM_ADD_FLAG([WARNINGS_CFLAGS], fm_flag)
])
AS_IF([test "x$enable_werror" = xyes], [WARNINGS_CFLAGS="$WARNINGS_CFLAGS -Werror"])
AC_SUBST([WARNINGS_CFLAGS])
])

dnl FM_ALIGNMENT: LOOP_CFLAGS for the library. The element loop is fast only where it lies within one cache
dnl line; which line a jump target begins in is chance otherwise.
AC_DEFUN([FM_ALIGNMENT], [
LOOP_CFLAGS=
m4_foreach_w([fm_flag], [-falign-functions=64 -falign-loops=64 -falign-jumps=64],
    [FM_ADD_FLAG([LOOP_CFLAGS], fm_flag)
])
AC_SUBST([LOOP_CFLAGS])
])

dnl FM_SANITIZER: --enable-sanitizer=LIST builds everything with -fsanitize=LIST. Tests of what is
dnl installed and exported are left out then, since the library is another one.
AC_DEFUN([FM_SANITIZER], [
AC_ARG_ENABLE([sanitizer],
    [AS_HELP_STRING([--enable-sanitizer=LIST], [build with -fsanitize=LIST, as check-san and check-tsan do])],
    [], [enable_sanitizer=no])
SANITIZER_FLAGS=
AS_IF([test "x$enable_sanitizer" != xno], [
    SANITIZER_FLAGS="-fsanitize=$enable_sanitizer -fno-sanitize-recover=all -fno-omit-frame-pointer"
    fm_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS $SANITIZER_FLAGS"
    AC_MSG_CHECKING([whether $CC builds programs with -fsanitize=$enable_sanitizer])
    AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])
        AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitizer: install its run-time library (gcc: libasan, libubsan, libtsan)])])
    CFLAGS=$fm_saved_cflags
])
AC_SUBST([SANITIZER_FLAGS])
AM_CONDITIONAL([SANITIZED], [test "x$enable_sanitizer" != xno])
])
