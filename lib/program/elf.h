/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an ELF file says of itself: for which machine it is, who loads it, which libraries it needs. The
 * file may be anybody's: each offset, size and count in it is checked before it is followed.
 */
#ifndef FM_PROGRAM_ELF_H
#define FM_PROGRAM_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the bytes come from: up to `bytes` of them from `offset` on; returns how many there were. */
struct fm_program_input {
    size_t (*read)(const struct fm_program_input *input, uint64_t offset, void *buffer,
                   size_t bytes);
    const void *memory; /* for a reader's own use, as are the others */
    size_t size;
    int fd;
};

#define FM_PROGRAM_NEEDED_MOST 1024

struct fm_program_elf {
    const char *machine; /* as uname -m says it; "an unknown machine" */
    char *interpreter;   /* the loader it asks for; NULL: none */
    char *soname;        /* NULL: none */
    char **needed;       /* libraries, as they are named */
    size_t needed_count;
    bool exports_serve; /* it defines fastmap_serve for others */
};

struct fm_program_input fm_program_input_fd(int fd);
struct fm_program_input fm_program_input_memory(const void *bytes, size_t size);

/* FASTMAP_ERR_PROGRAM with a sentence about `shown` where the file is none of this machine's executables and
   shared libraries, or is damaged. Freed by fm_program_elf_free(). */
int fm_program_elf_read(const struct fm_program_input *input, const char *shown,
                        struct fm_program_elf *elf);

void fm_program_elf_free(struct fm_program_elf *elf);

#endif
