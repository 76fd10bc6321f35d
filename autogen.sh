#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Makes configure from configure.ac, in a checkout. A release tarball has it already.
set -eu

cd "$(dirname "$0")"
for tool in autoreconf automake libtoolize pkg-config; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "autogen.sh: $tool is missing: install autoconf, automake, libtool and pkg-config" >&2
        exit 1
    }
done
autoreconf --install "$@"
