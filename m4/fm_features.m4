dnl SPDX-License-Identifier: BSD-3-Clause
dnl The libraries and tools around fastmap. hwloc is required; each other FM_CHECK_* sets its conditional,
dnl adds a line to the summary, and, where something is missing, says what is left out and what brings it.

dnl FM_FOUND(NAME, DETAIL) and FM_LEFT_OUT(NAME, WHAT IS LEFT OUT, DEBIAN PACKAGES): lines of the summary.
AC_DEFUN([FM_FOUND], [fm_found="$fm_found
  $1: $2"])
AC_DEFUN([FM_LEFT_OUT], [fm_left_out="$fm_left_out
  $1: $2 (Debian: $3)"])
dnl The same for what --enable-complete promises.
AC_DEFUN([FM_PROMISE_BROKEN], [FM_LEFT_OUT([$1], [$2], [$3])
fm_promises_broken="$fm_promises_broken $3"])

AC_DEFUN([FM_CHECK_HWLOC], [
PKG_CHECK_MODULES([HWLOC], [hwloc >= 2.0],
    [FM_FOUND([hwloc], [`$PKG_CONFIG --modversion hwloc`])],
    [AC_MSG_ERROR([hwloc 2.0 or newer is required and pkg-config does not find its file hwloc.pc:
  on Debian and Ubuntu: apt-get install libhwloc-dev
  elsewhere: set PKG_CONFIG_PATH to the folder that holds hwloc.pc])])
])

dnl Only its header is used, inline: there is nothing to link.
AC_DEFUN([FM_CHECK_XXHASH], [
AC_CHECK_HEADER([xxhash.h], [],
    [AC_MSG_ERROR([xxhash.h is required and not found: on Debian and Ubuntu: apt-get install libxxhash-dev])])
])

dnl Each MPI has its own plugin. The names in pkg-config are those of the two projects, not the system's
dnl choice between them.
AC_DEFUN([FM_CHECK_MPI], [
PKG_CHECK_MODULES([OMPI], [ompi-c], [fm_ompi=yes], [fm_ompi=no])
AM_CONDITIONAL([HAVE_OPENMPI], [test "x$fm_ompi" = xyes])
AM_COND_IF([HAVE_OPENMPI], [FM_FOUND([Open MPI], [`$PKG_CONFIG --modversion ompi-c`])],
    [FM_PROMISE_BROKEN([Open MPI], [the tier of ranks under Open MPI], [libopenmpi-dev openmpi-bin])])
dnl Its Fortran side, for a test.
PKG_CHECK_MODULES([OMPI_FORT], [ompi-fort], [fm_ompi_fort=yes], [fm_ompi_fort=no])
AM_CONDITIONAL([HAVE_OPENMPI_FORT], [test "x$fm_ompi_fort" = xyes])
PKG_CHECK_MODULES([MPICH], [mpich], [fm_mpich=yes], [fm_mpich=no])
AM_CONDITIONAL([HAVE_MPICH], [test "x$fm_mpich" = xyes])
AM_COND_IF([HAVE_MPICH], [FM_FOUND([MPICH], [`$PKG_CONFIG --modversion mpich`])],
    [FM_PROMISE_BROKEN([MPICH], [the tier of ranks under MPICH], [libmpich-dev mpich])])
])

dnl Fortran 2018 descriptors are needed on both sides: in the compiler, and as a header for C.
AC_DEFUN([FM_CHECK_FORTRAN], [
fm_fortran=no
AS_IF([test -n "$FC"], [
    AC_LANG_PUSH([Fortran])
    AC_FC_SRCEXT([f90], [], [:])
    AC_MSG_CHECKING([whether $FC passes type(*), dimension(..) to C])
    AC_LINK_IFELSE([AC_LANG_SOURCE([[
program probe
    use, intrinsic :: iso_c_binding
    implicit none
    interface
        subroutine c_side(x) bind(c, name="abort")
            type(*), dimension(..), intent(in) :: x
        end subroutine
    end interface
    real :: x(2)
    x = 0
    if (x(1) > 1) call c_side(x)
end program
]])], [fm_fortran=yes])
    AC_MSG_RESULT([$fm_fortran])
    AC_LANG_POP([Fortran])
])
AS_IF([test "x$fm_fortran" = xyes],
      [AC_CHECK_HEADER([ISO_Fortran_binding.h], [], [fm_fortran=no])])
AM_CONDITIONAL([HAVE_FORTRAN], [test "x$fm_fortran" = xyes])
AM_COND_IF([HAVE_FORTRAN], [FM_FOUND([Fortran], [$FC])],
    [FM_PROMISE_BROKEN([Fortran], [the module fastmap, its test and example], [gfortran])])
])

AC_DEFUN([FM_CHECK_CUNIT], [
PKG_CHECK_MODULES([CUNIT], [cunit], [fm_cunit=yes], [fm_cunit=no])
AM_CONDITIONAL([HAVE_CUNIT], [test "x$fm_cunit" = xyes])
AM_COND_IF([HAVE_CUNIT], [FM_FOUND([CUnit], [`$PKG_CONFIG --modversion cunit`])],
    [FM_PROMISE_BROKEN([CUnit], [the tests written in C], [libcunit1-dev])])
])

AC_DEFUN([FM_CHECK_PNG], [
PKG_CHECK_MODULES([PNG], [libpng], [fm_png=yes], [fm_png=no])
AM_CONDITIONAL([HAVE_PNG], [test "x$fm_png" = xyes])
AM_COND_IF([HAVE_PNG], [FM_FOUND([libpng], [`$PKG_CONFIG --modversion libpng`])],
    [FM_PROMISE_BROKEN([libpng], [the example mandelbrot], [libpng-dev])])
])

dnl The peers that bench/ measures against.
AC_DEFUN([FM_CHECK_OPENMP], [
AC_OPENMP
AM_CONDITIONAL([HAVE_OPENMP], [test -n "$OPENMP_CFLAGS"])
AM_COND_IF([HAVE_OPENMP], [FM_FOUND([OpenMP], [$CC $OPENMP_CFLAGS])],
    [FM_LEFT_OUT([OpenMP], [libgomp in make bench], [gcc])])
])

AC_DEFUN([FM_CHECK_LIBOMP], [
AC_CHECK_PROGS([CLANG], [clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14], [no])
fm_libomp=no
AS_IF([test "x$CLANG" != xno], [
    AC_MSG_CHECKING([whether $CLANG builds programs with -fopenmp])
    fm_saved_cc=$CC fm_saved_cflags=$CFLAGS
    CC=$CLANG CFLAGS="-O2 -fopenmp"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <omp.h>]], [[return omp_get_max_threads() < 1;]])],
                   [fm_libomp=yes])
    CC=$fm_saved_cc CFLAGS=$fm_saved_cflags
    AC_MSG_RESULT([$fm_libomp])
])
AM_CONDITIONAL([HAVE_LIBOMP], [test "x$fm_libomp" = xyes])
AM_COND_IF([HAVE_LIBOMP], [FM_FOUND([libomp], [$CLANG -fopenmp])],
    [FM_LEFT_OUT([libomp], [LLVM's OpenMP in make bench], [clang libomp-dev])])
])

AC_DEFUN([FM_CHECK_TBB], [
fm_tbb=no
PKG_CHECK_MODULES([TBB], [tbb >= 2021], [
    AC_LANG_PUSH([C++])
    AC_MSG_CHECKING([whether $CXX builds programs with oneTBB])
    fm_saved_cxxflags=$CXXFLAGS fm_saved_libs=$LIBS
    CXXFLAGS="$CXXFLAGS -std=c++17 $TBB_CFLAGS" LIBS="$LIBS $TBB_LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <oneapi/tbb/parallel_for.h>]],
        [[oneapi::tbb::parallel_for(0, 1, [](int) {});]])], [fm_tbb=yes])
    CXXFLAGS=$fm_saved_cxxflags LIBS=$fm_saved_libs
    AC_MSG_RESULT([$fm_tbb])
    AC_LANG_POP([C++])
], [:])
AM_CONDITIONAL([HAVE_TBB], [test "x$fm_tbb" = xyes])
AM_COND_IF([HAVE_TBB], [FM_FOUND([oneTBB], [`$PKG_CONFIG --modversion tbb`])],
    [FM_LEFT_OUT([oneTBB], [oneTBB in make bench], [g++ libtbb-dev])])
])

dnl For make lint only; a tool that is missing is a check that is skipped.
AC_DEFUN([FM_CHECK_LINT_TOOLS], [
AC_CHECK_PROGS([CLANG_FORMAT], [clang-format-14 clang-format], [no])
AC_CHECK_PROGS([CLANG_TIDY], [clang-tidy-14 clang-tidy], [no])
AC_CHECK_PROGS([CPPCHECK], [cppcheck], [no])
AC_CHECK_PROGS([SHELLCHECK], [shellcheck], [no])
])

dnl --enable-complete is for CI: what quickstart installs must have been found.
AC_DEFUN([FM_REQUIRE_COMPLETE], [
AC_ARG_ENABLE([complete],
    [AS_HELP_STRING([--enable-complete], [fail where gfortran, CUnit or libpng is missing])],
    [], [enable_complete=no])
AS_IF([test "x$enable_complete" = xyes && test -n "$fm_promises_broken"],
    [AC_MSG_ERROR([--enable-complete, but something is missing; on Debian: apt-get install$fm_promises_broken])])
])

AC_DEFUN([FM_SUMMARY], [
AS_ECHO(["
fastmap $PACKAGE_VERSION
  compiler: $CC $CFLAGS${SANITIZER_FLAGS:+ $SANITIZER_FLAGS}
  prefix:   $prefix

Found:$fm_found

Left out:${fm_left_out:-
  nothing}

Next: make, make check, make install"])
])
