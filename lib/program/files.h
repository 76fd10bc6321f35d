/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of a program's files as it grows: from the executable along what each file needs. Where a needed
 * library lies is answered by a finder, of which there is one for the running process and one for a path.
 */
#ifndef FM_PROGRAM_FILES_H
#define FM_PROGRAM_FILES_H

#include "program/program.h"

/* Where a file is. */
struct fm_program_place {
    const char *path;      /* as the loader has it; absolute */
    const char *source;    /* NULL: the path */
    const void *loaded_at; /* an address in it, where this process has it loaded */
};

struct fm_program_finder {
    /* FASTMAP_ERR_PROGRAM, with a sentence, where the library is nowhere. */
    int (*find)(const struct fm_program_finder *finder, const char *name, const char *needed_by,
                struct fm_program_place *place);
};

/* The path from the root on, in new memory; symbolic links are not followed. NULL: no memory. */
char *fm_program_files_absolute(const char *path);

/* Adds a file (once), which must be ELF and, where it is loaded here, still be what is loaded. */
int fm_program_files_add(struct fm_program *program, const struct fm_program_place *place,
                         enum fm_wire_role role, bool since_start);

/* The executable, and the loader that it names. Refuses what cannot be a worker. */
int fm_program_files_begin(struct fm_program *program, const struct fm_program_place *executable);

/* Adds what the files need, and what that needs. */
int fm_program_files_close(struct fm_program *program, const struct fm_program_finder *finder);

/* Checks that there is a libfastmap to serve, writes the manifest and names it. */
int fm_program_files_seal(struct fm_program *program);

#endif
