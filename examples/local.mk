# SPDX-License-Identifier: BSD-3-Clause
# The examples: built by make, run by tests/examples.sh, not installed. Each links what users link.

noinst_PROGRAMS += examples/hello examples/pi examples/align

examples_hello_SOURCES = examples/hello.c

examples_pi_SOURCES = examples/pi.c
examples_pi_LDADD = libfastmap.la -lm

align_parts = examples/proteins.c examples/proteins.h \
    examples/smith_waterman.c examples/smith_waterman.h
examples_align_SOURCES = examples/align.c $(align_parts)
examples_align_LDADD = libfastmap.la -lm

if HAVE_PNG
noinst_PROGRAMS += examples/mandelbrot
examples_mandelbrot_SOURCES = examples/mandelbrot.c
examples_mandelbrot_CFLAGS = $(AM_CFLAGS) $(PNG_CFLAGS)
examples_mandelbrot_LDADD = libfastmap.la $(PNG_LIBS) -lm
endif

if HAVE_FORTRAN
noinst_PROGRAMS += examples/ode_sweep
examples_ode_sweep_SOURCES = include/fastmap.f90 examples/ode_sweep.f90
# The compiled module must be there before it is used.
examples/ode_sweep.$(OBJEXT): include/fastmap.$(OBJEXT)
endif

if HAVE_OPENMPI
noinst_PROGRAMS += examples/flame
examples_flame_SOURCES = examples/flame.c
examples_flame_CFLAGS = $(AM_CFLAGS) $(OMPI_CFLAGS)
examples_flame_LDADD = libfastmap.la $(OMPI_LIBS) -lm
endif

EXTRA_DIST += examples/README.md
