! SPDX-License-Identifier: BSD-3-Clause
!
! The Fortran module: what x, y and shared may be, and what the user reads when they may not. Every
! result is compared bit for bit with the plain loop. Prints TAP itself; which threads compute is
! the business of other tests.

module checks
   use, intrinsic :: iso_c_binding
   use fastmap_mod
   implicit none
   integer :: tests = 0, failures = 0

contains

   subroutine ok(passed, behaviour, seen)
      logical, intent(in) :: passed
      character(*), intent(in) :: behaviour
      character(*), intent(in), optional :: seen

      tests = tests + 1
      if (.not. passed) failures = failures + 1
      print '(a, i0, 2a)', trim(merge('ok    ', 'not ok', passed))//' ', tests, ' - ', behaviour
      if (.not. passed .and. present(seen)) print '(2a)', '# ', seen
   end subroutine ok

   subroutine same(got, want, behaviour)
      real(c_double), intent(in) :: got(:), want(:)
      character(*), intent(in) :: behaviour
      integer :: i
      character(120) :: seen

      do i = 1, size(want)
         if (transfer(got(i), 0_c_int64_t) /= transfer(want(i), 0_c_int64_t)) then
            write (seen, '(a, i0, 2(a, es24.16))') 'element ', i, ' is ', got(i), ', want ', want(i)
            call ok(.false., behaviour, seen)
            return
         end if
      end do
      call ok(.true., behaviour)
   end subroutine same

   subroutine refused(code, want, word, behaviour)
      integer(c_int), intent(in) :: code, want
      character(*), intent(in) :: word, behaviour
      character(12) :: got
      character(:), allocatable :: sentence

      write (got, '(i0)') code
      sentence = fastmap_last_error()
      call ok(code == want .and. index(sentence, word) > 0, behaviour, &
              'code '//trim(got)//', sentence: '//sentence)
   end subroutine refused
end module checks

program test_fortran
   use, intrinsic :: iso_c_binding
   use, intrinsic :: iso_fortran_env, only: compiler_version
   use checks
   use elements
   implicit none

   integer, parameter :: n = 101
   real(c_double) :: x(3, n), y(n), want(n)
   integer(c_int) :: code

   if (command_argument_count() > 0) then
      call fastmap(root, 2d0, y)
      stop
   end if
   print '(2a)', '# ', compiler_version()
   call random_number(x)
   call configuration()
   call ranks()
   call types()
   call sections()
   call component_sections()
   call shared_memory()
   call kinds_of_shared()
   call procedures()
   call sizes()
   call mistakes()
   call stopping()
   call failing_elements()
   call reports()
   call positions()
   call fastmap_global_finalize()
   print '(a, i0)', '1..', tests
   if (failures > 0) error stop

contains

   ! The plain loop over norm; the code that it returns is 0.
   subroutine loop_norm(from, to)
      real(c_double), intent(in) :: from(:, :)
      real(c_double), intent(out) :: to(:)
      integer :: i

      do i = 1, size(to)
         if (norm(from(:, i), to(i)) /= 0) error stop 'norm failed'
      end do
   end subroutine loop_norm

   subroutine configuration()
      call fastmap_global_init(max_local_workers=-3, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'max_local_workers', &
                   'a negative number of workers is refused')
      call fastmap_global_init(progress=77, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'progress', &
                   'a setting out of its range is refused')
      call fastmap_global_init(confirm_charges=99, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'confirm_charges', &
                   'confirm_charges, the last number of the configuration, arrives')
      call fastmap_global_init(max_cloud_workers=-1, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'max_cloud_workers', 'max_cloud_workers arrives')
      call fastmap_global_init(max_charge='much  ', ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'max_charge', 'max_charge arrives')
      call fastmap_global_init(cloud_url='ftp://host', ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'cloud_url', 'cloud_url arrives')
      call fastmap_global_init(cloud_pin='md5//x', ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'cloud_pin', 'cloud_pin arrives')
      call fastmap_global_init(workers=9, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'workers', 'workers arrives')
      call fastmap_global_init(verify=9, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'verify', 'verify arrives')
      call fastmap_global_init(secret_file='/no/such/file  ', ierr=code)
      call refused(code, FASTMAP_ERR_SECRET, '/no/such/file', &
                   'a file name arrives without its blanks')
      call fastmap_global_init(verbosity=FASTMAP_VERBOSITY_QUIET, ierr=code)
      call ok(code == 0, 'the session can be configured', fastmap_last_error())
      call fastmap_global_init(ierr=code)
      call ok(code == FASTMAP_ERR_STATE, 'the session can be configured once only')
      call ok(len(fastmap_version()) >= 5, 'the version can be asked', fastmap_version())
      call ok(index(fastmap_strerror(FASTMAP_ERR_ELEMENT), 'element') > 0, &
              'a code has a sentence', fastmap_strerror(FASTMAP_ERR_ELEMENT))
   end subroutine configuration

   subroutine ranks()
      real(c_double) :: a(2, 2, n), b(2, 2, n), loop(2, 2, n), s(2, 2)
      integer(c_int64_t) :: box(2, 3, 4, n), sums(n)
      real(c_double) :: one(n)
      integer :: i

      one = x(1, :)
      call fastmap(shifted, one, y, 2.5_c_double)
      do i = 1, n
         code = shifted(one(i), want(i), 2.5_c_double)
      end do
      call same(y, want, 'rank 1 to rank 1')

      call loop_norm(x, want)
      call fastmap(norm, x, y)
      call same(y, want, 'rank 2 to rank 1')

      call random_number(a)
      call random_number(s)
      call fastmap(product_2x2, a, b, s)
      do i = 1, n
         code = product_2x2(a(:, :, i), loop(:, :, i), s)
      end do
      call same(reshape(b, [4*n]), reshape(loop, [4*n]), 'rank 3 to rank 3')

      box = reshape([(int(i, c_int64_t)**3, i=1, size(box))], shape(box))
      call fastmap(box_sum, box, sums)
      call ok(all(sums == sum(sum(sum(box, 1), 1), 1)), 'rank 4 to rank 1')
   end subroutine ranks

   subroutine types()
      complex(c_float_complex) :: c(n), d(n)
      character(6) :: words(4) = ['rabbit', 'beaver', 'rabbit', 'heron ']
      logical(c_bool) :: found(4)
      type(particle) :: cloud(n), pushed(n), wind
      integer :: i

      c = [(cmplx(i, -i, c_float_complex), i=1, n)]
      call fastmap(conjugate, c, d)
      call ok(all(d == conjg(c)), 'complex elements')

      call fastmap(is_word, words, found, 'rabbit')
      call ok(all(found .eqv. [.true., .false., .true., .false.]), 'character to logical elements')

      wind = particle([1d0, 2d0, 3d0], 0.0, 0)
      cloud = [(particle(i*[1d0, 10d0, 100d0], 0.5*i, i), i=1, n)]
      call fastmap(push, cloud, pushed, wind)
      call ok(all(pushed%kind == cloud%kind + 1) .and. &
              all(pushed%place(2) == cloud%place(2) + 2d0*cloud%charge), 'elements of derived type')
   end subroutine types

   subroutine sections()
      real(c_double) :: wide(5, 2*n), high(2, n), tall(4, n), loop(2, n)
      integer :: i

      call random_number(wide)
      call loop_norm(wide(1:3, 1::2), want)
      call fastmap(norm, wide(1:3, 1::2), y)
      call same(y, want, 'x is every other column, in part')

      call loop_norm(wide(5:1:-2, 2*n:2:-2), want)
      call fastmap(norm, wide(5:1:-2, 2*n:2:-2), y)
      call same(y, want, 'x runs backwards in both dimensions')

      call loop_norm(x, want)
      y = -1
      call fastmap(norm, x(:, n:1:-1), y(n:1:-1))
      call same(y, want, 'x and y run backwards')

      y = -1
      call fastmap(norm, x(:, 1::2), y(1::2))
      call same(y(1::2), want(1::2), 'y has holes, results arrive')
      call ok(all(y(2::2) == -1), 'y has holes, what lies in them stays')

      call random_number(high)
      tall = -1
      call fastmap(reversed, high, tall(4:1:-3, :))
      do i = 1, n
         loop(:, i) = high(2:1:-1, i)
      end do
      call same([tall(4, :), tall(1, :)], [loop(1, :), loop(2, :)], 'the elements of y have holes')
      call ok(all(tall(2:3, :) == -1), 'the elements of y have holes, what lies in them stays')

      call fastmap(norm, x + 0, y)
      call same(y, want, 'x is an expression')
      call of_assumed_shape(x, y)
      call same(y, want, 'x and y are assumed-shape arrays')
      y = 0
      call of_assumed_size(x, y)
      call same(y, want, 'x is an assumed-size array, whose end y tells')
   end subroutine sections

   subroutine of_assumed_shape(a, b)
      real(c_double), intent(in) :: a(:, :)
      real(c_double), intent(out) :: b(:)

      call fastmap(norm, a, b)
   end subroutine of_assumed_shape

   subroutine of_assumed_size(a, b)
      real(c_double), intent(in) :: a(3, *)
      real(c_double), intent(inout) :: b(*)

      call fastmap(norm, a, b(1:n))
      call fastmap(norm, a, b, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'y(1:n)', 'an assumed-size y is refused')
   end subroutine of_assumed_size

   subroutine component_sections()
      type(particle) :: cloud(n)
      complex(c_double_complex) :: c(n)
      integer :: i

      cloud = [(particle(i*[1d0, 2d0, 3d0], 0.0, -i), i=1, n)]
      call fastmap(shifted, cloud%place(2), cloud%place(3), 1d0)
      do i = 1, n
         code = shifted(2d0*i, want(i), 1d0)
      end do
      call same(cloud%place(3), want, 'x and y are components of one array of derived type')
      call ok(all(cloud%place(1) == [(i, i=1, n)]) .and. all(cloud%kind == [(-i, i=1, n)]), &
              'x and y are components, the others stay')

      c = (3, 4)
      call fastmap(root, [(1d0*i, i=1, n)], c%re)
      call ok(all(c%re == sqrt([(1d0*i, i=1, n)])) .and. all(c%im == 4), &
              'y is the real parts of a complex array')
   end subroutine component_sections

   subroutine shared_memory()
      real(c_double) :: pairs(2, n), before(2, n)
      integer :: i

      call random_number(pairs)
      before = pairs
      call fastmap(reversed, (pairs), pairs)
      call same([pairs(1, :), pairs(2, :)], [before(2, :), before(1, :)], &
                'in place, by the book: (x), x')

      pairs = before
      call fastmap(reversed, pairs, pairs)
      call same([pairs(1, :), pairs(2, :)], [before(2, :), before(1, :)], 'in place: x, x')

      pairs = before
      call fastmap(reversed, pairs(:, 1:n - 1), pairs(:, 2:n))
      call same([pairs(1, 2:), pairs(2, 2:)], [before(2, :n - 1), before(1, :n - 1)], &
                'x and y overlap in part: as if x had been copied')

      y = x(1, :)
      do i = 1, n
         code = shifted(y(i), want(i), y(1))
      end do
      call fastmap(shifted, (y), y, y(1))
      call same(y, want, 'shared lies in y: as if it had been copied')
   end subroutine shared_memory

   subroutine kinds_of_shared()
      real(c_double) :: table(6) = [2, 0, 7, 0, 0, 0]
      integer :: i

      do i = 1, n
         code = norm(x(:, i), want(i), [2d0, 7d0])
      end do
      call fastmap(norm, x, y, [2d0, 7d0], code)
      call same(y, want, 'shared and ierr by position')
      call fastmap(norm, x, y, table(1:3:2), code)
      call same(y, want, 'shared has holes')
      call loop_norm(x, want)
      call with_optional()
   end subroutine kinds_of_shared

   subroutine with_optional(shared)
      real(c_double), intent(in), optional :: shared(:)

      call fastmap(norm, x, y, shared, code)
      call same(y, want, 'a shared that is absent in the caller is absent in the function')
   end subroutine with_optional

   subroutine procedures()
      real(c_double) :: blocks(3, 5, n), norms(5, n), offset
      integer :: i

      call fastmap(plain, x, y)
      call same(y, maxval(x, 1), 'a function that is not bind(c)')

      offset = 0.25d0
      call map_contained(x(1, :), y, offset)
      call same(y, [(x(1, i) + offset, i=1, n)], 'a contained procedure that sees its host')

      call random_number(blocks)
      call fastmap(row_norms, blocks, norms, ierr=code)
      do i = 1, n
         call loop_norm(blocks(:, :, i), want(1:5))
         if (any(norms(:, i) /= want(1:5))) exit
      end do
      call ok(code == 0 .and. i == n + 1, 'a map inside an element')
   end subroutine procedures

   subroutine sizes()
      real(c_double) :: empty(3, 0), flat(0, n)
      integer(c_size_t) :: places(n)
      integer :: i

      y = -1
      call fastmap(norm, empty, y(1:0), ierr=code)
      call ok(code == 0 .and. all(y == -1), 'no elements: success, nothing touched', &
              fastmap_last_error())
      call fastmap(root, [real(c_double) ::], y(1:0), ierr=code)
      call ok(code == 0, 'no elements, from an empty constructor', fastmap_last_error())
      call fastmap(norm, x(:, 1:1), y(1:1))
      call loop_norm(x(:, 1:1), want(1:1))
      call same(y(1:1), want(1:1), 'one element')
      call fastmap(flat_index, flat, places)
      call ok(all(places == [(i, i=1, n)]), 'elements of x without size')
   end subroutine sizes

   subroutine mistakes()
      real(c_double), pointer :: nowhere(:) => null()

      y = -1
      call fastmap(norm, x(:, 2:), y, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, '100', 'unequal last extents are refused')
      call fastmap(root, 2d0, y, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'x is a scalar', 'a scalar x is refused')
      call fastmap(norm, x, y(1), ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'y is a scalar', 'a scalar y is refused')
      call fastmap(root, nowhere, y, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'x has no memory', 'an x without memory is refused')
      call fastmap(root, y, nowhere, ierr=code)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'y has no memory', 'a y without memory is refused')
      call ok(all(y == -1), 'refused calls leave y alone')
   end subroutine mistakes

   ! Runs this program once more, as far as a mistake without ierr.
   subroutine stopping()
      character(1000) :: self
      integer :: status

      call get_command_argument(0, self)
      call execute_command_line('said=$("'//trim(self)//'" stop 2>&1); test $? -ne 0 || exit 1; ' &
                                //'case "$said" in *"x is a scalar"*) ;; *) exit 2; esac', &
                                exitstat=status)
      call ok(status /= 1, 'without ierr, an error stops the program')
      call ok(status == 0, 'without ierr, an error is said before the program stops')
   end subroutine stopping

   ! Fields that C fills and Fortran reads, from the first to the last.
   subroutine reports()
      real(c_double) :: a(n), b(n)
      type(fastmap_report) :: did
      type(fastmap_forecast) :: estimate
      character(:), allocatable :: text

      a = x(1, :)
      a(7) = -1
      call fastmap(root, a, b, ierr=code, report=did, label='roots  ')
      call ok(code == FASTMAP_ERR_ELEMENT .and. did%elements == n .and. did%failed == 1, &
              'a report counts elements and failures')
      call ok(did%failures_listed == 1 .and. did%failures(1)%index == 7 .and. &
              did%failures(1)%code == 42, 'and names them, counted from 1')
      call ok(did%seconds > 0 .and. did%workers >= 1 .and. did%ranks >= 1 .and. &
              did%local_rate > 0 .and. did%cloud_use == FASTMAP_CLOUD_UNSET .and. &
              did%cloud_said(1) == c_null_char, 'its other fields arrive, the last one, too')
      text = fastmap_explain(did)
      call ok(index(text, 'here: ') == 1 .and. index(text, 'no token') > 0, &
              'and it can be had in words', text)

      a(7:) = -1
      call fastmap(root, a, b, ierr=code, report=did, on_error=FASTMAP_ON_ERROR_STOP)
      call ok(code == FASTMAP_ERR_ELEMENT .and. did%failed < n - 6, 'on_error arrives')
      call fastmap(root, a, b, ierr=code, workers=9)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'workers', 'workers of a map arrives')
      call fastmap(root, a, b, ierr=code, verify=9)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'verify', 'verify of a map, its last field, arrives')
      call fastmap(root, a, b, ierr=code, retries=-1)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'retries', 'retries arrives')
      call fastmap(root, a, b, ierr=code, element_timeout=1d0)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'element_timeout', 'element_timeout arrives')
      call fastmap(root, a, b, ierr=code, spread=9)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'spread', 'spread arrives')
      call fastmap(root, a, b, ierr=code, element_seconds=-1d0)
      call refused(code, FASTMAP_ERR_ARGUMENT, 'element_seconds', 'element_seconds arrives')

      b = -5
      call fastmap_estimate(root, x(1, :), b, estimate, ierr=code, element_seconds=0.5d0)
      call ok(code == 0 .and. estimate%element_seconds == 0.5d0 .and. estimate%local_seconds > 0 &
              .and. estimate%dollars_most == 0 .and. estimate%balance == 0, 'a map can be estimated')
      call ok(all(b == -5), 'which computes nothing')
   end subroutine reports

   subroutine failing_elements()
      real(c_double) :: a(n), b(n)

      a = x(1, :)
      a(7) = -1
      a(70) = -1
      b = -5
      call fastmap(root, a, b, ierr=code)
      call refused(code, FASTMAP_ERR_ELEMENT, '2 of 101 elements', 'failed elements are counted')
      call refused(code, FASTMAP_ERR_ELEMENT, 'number 7 counted from 1, returned 42', &
                   'the first failed element is named, counted from 1')
      a([7, 70]) = 25
      call same(b, merge(-5d0, sqrt(a), a == 25), 'the others are computed, failed ones untouched')

      a(7) = -1
      b = -5
      call fastmap(root, a, b(n:1:-1), ierr=code)
      call ok(b(n + 1 - 7) == -5 .and. b(n) == sqrt(a(1)), 'so too where y is copied')
   end subroutine failing_elements

   subroutine positions()
      integer, parameter :: many = 2000
      integer(c_size_t) :: places(many)
      integer :: i

      call fastmap(own_index, [(1, i=1, many)], places)
      call ok(all(places == [(i, i=1, many)]), 'fastmap_index counts from 1')
      call ok(fastmap_index() == 0, 'fastmap_index is 0 outside any element')
   end subroutine positions
end program test_fortran
