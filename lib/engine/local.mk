# SPDX-License-Identifier: BSD-3-Clause
fm_sources += \
	lib/engine/blocks.c \
	lib/engine/blocks.h \
	lib/engine/check.c \
	lib/engine/check.h \
	lib/engine/engine.h \
	lib/engine/failure.c \
	lib/engine/group.h \
	lib/engine/history.c \
	lib/engine/history.h \
	lib/engine/jobs.c \
	lib/engine/keeper.c \
	lib/engine/keeper.h \
	lib/engine/letters.c \
	lib/engine/letters.h \
	lib/engine/map.c \
	lib/engine/map.h \
	lib/engine/opening.c \
	lib/engine/opening.h \
	lib/engine/policy.c \
	lib/engine/policy.h \
	lib/engine/porter.c \
	lib/engine/progress.c \
	lib/engine/progress.h \
	lib/engine/ranks.c \
	lib/engine/ranks.h \
	lib/engine/servant.c \
	lib/engine/serve.c \
	lib/engine/session.c \
	lib/engine/shares.c \
	lib/engine/talk.c \
	lib/engine/terms.c \
	lib/engine/terms.h \
	lib/engine/worker.c \
	lib/engine/worker.h \
	lib/engine/world.c \
	lib/engine/world.h
