# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/tier/process/answer.c lib/tier/process/map.c lib/tier/process/map.h \
	lib/tier/process/meet.c \
	lib/tier/process/memory.c lib/tier/process/memory.h lib/tier/process/output.c \
	lib/tier/process/output.h lib/tier/process/places.c lib/tier/process/process.h \
	lib/tier/process/recipe.c lib/tier/process/recipe.h lib/tier/process/span.c \
	lib/tier/process/start.c lib/tier/process/start.h lib/tier/process/worker.c \
	lib/tier/process/worker.h
