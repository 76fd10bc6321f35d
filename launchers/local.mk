# SPDX-License-Identifier: BSD-3-Clause
# Programs that are installed beside the library.

