# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/wire/bytes.h lib/wire/worker.c lib/wire/worker.h
