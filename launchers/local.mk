# SPDX-License-Identifier: BSD-3-Clause
# Programs that are installed beside the library.

# One script of several parts, each with its subject.
fm_run_parts = launchers/run/intro.sh launchers/run/words.sh launchers/run/options.sh \
    launchers/run/program.sh launchers/run/nodes.sh launchers/run/ranks.sh launchers/run/mpi.sh \
    launchers/run/command.sh launchers/run/main.sh
EXTRA_DIST += $(fm_run_parts)
bin_SCRIPTS = launchers/fastmap-run
CLEANFILES += launchers/fastmap-run

launchers/fastmap-run: $(fm_run_parts) Makefile
	$(AM_V_GEN)$(MKDIR_P) launchers && rm -f $@ && \
	    (cd $(srcdir) && for part in $(fm_run_parts); do \
	        test $$part = launchers/run/intro.sh || echo; \
	        sed -e '2,3{/^# shellcheck shell=/d;}' -e '1{/^# SPDX-/d;}' $$part; done) | \
	    sed -e 's|@''version@|$(PACKAGE_VERSION)|' -e 's|@''prefix@|$(prefix)|' \
	        -e 's|@''pkglibdir@|$(pkglibdir)|' -e 's|@''pkglibexecdir@|$(pkglibexecdir)|' >$@ && \
	    chmod a=rx,u+w $@

include launchers/fastmapd/local.mk
include launchers/fastmapd/pool.mk

# The travelling program needs OpenSSL, as does what explains it.
if HAVE_OPENSSL
pkglibexec_PROGRAMS += launchers/fastmap-explain
launchers_fastmap_explain_SOURCES = launchers/explain.c
launchers_fastmap_explain_CPPFLAGS = $(AM_CPPFLAGS) -DFM_PLUGIN_DIR='"$(pkglibdir)"' \
    -DFM_VERSION='"$(PACKAGE_VERSION)"' -DFM_LIBRARY_BELOW_PREFIX='"$(pkglibdir:$(prefix)%=%)"'
launchers_fastmap_explain_LDADD = libfastmap-program.la libfastmap-internal.la
endif
