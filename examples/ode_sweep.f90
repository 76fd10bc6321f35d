! SPDX-License-Identifier: BSD-3-Clause
!
! Sweeps a stiff chemical system over a grid of rate constants, by the plain loop, then by fastmap.
! The system is Robertson's (1966), which every stiff integrator is tried on:
!
!     A -> B,  B + B -> C + B,  B + C -> A + C     with rates k1, k2, k3, from A = 1, B = C = 0.
!
! Each element integrates it with rate constants and an end time of its own, which decide how many
! steps it takes: elements of unequal cost, which a fixed division among threads serves badly.

module robertson
   use, intrinsic :: iso_c_binding
   implicit none

   type, bind(c) :: tolerances
      real(c_double) :: relative, absolute
   end type tolerances

   type, bind(c) :: outcome
      real(c_double) :: y(3) ! A, B and C at the end
      integer(c_int) :: steps
   end type outcome

contains

   pure function rate_of_change(k, y) result(f)
      real(c_double), intent(in) :: k(3), y(3)
      real(c_double) :: f(3)

      f(1) = -k(1)*y(1) + k(3)*y(2)*y(3)
      f(3) = k(2)*y(2)**2
      f(2) = -f(1) - f(3)
   end function rate_of_change

   pure function jacobian(k, y) result(j)
      real(c_double), intent(in) :: k(3), y(3)
      real(c_double) :: j(3, 3)

      j(1, :) = [-k(1), k(3)*y(3), k(3)*y(2)]
      j(3, :) = [0d0, 2*k(2)*y(2), 0d0]
      j(2, :) = -j(1, :) - j(3, :)
   end function jacobian

   ! Solves a*x = b, with a factored in place by factor(). No pivoting: 1/(gamma*h) on the diagonal
   ! of these matrices makes it large enough.
   pure function solve(a, b) result(x)
      real(c_double), intent(in) :: a(3, 3), b(3)
      real(c_double) :: x(3)

      x(1) = b(1)
      x(2) = b(2) - a(2, 1)*x(1)
      x(3) = (b(3) - a(3, 1)*x(1) - a(3, 2)*x(2))/a(3, 3)
      x(2) = (x(2) - a(2, 3)*x(3))/a(2, 2)
      x(1) = (x(1) - a(1, 2)*x(2) - a(1, 3)*x(3))/a(1, 1)
   end function solve

   pure subroutine factor(a)
      real(c_double), intent(inout) :: a(3, 3)

      a(2:3, 1) = a(2:3, 1)/a(1, 1)
      a(2:3, 2) = a(2:3, 2) - a(2:3, 1)*a(1, 2)
      a(2:3, 3) = a(2:3, 3) - a(2:3, 1)*a(1, 3)
      a(3, 2) = a(3, 2)/a(2, 2)
      a(3, 3) = a(3, 3) - a(3, 2)*a(2, 3)
   end subroutine factor

   ! One step of Rodas3, a Rosenbrock method of order 3 with an estimate of its error: A. Sandu and
   ! others, Benchmarking stiff ODE solvers for atmospheric chemistry problems II, Atmospheric
   ! Environment 31 (1997) 3459.
   pure subroutine rodas3(k, h, y, new, error)
      real(c_double), intent(in) :: k(3), h, y(3)
      real(c_double), intent(out) :: new(3), error(3)
      real(c_double) :: a(3, 3), f(3), u1(3), u2(3), u3(3), u4(3)
      integer :: i

      a = -jacobian(k, y)
      do i = 1, 3
         a(i, i) = a(i, i) + 2/h
      end do
      call factor(a)
      f = rate_of_change(k, y)
      u1 = solve(a, f)
      u2 = solve(a, f + 4*u1/h)
      u3 = solve(a, rate_of_change(k, y + 2*u1) + (u1 - u2)/h)
      u4 = solve(a, rate_of_change(k, y + 2*u1 + u3) + (u1 - u2 - 8*u3/3)/h)
      new = y + 2*u1 + u3 + u4
      error = u4
   end subroutine rodas3

   ! The element function: x holds k1, k2, k3 and the end time. Fails where no end is in sight.
   recursive integer(c_int) function integrate(x, y, tolerance) bind(c)
      real(c_double), intent(in) :: x(4)
      type(outcome), intent(out) :: y
      type(tolerances), intent(in) :: tolerance
      real(c_double) :: t, h, new(3), error(3), scale(3), distance
      integer :: tries

      integrate = 1
      y = outcome([1d0, 0d0, 0d0], 0)
      t = 0
      h = 1d-6
      do tries = 1, 1000000
         h = min(h, x(4) - t)
         call rodas3(x(1:3), h, y%y, new, error)
         scale = tolerance%absolute + tolerance%relative*max(abs(y%y), abs(new))
         distance = maxval(abs(error)/scale)
         if (distance <= 1) then
            t = merge(x(4), t + h, h >= x(4) - t)
            y%y = new
            y%steps = y%steps + 1
            integrate = merge(0, 1, t >= x(4))
            if (integrate == 0) return
         end if
         h = h*min(5d0, max(0.2d0, 0.9d0/max(distance, 1d-10)**(1d0/3)))
      end do
   end function integrate
end module robertson

program ode_sweep
   use, intrinsic :: iso_c_binding
   use fastmap_mod
   use robertson
   implicit none

   integer, parameter :: points = 8, n = points**4
   type(tolerances), parameter :: tolerance = tolerances(1d-6, 1d-18)
   real(c_double) :: x(4, n), loop_seconds, fastmap_seconds
   type(outcome) :: y(n), plain(n)
   integer :: i

   call check_published()
   call fill_grid()

   loop_seconds = -seconds()
   do i = 1, n
      if (integrate(x(:, i), plain(i), tolerance) /= 0) error stop 'no end in sight'
   end do
   loop_seconds = loop_seconds + seconds()

   fastmap_seconds = -seconds()
   call fastmap(integrate, x, y, tolerance)
   fastmap_seconds = fastmap_seconds + seconds()

   call print_results()
   print '(/, i0, 2(a, f0.3), a, f0.2)', n, ' integrations: plain loop ', loop_seconds, &
      ' s, fastmap ', fastmap_seconds, ' s, speed-up ', loop_seconds/fastmap_seconds
   if (any([(any(differ(y(i)%y, plain(i)%y)), i=1, n)])) error stop 'results identical: no'
   print '(a)', 'results identical: yes'

contains

   ! Bit for bit.
   elemental logical function differ(a, b)
      real(c_double), intent(in) :: a, b

      differ = transfer(a, 0_c_int64_t) /= transfer(b, 0_c_int64_t)
   end function differ

   ! Against the Test Set for Initial Value Problem Solvers (F. Mazzia and C. Magherini, 2008).
   subroutine check_published()
      real(c_double), parameter :: published(3, 2) = reshape([ &
         0.7158270687193941d0, 0.9185534764557338d-5, 0.2841637457458413d0, &
         0.2083340149701255d-7, 0.8333360770334713d-13, 0.9999999791665050d0], [3, 2])
      real(c_double), parameter :: classical(4, 2) = reshape([ &
         0.04d0, 3d7, 1d4, 40d0, 0.04d0, 3d7, 1d4, 1d11], [4, 2])
      real(c_double) :: off
      integer :: j

      call fastmap(integrate, classical, y(1:2), tolerance)
      do j = 1, 2
         off = maxval(abs(y(j)%y/published(:, j) - 1))
         print '(a, es7.1, a, 3es14.6, a, es8.1)', 't = ', classical(4, j), ':', y(j)%y, &
            '   off the published by', off
         if (off > 1d-4) error stop 'too far off the published values'
      end do
   end subroutine check_published

   ! Each rate constant from a tenth to ten times the classical one, each end time from 40 to 1e11.
   subroutine fill_grid()
      integer :: digit(4), j

      do j = 1, n
         digit = mod((j - 1)/points**[0, 1, 2, 3], points)
         x(1:3, j) = [0.04d0, 3d7, 1d4]*10**(2d0*digit(1:3)/(points - 1) - 1)
         x(4, j) = 40*(1d11/40)**(digit(4)/(points - 1d0))
      end do
   end subroutine fill_grid

   subroutine print_results()
      integer, parameter :: last = points**3 - 1
      integer :: j

      print '(/, a)', '  end time    A left: least        most    steps: fewest   most'
      do j = 1, n, last + 1
         print '(es10.2, 2x, 2es14.4, 8x, 2i7)', x(4, j), minval(y(j:j + last)%y(1)), &
            maxval(y(j:j + last)%y(1)), minval(y(j:j + last)%steps), maxval(y(j:j + last)%steps)
      end do
   end subroutine print_results

   real(c_double) function seconds()
      integer(c_int64_t) :: ticks, per_second

      call system_clock(ticks, per_second)
      seconds = real(ticks, c_double)/real(per_second, c_double)
   end function seconds
end program ode_sweep
