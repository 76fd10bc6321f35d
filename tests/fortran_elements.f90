! SPDX-License-Identifier: BSD-3-Clause
!
! Element functions for test_fortran. They are compiled apart from the loops that they are compared
! in: a compiler that sees both may vectorise a loop, and then the loop's last bits differ.

! Each is as a user would write it, or needs its oddness for a test.
module elements
   use, intrinsic :: iso_c_binding
   use fastmap_mod
   implicit none

   type, bind(c) :: particle
      real(c_double) :: place(3)
      real(c_float) :: charge
      integer(c_int) :: kind
   end type particle

contains

   integer(c_int) function norm(x, y, shared) bind(c)
      real(c_double), intent(in) :: x(3)
      real(c_double), intent(out) :: y
      real(c_double), intent(in), optional :: shared(2)

      y = sqrt(sum(x**2))
      if (present(shared)) y = shared(1)*y + shared(2)
      norm = 0
   end function norm

   integer(c_int) function shifted(x, y, shared) bind(c)
      real(c_double), intent(in) :: x
      real(c_double), intent(out) :: y
      real(c_double), intent(in) :: shared

      y = exp(x) + shared
      shifted = 0
   end function shifted

   ! Reverses before all of x is read: wrong if x and y share memory.
   integer(c_int) function reversed(x, y, shared) bind(c)
      real(c_double), intent(in) :: x(2)
      real(c_double), intent(out) :: y(2)
      type(c_ptr), value :: shared

      y(1) = x(2)
      y(2) = x(1)
      reversed = merge(1, 0, c_associated(shared))
   end function reversed

   integer(c_int) function product_2x2(x, y, shared) bind(c)
      real(c_double), intent(in) :: x(2, 2)
      real(c_double), intent(out) :: y(2, 2)
      real(c_double), intent(in) :: shared(2, 2)

      y = matmul(x, shared)
      product_2x2 = 0
   end function product_2x2

   integer(c_int) function box_sum(x, y, shared) bind(c)
      integer(c_int64_t), intent(in) :: x(2, 3, 4)
      integer(c_int64_t), intent(out) :: y
      type(c_ptr), value :: shared

      y = sum(x)
      box_sum = merge(1, 0, c_associated(shared))
   end function box_sum

   integer(c_int) function conjugate(x, y, shared) bind(c)
      complex(c_float_complex), intent(in) :: x
      complex(c_float_complex), intent(out) :: y
      type(c_ptr), value :: shared

      y = conjg(x)
      conjugate = merge(1, 0, c_associated(shared))
   end function conjugate

   integer(c_int) function is_word(x, y, shared) bind(c)
      character(c_char), intent(in) :: x(6)
      logical(c_bool), intent(out) :: y
      character(c_char), intent(in) :: shared(6)

      y = all(x == shared)
      is_word = 0
   end function is_word

   integer(c_int) function push(x, y, shared) bind(c)
      type(particle), intent(in) :: x
      type(particle), intent(out) :: y
      type(particle), intent(in) :: shared

      y = x
      y%place = x%place + shared%place*x%charge
      y%kind = x%kind + 1
      push = 0
   end function push

   integer(c_int) function root(x, y, shared) bind(c)
      real(c_double), intent(in) :: x
      real(c_double), intent(out) :: y
      type(c_ptr), value :: shared

      root = merge(1, 0, c_associated(shared))
      if (x < 0) then
         root = 42
      else
         y = sqrt(x)
      end if
   end function root

   ! Works long enough for a map to be worth several threads.
   integer(c_int) function own_index(x, y, shared) bind(c)
      integer(c_int), intent(in) :: x
      integer(c_size_t), intent(out) :: y
      type(c_ptr), value :: shared
      real(c_double) :: sum
      integer :: i

      y = x*fastmap_index()
      sum = 0
      do i = 1, 3000
         sum = sum + sqrt(real(i, c_double))
      end do
      own_index = merge(1, 0, c_associated(shared) .or. sum < 0)
   end function own_index

   integer(c_int) function flat_index(x, y, shared) bind(c)
      real(c_double), intent(in) :: x(0)
      integer(c_size_t), intent(out) :: y
      type(c_ptr), value :: shared

      y = fastmap_index() + size(x)
      flat_index = merge(1, 0, c_associated(shared))
   end function flat_index

   integer(c_int) function row_norms(x, y, shared) bind(c)
      real(c_double), intent(in) :: x(3, 5)
      real(c_double), intent(out) :: y(5)
      type(c_ptr), value :: shared

      call fastmap(norm, x, y, ierr=row_norms)
      if (c_associated(shared)) row_norms = 1
   end function row_norms

   ! Not bind(c), which gfortran needs not.
   integer(c_int) function plain(x, y, shared)
      real(c_double), intent(in) :: x(3)
      real(c_double), intent(out) :: y
      type(c_ptr), value :: shared

      y = maxval(x)
      plain = merge(1, 0, c_associated(shared))
   end function plain

   ! The element function sees the arguments of this call.
   subroutine map_contained(x, y, offset)
      real(c_double), intent(in) :: x(:), offset
      real(c_double), intent(out) :: y(:)

      call fastmap(contained, x, y)

   contains

      integer(c_int) function contained(x, y, shared) bind(c)
         real(c_double), intent(in) :: x
         real(c_double), intent(out) :: y
         type(c_ptr), value :: shared

         y = x + offset
         contained = merge(1, 0, c_associated(shared))
      end function contained
   end subroutine map_contained
end module elements
