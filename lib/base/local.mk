# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/base/clock.c lib/base/clock.h lib/base/clock_posix.h lib/base/clock_x86.h \
	lib/base/fenv.h lib/base/fenv_c99.h lib/base/fenv_x86.h \
	lib/base/error.c lib/base/error.h lib/base/failure.c lib/base/failure.h lib/base/io.h lib/base/log.c lib/base/log.h \
	lib/base/secret.c lib/base/secret.h lib/base/settings.c lib/base/settings.h \
	lib/base/settings_file.c lib/base/settings_file.h \
	lib/base/settings_table.c lib/base/settings_table.h \
	lib/base/text.c lib/base/text.h lib/base/thread.c lib/base/thread.h lib/base/waited.c lib/base/waited.h lib/base/units.c lib/base/units.h \
	lib/base/values.c lib/base/values.h
