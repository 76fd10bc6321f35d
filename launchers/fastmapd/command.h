/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands beside serving. Each takes what is left of argv after the flags that are settings, and returns
 * the exit status.
 */
#ifndef FMD_COMMAND_H
#define FMD_COMMAND_H

#include "config.h"

int fmd_command_account(const struct fmd_config *config, int argc, char **argv);
int fmd_command_audit(const struct fmd_config *config, int argc, char **argv);
int fmd_command_status(const struct fmd_config *config, int argc, char **argv);

/* Serves until a signal ends it (serve.c). */
int fmd_command_serve(const struct fmd_config *config, int argc, char **argv);

/* Prints "fastmapd: <last error>" and returns 1. */
int fmd_command_fail(void);

#endif
