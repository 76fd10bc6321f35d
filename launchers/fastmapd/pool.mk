# SPDX-License-Identifier: BSD-3-Clause
# The part of fastmapd that keeps and runs other people's programs.
EXTRA_DIST += launchers/fastmapd/pool.h launchers/fastmapd/store.h
