# SPDX-License-Identifier: BSD-3-Clause
# What is installed to be read. New pages are appended here.

dist_man_MANS = docs/man/fastmap.3 docs/man/fastmap.conf.5
dist_doc_DATA = LICENSE README.md CHANGELOG.md SECURITY.md docs/ARCHITECTURE.md docs/FORTRAN.md docs/WORKER.md
