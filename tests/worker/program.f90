! SPDX-License-Identifier: BSD-3-Clause
! Old code: a routine that works in a COMMON block and counts in a SAVE variable. Wrong in threads, which share
! both; right in worker processes, without a change to the program.
module old_code
   use, intrinsic :: iso_c_binding
   implicit none
contains
   subroutine old(x, y)
      real(c_double), intent(in)  :: x
      real(c_double), intent(out) :: y
      real(c_double) :: work(1000)
      integer :: i
      common /scratch/ work
      integer, save :: calls = 0
      calls = calls + 1
      do i = 1, 1000
         work(i) = x
      end do
      do i = 2, 1000
         work(i) = work(i) + work(i - 1)
      end do
      y = work(1000)
   end subroutine old

   integer(c_int) function f(x, y, shared) bind(c)
      real(c_double), intent(in)  :: x
      real(c_double), intent(out) :: y
      type(c_ptr), value :: shared
      call old(x, y)
      if (x == 17) print *, 'element seventeen'
      f = 0
   end function f
end module old_code

program legacy
   use, intrinsic :: iso_c_binding
   use fastmap_mod
   use old_code
   implicit none
   integer, parameter :: n = 20000
   real(c_double) :: x(n), y(n)
   integer :: i, ierr
   x = [(real(i, c_double), i = 1, n)]
   call fastmap(f, x, y, ierr=ierr)
   if (ierr == 0 .and. all(y == 1000*x)) then
      print '(a)', 'all right'
   else
      print '(a,i0,a,i0)', 'ierr ', ierr, ', wrong ', count(y /= 1000*x)
   end if
end program legacy
