! SPDX-License-Identifier: BSD-3-Clause
!
! fastmap for Fortran: call fastmap(f, x, y [, shared] [, ierr]) replaces
!
!     do i = 1, n
!        ierr = f(x(:, i), y(:, i), shared)
!     end do
!
! The last dimension of x and y counts the elements, whatever the ranks: x(:,i) may go to y(i).
!
! Installed as source, because module files differ between compilers: compile it with the program,
! which then says `use fastmap_mod`. (The module cannot be called fastmap: in Fortran a module and a
! procedure of one name cannot be used together.) docs/FORTRAN.md is the guide.
!
! This file decides what Fortran looks like; what arrays are, in memory, is decided by the C side in
! lib/fortran, which is called with the descriptors of the arrays as they are.

module fastmap_mod
   use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_funloc, c_funptr, c_int, c_loc, &
      c_null_char, c_null_ptr, c_ptr, c_size_t, c_sizeof
   implicit none
   private

   public :: fastmap, fastmap_index
   public :: fastmap_global_init, fastmap_global_finalize
   public :: fastmap_set_comm, fastmap_serve
   public :: fastmap_strerror, fastmap_last_error, fastmap_version

   ! The codes and settings of fastmap.h, under the same names.
   integer(c_int), parameter, public :: &
      FASTMAP_ERR_ARGUMENT = -1, FASTMAP_ERR_OVERFLOW = -2, FASTMAP_ERR_OVERLAP = -3, &
      FASTMAP_ERR_ELEMENT = -4, FASTMAP_ERR_CONFIG = -5, FASTMAP_ERR_SECRET = -6, &
      FASTMAP_ERR_MEMORY = -7, FASTMAP_ERR_STATE = -8, FASTMAP_ERR_RANKS = -9, &
      FASTMAP_ERR_PROGRAM = -10
   integer(c_int), parameter, public :: FASTMAP_EXEC_POLICY_ADAPTIVE = 1, &
      FASTMAP_EXEC_POLICY_LOCAL = 2, FASTMAP_EXEC_POLICY_CLOUD = 3
   integer(c_int), parameter, public :: FASTMAP_VERBOSITY_SILENT = 1, FASTMAP_VERBOSITY_QUIET = 2, &
      FASTMAP_VERBOSITY_NORMAL = 3, FASTMAP_VERBOSITY_LOUD = 4
   integer(c_int), parameter, public :: FASTMAP_BIND_CORE = 1, FASTMAP_BIND_NONE = 2
   integer(c_int), parameter, public :: FASTMAP_PROGRESS_AUTO = 1, FASTMAP_PROGRESS_OFF = 2
   integer(c_int), parameter, public :: FASTMAP_RANKS_AUTO = 1, FASTMAP_RANKS_OFF = 2

   ! struct fastmap_config, field by field; 0 and null say nothing.
   type, bind(c) :: config_t
      integer(c_size_t) :: size = 0
      type(c_ptr) :: secret = c_null_ptr
      type(c_ptr) :: secret_file = c_null_ptr
      integer(c_int) :: exec_policy = 0
      integer(c_int) :: verbosity = 0
      integer(c_int) :: max_local_workers = 0
      integer(c_int) :: bind = 0
      integer(c_int) :: progress = 0
      integer(c_int) :: ranks = 0
   end type config_t

   interface
      ! Private to this module: lib/fortran/map.c.
      integer(c_int) function c_map(f, x, y, shared) bind(c, name='fastmap_fortran_map')
         import :: c_int, c_funptr
         type(c_funptr), value :: f
         type(*), dimension(..), intent(in) :: x
         type(*), dimension(..), intent(inout) :: y
         type(*), dimension(..), intent(in), optional :: shared
      end function c_map

      integer(c_size_t) function c_index() bind(c, name='fastmap_index')
         import :: c_size_t
      end function c_index

      integer(c_int) function c_global_init(config) bind(c, name='fastmap_global_init')
         import :: c_int, config_t
         type(config_t), intent(in) :: config
      end function c_global_init

      integer(c_int) function c_global_finalize() bind(c, name='fastmap_global_finalize')
         import :: c_int
      end function c_global_finalize

      integer(c_int) function c_set_comm(comm) bind(c, name='fastmap_set_comm_f')
         import :: c_int
         integer(c_int), value :: comm
      end function c_set_comm

      integer(c_int) function c_serve() bind(c, name='fastmap_serve')
         import :: c_int
      end function c_serve

      type(c_ptr) function c_strerror(code) bind(c, name='fastmap_strerror')
         import :: c_int, c_ptr
         integer(c_int), value :: code
      end function c_strerror

      type(c_ptr) function c_last_error() bind(c, name='fastmap_last_error')
         import :: c_ptr
      end function c_last_error

      type(c_ptr) function c_version() bind(c, name='fastmap_version')
         import :: c_ptr
      end function c_version

      integer(c_size_t) function c_strlen(string) bind(c, name='strlen')
         import :: c_size_t, c_ptr
         type(c_ptr), value :: string
      end function c_strlen
   end interface

contains

   ! A Fortran string from a C one. It stands first: gfortran 12 crashes where uses come before it.
   function from_c(string) result(text)
      type(c_ptr), intent(in) :: string
      character(:), allocatable :: text
      character(kind=c_char), pointer :: bytes(:)
      integer(c_size_t) :: i

      call c_f_pointer(string, bytes, [c_strlen(string)])
      allocate (character(size(bytes)) :: text)
      do i = 1, size(bytes, kind=c_size_t)
         text(i:i) = bytes(i)
      end do
   end function from_c

   ! Computes y(..., i) from x(..., i) by f for all i, on as many threads as shorten the work.
   !
   ! f       integer(c_int) function f(x, y, shared) bind(c): reads one element x, fills one element
   !         y, and returns 0, or another value for "failed". It always takes three arguments; an
   !         absent shared is absent in f too, if f declares it optional. Its arguments are
   !         scalars or arrays of constant shape, never assumed-shape (:).
   ! x       any type, rank 1 to 15. Its last extent is the number of elements, the same as that of
   ! y. y       as x. If elements fail, the others are computed all the same. shared  anything that
   ! all elements read, scalars too. ierr    0 or a FASTMAP_ERR_ code. Without it, an error stops
   ! the program with its sentence.
   !
   ! Sections that are not contiguous, and x or shared that share memory with y, are copied for the
   ! map. Threads: any.
   subroutine fastmap(f, x, y, shared, ierr)
      procedure(integer(c_int)) :: f
      type(*), dimension(..), intent(in) :: x
      type(*), dimension(..), intent(inout) :: y
      type(*), dimension(..), intent(in), optional :: shared
      integer(c_int), intent(out), optional :: ierr

      call report(c_map(c_funloc(f), x, y, shared), ierr)
   end subroutine fastmap

   ! The element that the calling thread is computing, counted from 1; 0 outside any element.
   integer(c_size_t) function fastmap_index()
      fastmap_index = c_index() + 1 ! C says -1 outside
   end function fastmap_index

   ! Configures the process-wide session; what is absent comes from environment, file and defaults.
   subroutine fastmap_global_init(max_local_workers, verbosity, exec_policy, bind, progress, &
         ranks, secret, secret_file, ierr)
      integer, intent(in), optional :: max_local_workers, verbosity, exec_policy, bind, &
         progress, ranks
      character(*), intent(in), optional :: secret, secret_file
      integer(c_int), intent(out), optional :: ierr
      character(:, c_char), allocatable, target :: secret_c, secret_file_c
      type(config_t) :: config

      config%size = c_sizeof(config)
      if (present(max_local_workers)) config%max_local_workers = max_local_workers
      if (present(verbosity)) config%verbosity = verbosity
      if (present(exec_policy)) config%exec_policy = exec_policy
      if (present(bind)) config%bind = bind
      if (present(progress)) config%progress = progress
      if (present(ranks)) config%ranks = ranks
      if (present(secret)) then
         secret_c = trim(secret)//c_null_char
         config%secret = c_loc(secret_c)
      end if
      if (present(secret_file)) then
         secret_file_c = trim(secret_file)//c_null_char
         config%secret_file = c_loc(secret_file_c)
      end if
      call report(c_global_init(config), ierr)
   end subroutine fastmap_global_init

   ! Ends the process-wide session. Optional; a later map starts anew.
   subroutine fastmap_global_finalize(ierr)
      integer(c_int), intent(out), optional :: ierr

      call report(c_global_finalize(), ierr)
   end subroutine fastmap_global_finalize

   ! Sets the ranks that maps of this process are computed by; collective over comm, between maps.
   !
   ! comm    an MPI communicator, which is duplicated. With mpi_f08 it is comm%MPI_VAL.
   !         MPI_COMM_NULL: this process computes alone.
   subroutine fastmap_set_comm(comm, ierr)
      integer, intent(in) :: comm
      integer(c_int), intent(out), optional :: ierr

      call report(c_set_comm(int(comm, c_int)), ierr)
   end subroutine fastmap_set_comm

   ! Computes what other ranks ask for, until one of them ends: for ranks that own no elements.
   subroutine fastmap_serve(ierr)
      integer(c_int), intent(out), optional :: ierr

      call report(c_serve(), ierr)
   end subroutine fastmap_serve

   ! The general sentence for a code.
   function fastmap_strerror(code) result(text)
      integer(c_int), intent(in) :: code
      character(:), allocatable :: text

      text = from_c(c_strerror(code))
   end function fastmap_strerror

   ! What went wrong in the calling thread's last failing call: what, where, and what to do.
   function fastmap_last_error() result(text)
      character(:), allocatable :: text

      text = from_c(c_last_error())
   end function fastmap_last_error

   ! The version of the loaded library, such as 0.1.0.
   function fastmap_version() result(text)
      character(:), allocatable :: text

      text = from_c(c_version())
   end function fastmap_version

   ! Hands a code to a caller who asked for it, and stops for one who did not.
   subroutine report(code, ierr)
      integer(c_int), intent(in) :: code
      integer(c_int), intent(out), optional :: ierr

      if (present(ierr)) then
         ierr = code
      else if (code /= 0) then
         error stop 'fastmap: '//fastmap_last_error()
      end if
   end subroutine report
end module fastmap_mod
