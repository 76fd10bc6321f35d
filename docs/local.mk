# SPDX-License-Identifier: BSD-3-Clause
# What is installed to be read. New pages are appended here, a line each.

dist_man_MANS = docs/man/fastmap.3
dist_man_MANS += docs/man/fastmap.conf.5
dist_man_MANS += docs/man/fastmap-run.1
if HAVE_SERVICE
service_mans = docs/man/fastmapd.8 docs/man/fastmapd.conf.5
man_MANS = $(service_mans)
endif
EXTRA_DIST += docs/man/fastmapd.8 docs/man/fastmapd.conf.5
dist_doc_DATA = LICENSE README.md CHANGELOG.md SECURITY.md
dist_doc_DATA += docs/ARCHITECTURE.md
dist_doc_DATA += docs/FORTRAN.md
dist_doc_DATA += docs/HOSTS.md
dist_doc_DATA += docs/PROGRAM.md
dist_doc_DATA += docs/PROTOCOL.md
dist_doc_DATA += docs/SANDBOX.md
dist_doc_DATA += docs/WORKER.md
dist_doc_DATA += docs/adaptive.svg
