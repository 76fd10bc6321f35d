/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a function is called outside its process: the file that it lies in and its distance from where that
 * file is loaded. The pair means the same in every process that has the file, whatever their addresses;
 * "" names the executable, which another process may have under another path.
 */
#ifndef FM_PROGRAM_MODULE_H
#define FM_PROGRAM_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#define FM_PROGRAM_PATH_BYTES 4096

struct fm_program_function {
    char module[FM_PROGRAM_PATH_BYTES]; /* absolute, or "" for the executable */
    uint64_t offset;
};

/* Names the function. FASTMAP_ERR_PROGRAM, with a sentence, where it lies in no file or the executable is
   static, so that no other process could have it. */
int fm_program_locate(const void *function, struct fm_program_function *found);

/* The same as cheaply as can be, without sentence: module as the loader keeps it, perhaps relative, valid
   while it is loaded. False: no loaded file has the function. */
bool fm_program_find(const void *function, const char **module, uint64_t *offset);

/* The function in this process. A module that is not loaded is loaded, and stays. NULL, with a sentence,
   where it cannot be or does not reach as far as the offset. */
void *fm_program_resolve(const char *module, uint64_t offset);

/* False: a static executable, which has no loader and cannot be another process's worker. */
bool fm_program_is_dynamic(void);

#endif
