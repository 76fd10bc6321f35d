# SPDX-License-Identifier: BSD-3-Clause
fm_sources += \
	lib/tier/cloud.h \
	lib/tier/course.h \
	lib/tier/tier.h \
	lib/tier/local/away.c \
	lib/tier/local/frame.h \
	lib/tier/local/futex.h \
	lib/tier/local/local.h \
	lib/tier/local/map.c \
	lib/tier/local/pool.c \
	lib/tier/local/pool.h \
	lib/tier/local/quota.c \
	lib/tier/local/quota.h \
	lib/tier/local/run.c \
	lib/tier/local/run.h \
	lib/tier/local/steal.c \
	lib/tier/local/steal.h \
	lib/tier/local/thread.c \
	lib/tier/local/thread.h \
	lib/tier/local/topology.c \
	lib/tier/local/topology.h \
	lib/tier/local/watch.c
