# SPDX-License-Identifier: BSD-3-Clause
fm_sources += lib/program/maps.c lib/program/maps.h lib/program/module.c lib/program/module.h
