/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program as it travels: the files that another machine needs to run a worker of it, each with its digest,
 * and the manifest that names them all. docs/PROGRAM.md tells what is in it and what is refused.
 *
 * Not part of libfastmap.so but of a library beside it (libfastmap-program.la), since it needs OpenSSL.
 */
#ifndef FM_PROGRAM_PROGRAM_H
#define FM_PROGRAM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/cache.h"
#include "program/elf.h"
#include "wire/manifest.h"

struct fm_program_file {
    enum fm_wire_role role;
    char *path; /* where it lay, in its shortest form: where it will lie in the worker's root */
    char *
        source; /* where its bytes are read now, /proc/self/exe for this process's own executable */
    uint64_t bytes;
    uint8_t sha256[FM_PROGRAM_SHA256];
    struct fm_program_elf elf;
    bool since_start; /* this process has had it mapped since it started */
};

struct fm_program {
    struct fm_program_file *files; /* the executable first, then as they were found */
    size_t count;
    uint64_t bytes; /* of all files */
    char *manifest; /* as lib/wire/manifest.h has it */
    size_t manifest_bytes;
    uint8_t sha256[FM_PROGRAM_SHA256]; /* of the manifest: the program's name */
};

/*
 * This process's program, with the file of `function` and what that needs (NULL: only what the executable
 * needs), and the shim at the path `worker`. It reads what it has not read before, 1 GB/s.
 * FASTMAP_ERR_PROGRAM, with a sentence that says what to do instead, where the program cannot travel.
 * Freed by fm_program_free(). Threads: any.
 */
int fm_program_gather(const void *function, const char *worker, struct fm_program *program);

/* The same for an executable that does not run, and for shared libraries (NULL-terminated) that it would
   open. Nothing of the program is executed: its loader is asked where it would find its libraries. */
int fm_program_gather_path(const char *path, const char *const *libraries, const char *worker,
                           struct fm_program *program);

void fm_program_free(struct fm_program *program);

#endif
