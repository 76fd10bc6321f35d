# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/sched/course.c lib/sched/course.h lib/sched/ranks.c lib/sched/ranks.h lib/sched/share.c lib/sched/share.h \
	lib/sched/split.c lib/sched/split.h lib/sched/spread.c lib/sched/spread.h lib/sched/tree.c lib/sched/tree.h
