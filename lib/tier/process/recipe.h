/* SPDX-License-Identifier: BSD-3-Clause */
/* What it takes to start this program once more as a worker: found once per process. */
#ifndef FM_PROCESS_RECIPE_H
#define FM_PROCESS_RECIPE_H

#define FM_PROCESS_CHANNEL_FD 3 /* the worker's end of the channel, there */

/* 0, or PROGRAM with a sentence: why this program cannot be started again, and what to do; MEMORY. */
int fm_process_recipe_check(void);

/* The environment of a worker, as the process's own is now. NULL: no memory. The caller frees it. */
char **fm_process_recipe_environment(void);

/* The program to execute, and the name that it goes by. After a check that succeeded. */
const char *fm_process_recipe_program(void);
const char *fm_process_recipe_name(void);

#endif
