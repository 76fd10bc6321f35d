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
   use, intrinsic :: iso_c_binding, only: c_char, c_double, c_f_pointer, c_funloc, c_funptr, c_int, &
      c_loc, c_null_char, c_null_funptr, c_null_ptr, c_ptr, c_size_t, c_sizeof
   implicit none
   private

   public :: fastmap, fastmap_index, fastmap_estimate, fastmap_explain
   public :: fastmap_report, fastmap_failure, fastmap_forecast
   public :: fastmap_global_init, fastmap_global_finalize
   public :: fastmap_set_comm, fastmap_serve
   public :: fastmap_strerror, fastmap_last_error, fastmap_version

   ! The codes and settings of fastmap.h, under the same names.
   integer(c_int), parameter, public :: &
      FASTMAP_ERR_ARGUMENT = -1, FASTMAP_ERR_OVERFLOW = -2, FASTMAP_ERR_OVERLAP = -3, &
      FASTMAP_ERR_ELEMENT = -4, FASTMAP_ERR_CONFIG = -5, FASTMAP_ERR_SECRET = -6, &
      FASTMAP_ERR_MEMORY = -7, FASTMAP_ERR_STATE = -8, FASTMAP_ERR_RANKS = -9, &
      FASTMAP_ERR_PROGRAM = -10, FASTMAP_ERR_VERIFY = -11
   integer(c_int), parameter, public :: FASTMAP_EXEC_POLICY_ADAPTIVE = 1, &
      FASTMAP_EXEC_POLICY_LOCAL = 2, FASTMAP_EXEC_POLICY_CLOUD = 3
   integer(c_int), parameter, public :: FASTMAP_VERBOSITY_SILENT = 1, FASTMAP_VERBOSITY_QUIET = 2, &
      FASTMAP_VERBOSITY_NORMAL = 3, FASTMAP_VERBOSITY_LOUD = 4
   integer(c_int), parameter, public :: FASTMAP_BIND_CORE = 1, FASTMAP_BIND_NONE = 2
   integer(c_int), parameter, public :: FASTMAP_PROGRESS_AUTO = 1, FASTMAP_PROGRESS_OFF = 2
   integer(c_int), parameter, public :: FASTMAP_RANKS_AUTO = 1, FASTMAP_RANKS_OFF = 2

   integer(c_int), parameter, public :: FASTMAP_WORKERS_THREADS = 1, FASTMAP_WORKERS_PROCESSES = 2
   integer(c_int), parameter, public :: FASTMAP_VERIFY_OFF = 1, FASTMAP_VERIFY_ON = 2
   integer(c_int), parameter, public :: FASTMAP_CONFIRM_AUTO = 1, FASTMAP_CONFIRM_ON = 2, &
      FASTMAP_CONFIRM_OFF = 3
   integer(c_int), parameter, public :: FASTMAP_ON_ERROR_CONTINUE = 0, FASTMAP_ON_ERROR_STOP = 1
   integer(c_int), parameter, public :: FASTMAP_SPREAD_OWNED = 0, FASTMAP_SPREAD_REPLICATED = 1
   integer(c_int), parameter, public :: FASTMAP_TIER_LOCAL = 0, FASTMAP_TIER_MPI = 1, &
      FASTMAP_TIER_CLOUD = 2
   integer(c_int), parameter, public :: FASTMAP_ENDING_EXIT = -1, FASTMAP_ENDING_TIMEOUT = -2, &
      FASTMAP_ENDING_LOST = -3
   integer(c_int), parameter, public :: FASTMAP_CLOUD_UNSET = 0, FASTMAP_CLOUD_POLICY = 1, &
      FASTMAP_CLOUD_ELSEWHERE = 2, FASTMAP_CLOUD_SHORT = 3, FASTMAP_CLOUD_NO_GAIN = 4, &
      FASTMAP_CLOUD_DECLINED = 5, FASTMAP_CLOUD_NO_MONEY = 6, FASTMAP_CLOUD_FAILED = 7, &
      FASTMAP_CLOUD_LATE = 8, FASTMAP_CLOUD_USED = 9

   ! struct fastmap_failure; index is counted from 1.
   type, bind(c) :: fastmap_failure
      integer(c_size_t) :: index = 0
      integer(c_int) :: code = 0
      integer(c_int) :: tier = 0
      integer(c_int) :: rank = 0
      integer(c_int) :: signal = 0
   end type fastmap_failure

   ! struct fastmap_report: what a map did; fastmap.h says what the fields mean.
   type, bind(c) :: fastmap_report
      integer(c_size_t) :: size = 0
      integer(c_size_t) :: elements = 0
      integer(c_size_t) :: failed = 0
      integer(c_size_t) :: failures_listed = 0
      type(fastmap_failure) :: failures(8)
      real(c_double) :: seconds = 0
      real(c_double) :: loop_seconds = 0
      integer(c_int) :: workers = 0
      integer(c_size_t) :: spans_stolen = 0
      integer(c_size_t) :: away = 0
      integer(c_size_t) :: cloud = 0
      real(c_double) :: dollars = 0
      integer(c_int) :: ranks = 0
      integer(c_int) :: cloud_use = 0
      real(c_double) :: local_rate = 0
      real(c_double) :: ranks_rate = 0
      real(c_double) :: cloud_rate = 0
      real(c_double) :: cloud_round_trip = 0
      real(c_double) :: cloud_bytes_per_s = 0
      real(c_double) :: cloud_left_seconds = 0
      real(c_double) :: cloud_with_seconds = 0
      integer(c_int) :: cloud_vcpus = 0
      integer(c_int) :: cloud_vcpus_wished = 0
      integer(c_int) :: cloud_vcpus_account = 0
      character(kind=c_char) :: cloud_said(256) = c_null_char
   end type fastmap_report

   ! struct fastmap_forecast: what a map would take and cost.
   type, bind(c) :: fastmap_forecast
      integer(c_size_t) :: size = 0
      real(c_double) :: element_seconds = 0
      real(c_double) :: local_seconds = 0
      real(c_double) :: adaptive_seconds = 0
      integer(c_size_t) :: cloud = 0
      integer(c_int) :: vcpus = 0
      real(c_double) :: dollars = 0
      real(c_double) :: dollars_least = 0
      real(c_double) :: dollars_most = 0
      real(c_double) :: balance = 0
   end type fastmap_forecast

   ! struct fastmap_map, field by field; lib/fortran fills function and arrays.
   type, bind(c) :: map_t
      integer(c_size_t) :: size = 0
      type(c_funptr) :: func = c_null_funptr
      type(c_funptr) :: block = c_null_funptr
      type(c_ptr) :: in = c_null_ptr
      integer(c_size_t) :: in_size = 0
      type(c_ptr) :: out = c_null_ptr
      integer(c_size_t) :: out_size = 0
      integer(c_size_t) :: n = 0
      type(c_ptr) :: shared = c_null_ptr
      integer(c_size_t) :: shared_size = 0
      type(c_ptr) :: label = c_null_ptr
      integer(c_int) :: on_error = 0
      real(c_double) :: element_seconds = 0
      integer(c_int) :: spread = 0
      integer(c_int) :: workers = 0
      integer(c_int) :: retries = 0
      real(c_double) :: element_timeout = 0
      integer(c_int) :: verify = 0
   end type map_t

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
      integer(c_int) :: workers = 0
      integer(c_int) :: verify = 0
      type(c_ptr) :: cloud_url = c_null_ptr
      type(c_ptr) :: cloud_ca_file = c_null_ptr
      type(c_ptr) :: cloud_pin = c_null_ptr
      type(c_ptr) :: max_charge = c_null_ptr
      integer(c_int) :: max_cloud_workers = 0
      integer(c_int) :: confirm_charges = 0
      type(c_funptr) :: confirm = c_null_funptr
      type(c_ptr) :: confirm_context = c_null_ptr
   end type config_t

   ! A string of C's, of one of ours without its trailing blanks.
   type :: text_t
      character(:, c_char), allocatable :: bytes
   end type text_t

   interface
      ! Private to this module: lib/fortran/map.c.
      integer(c_int) function c_map(f, x, y, shared, options, report) &
            bind(c, name='fastmap_fortran_map')
         import :: c_int, c_funptr, map_t, fastmap_report
         type(c_funptr), value :: f
         type(*), dimension(..), intent(in) :: x
         type(*), dimension(..), intent(inout) :: y
         type(*), dimension(..), intent(in), optional :: shared
         type(map_t), intent(in) :: options
         type(fastmap_report), intent(inout) :: report
      end function c_map

      integer(c_int) function c_estimate(f, x, y, shared, options, estimate) &
            bind(c, name='fastmap_fortran_estimate')
         import :: c_int, c_funptr, map_t, fastmap_forecast
         type(c_funptr), value :: f
         type(*), dimension(..), intent(in) :: x
         type(*), dimension(..), intent(in) :: y
         type(*), dimension(..), intent(in), optional :: shared
         type(map_t), intent(in) :: options
         type(fastmap_forecast), intent(inout) :: estimate
      end function c_estimate

      integer(c_int) function c_explain(report, text, bytes) bind(c, name='fastmap_explain')
         import :: c_int, c_size_t, c_ptr, fastmap_report
         type(fastmap_report), intent(in) :: report
         type(c_ptr), value :: text
         integer(c_size_t), value :: bytes
      end function c_explain

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

   ! A C string from a Fortran one, which `kept` keeps; null from one that is absent.
   type(c_ptr) function to_c(kept, text)
      type(text_t), intent(inout), target :: kept
      character(*), intent(in), optional :: text

      to_c = c_null_ptr
      if (.not. present(text)) return
      kept%bytes = trim(text)//c_null_char
      to_c = c_loc(kept%bytes)
   end function to_c

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
   !
   ! The rest is optional, by keyword, and as in struct fastmap_map: report is what the map did, label
   ! names it in messages, on_error says what follows the first failure, element_seconds what an element
   ! takes, spread, workers, retries, element_timeout and verify where and how elements run.
   subroutine fastmap(f, x, y, shared, ierr, report, label, on_error, element_seconds, spread, &
         workers, retries, element_timeout, verify)
      procedure(integer(c_int)) :: f
      type(*), dimension(..), intent(in) :: x
      type(*), dimension(..), intent(inout) :: y
      type(*), dimension(..), intent(in), optional :: shared
      integer(c_int), intent(out), optional :: ierr
      type(fastmap_report), intent(out), optional :: report
      character(*), intent(in), optional :: label
      integer, intent(in), optional :: on_error, spread, workers, retries, verify
      real(c_double), intent(in), optional :: element_seconds, element_timeout
      type(text_t), target :: name
      type(fastmap_report) :: did
      type(map_t) :: options
      integer(c_int) :: code
      integer :: i

      options%size = c_sizeof(options)
      options%label = to_c(name, label)
      if (present(on_error)) options%on_error = on_error
      if (present(element_seconds)) options%element_seconds = element_seconds
      if (present(spread)) options%spread = spread
      if (present(workers)) options%workers = workers
      if (present(retries)) options%retries = retries
      if (present(element_timeout)) options%element_timeout = element_timeout
      if (present(verify)) options%verify = verify
      did%size = c_sizeof(did)
      code = c_map(c_funloc(f), x, y, shared, options, did)
      do i = 1, int(did%failures_listed)
         did%failures(i)%index = did%failures(i)%index + 1 ! C counts from 0
      end do
      if (present(report)) report = did
      call hand_over(code, ierr)
   end subroutine fastmap

   ! What the map would take here and with the cloud, and cost; nothing is spent, y stays as it is.
   subroutine fastmap_estimate(f, x, y, estimate, shared, ierr, element_seconds)
      procedure(integer(c_int)) :: f
      type(*), dimension(..), intent(in) :: x
      type(*), dimension(..), intent(in) :: y
      type(fastmap_forecast), intent(out) :: estimate
      type(*), dimension(..), intent(in), optional :: shared
      integer(c_int), intent(out), optional :: ierr
      real(c_double), intent(in), optional :: element_seconds
      type(map_t) :: options

      options%size = c_sizeof(options)
      if (present(element_seconds)) options%element_seconds = element_seconds
      estimate%size = c_sizeof(estimate)
      call hand_over(c_estimate(c_funloc(f), x, y, shared, options, estimate), ierr)
   end subroutine fastmap_estimate

   ! A report in words, a line each: who computed what, and why the cloud was used or was not.
   function fastmap_explain(report) result(text)
      type(fastmap_report), intent(in) :: report
      character(:), allocatable :: text
      character(kind=c_char), target :: bytes(1024)

      text = ''
      if (c_explain(report, c_loc(bytes), size(bytes, kind=c_size_t)) == 0) &
         text = from_c(c_loc(bytes))
   end function fastmap_explain

   ! The element that the calling thread is computing, counted from 1; 0 outside any element.
   integer(c_size_t) function fastmap_index()
      fastmap_index = c_index() + 1 ! C says -1 outside
   end function fastmap_index

   ! Configures the process-wide session; what is absent comes from environment, file and defaults.
   ! The fields of struct fastmap_config by keyword; max_charge is text, such as '0.25'.
   subroutine fastmap_global_init(max_local_workers, verbosity, exec_policy, bind, progress, &
         ranks, secret, secret_file, ierr, workers, verify, cloud_url, cloud_ca_file, cloud_pin, &
         max_charge, max_cloud_workers, confirm_charges)
      integer, intent(in), optional :: max_local_workers, verbosity, exec_policy, bind, &
         progress, ranks, workers, verify, max_cloud_workers, confirm_charges
      character(*), intent(in), optional :: secret, secret_file, cloud_url, cloud_ca_file, &
         cloud_pin, max_charge
      integer(c_int), intent(out), optional :: ierr
      type(text_t), target :: texts(6)
      type(config_t) :: config

      config%size = c_sizeof(config)
      if (present(max_local_workers)) config%max_local_workers = max_local_workers
      if (present(verbosity)) config%verbosity = verbosity
      if (present(exec_policy)) config%exec_policy = exec_policy
      if (present(bind)) config%bind = bind
      if (present(progress)) config%progress = progress
      if (present(ranks)) config%ranks = ranks
      if (present(workers)) config%workers = workers
      if (present(verify)) config%verify = verify
      if (present(max_cloud_workers)) config%max_cloud_workers = max_cloud_workers
      if (present(confirm_charges)) config%confirm_charges = confirm_charges
      config%secret = to_c(texts(1), secret)
      config%secret_file = to_c(texts(2), secret_file)
      config%cloud_url = to_c(texts(3), cloud_url)
      config%cloud_ca_file = to_c(texts(4), cloud_ca_file)
      config%cloud_pin = to_c(texts(5), cloud_pin)
      config%max_charge = to_c(texts(6), max_charge)
      call hand_over(c_global_init(config), ierr)
   end subroutine fastmap_global_init

   ! Ends the process-wide session. Optional; a later map starts anew.
   subroutine fastmap_global_finalize(ierr)
      integer(c_int), intent(out), optional :: ierr

      call hand_over(c_global_finalize(), ierr)
   end subroutine fastmap_global_finalize

   ! Sets the ranks that maps of this process are computed by; collective over comm, between maps.
   !
   ! comm    an MPI communicator, which is duplicated. With mpi_f08 it is comm%MPI_VAL.
   !         MPI_COMM_NULL: this process computes alone.
   subroutine fastmap_set_comm(comm, ierr)
      integer, intent(in) :: comm
      integer(c_int), intent(out), optional :: ierr

      call hand_over(c_set_comm(int(comm, c_int)), ierr)
   end subroutine fastmap_set_comm

   ! Computes what other ranks ask for, until one of them ends: for ranks that own no elements.
   subroutine fastmap_serve(ierr)
      integer(c_int), intent(out), optional :: ierr

      call hand_over(c_serve(), ierr)
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
   subroutine hand_over(code, ierr)
      integer(c_int), intent(in) :: code
      integer(c_int), intent(out), optional :: ierr

      if (present(ierr)) then
         ierr = code
      else if (code /= 0) then
         error stop 'fastmap: '//fastmap_last_error()
      end if
   end subroutine hand_over
end module fastmap_mod
