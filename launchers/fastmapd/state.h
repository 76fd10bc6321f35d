/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The state folder: where it is, and whose daemon owns it.
 */
#ifndef FMD_STATE_H
#define FMD_STATE_H

#include "config.h"

/* Puts the default into config->state where it is empty. CONFIG where there is no home. */
int fmd_state_choose(struct fmd_config *config);

/* Opens it, making it where it is missing. */
int fmd_state_open(const struct fmd_config *config, int *folder);

/* Keeps other daemons out until the descriptor is closed. STATE where there is one already. */
int fmd_state_lock(int folder, const char *path, int *lock);

#endif
