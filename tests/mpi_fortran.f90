! SPDX-License-Identifier: BSD-3-Clause
!
! The Fortran module under MPI, as four ranks: maps over a part of them, over one alone, and over ranks that
! only serve. An element's result tells which rank computed it. Each rank prints "ok SCENARIO".

module places
   use, intrinsic :: iso_c_binding
   implicit none
   integer(c_int) :: rank = -1

   interface
      integer(c_int) function usleep(microseconds) bind(c)
         import :: c_int
         integer(c_int), value :: microseconds
      end function usleep
   end interface

contains

   ! y(1) is twice x, y(2) the rank.
   integer(c_int) function where_is(x, y, shared) bind(c)
      integer(c_int), intent(in) :: x, shared
      integer(c_int), intent(out) :: y(2)

      where_is = usleep(2000)
      y(1) = shared*x
      y(2) = rank
   end function where_is
end module places

program mpi_fortran
   use places
   use fastmap_mod
   implicit none
   include 'mpif.h'

   integer, parameter :: n = 200
   integer :: ierr, part, ranks, i
   integer(c_int) :: x(n), y(2, n), code

   call MPI_Init(ierr)
   call MPI_Comm_rank(MPI_COMM_WORLD, i, ierr)
   call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)
   rank = i
   x = [(i, i=1, n)]

   ! Two pairs, in each of which the first owns all elements.
   call MPI_Comm_split(MPI_COMM_WORLD, rank/2, rank, part, ierr)
   call fastmap_set_comm(part)
   if (mod(rank, 2) == 0) then
      call fastmap(where_is, x, y, 2_c_int)
      call ok(right(y) .and. any(y(2, :) == rank + 1) .and. all(y(2, :)/2 == rank/2), &
              'a map over a pair')
   else
      call fastmap(where_is, x(1:0), y(:, 1:0), 2_c_int)
      call ok(.true., 'a map over a pair')
   end if

   call fastmap_set_comm(MPI_COMM_NULL, code)
   call fastmap(where_is, x, y, 2_c_int)
   call ok(code == 0 .and. right(y) .and. all(y(2, :) == rank), 'a map of one')

   call fastmap_set_comm(MPI_COMM_WORLD)
   if (rank == 0) then
      call fastmap(where_is, x, y, 2_c_int)
      call ok(right(y) .and. any(y(2, :) /= 0), 'ranks that serve')
      call fastmap_global_finalize()
   else
      call fastmap_serve()
      call ok(.true., 'ranks that serve')
   end if
   call MPI_Comm_free(part, ierr)
   call MPI_Finalize(ierr)

contains

   logical function right(found)
      integer(c_int), intent(in) :: found(2, n)

      right = all(found(1, :) == 2*x)
   end function right

   subroutine ok(passed, scenario)
      logical, intent(in) :: passed
      character(*), intent(in) :: scenario

      if (passed) print '(2a)', 'ok ', scenario
      if (.not. passed) print '(2a, i0, a, *(i2))', scenario, ', rank ', rank, ', computed by', y(2, :)
   end subroutine ok
end program mpi_fortran
