/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manifest of a travelling program: which files it is made of, where they lay, and what the processor
 * was that it ran on. It is text, and canonical: one program has one manifest, so that the manifest's own
 * SHA-256 names the program. Pure functions; docs/PROGRAM.md shows an example.
 *
 *     fastmap-program 1
 *     machine x86_64
 *     cpu adx aes avx avx2
 *     executable 6c0b...e1 16232 /opt/fit/bin/fit
 *     library 02d5...77 1922136 /lib/x86_64-linux-gnu/libc.so.6
 *     loader 9f31...0a 210968 /lib64/ld-linux-x86-64.so.2
 *     worker 17c8...55 14472 /usr/lib/fastmap/fastmap-worker.so
 *
 * Valid if and only if
 * (1) its bytes are lines, each ended by a newline, at most FM_WIRE_MANIFEST_MOST bytes together;
 * (2) the first is "fastmap-program 1"; the second "machine", a space and one word; the third "cpu" and
 *     words, a space before each, sorted by their bytes, none twice; a word has letters, digits and _-. ;
 * (3) each further line is a file: role, SHA-256 in 64 lower-case hexadecimal digits, bytes in decimal
 *     without leading zeros and below 2^63, path, a space between; at most FM_WIRE_MANIFEST_FILES;
 * (4) the files are sorted by the bytes of their paths, '/' as the least of them, none twice, and no path
 *     is another's folder;
 * (5) a path begins with '/', does not end with it, has no empty, "." or ".." component and no control
 *     character, and is shorter than FM_WIRE_MANIFEST_PATH bytes: below any folder it names one file in it;
 * (6) there is one executable, one loader, one worker, and at most one fastmap (none: the executable has
 *     the library inside); the others are libraries.
 */
#ifndef FM_WIRE_MANIFEST_H
#define FM_WIRE_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#define FM_WIRE_MANIFEST_MOST ((size_t)1 << 20)
#define FM_WIRE_MANIFEST_FILES 4096
#define FM_WIRE_MANIFEST_PATH 4096
#define FM_WIRE_MANIFEST_SHA256 32

enum fm_wire_role {
    FM_WIRE_ROLE_EXECUTABLE,
    FM_WIRE_ROLE_LOADER,  /* the dynamic loader: what starts a worker */
    FM_WIRE_ROLE_WORKER,  /* the shim that is preloaded */
    FM_WIRE_ROLE_FASTMAP, /* libfastmap, where it is a file of its own */
    FM_WIRE_ROLE_LIBRARY,
    FM_WIRE_ROLES
};

struct fm_wire_file {
    enum fm_wire_role role;
    uint8_t sha256[FM_WIRE_MANIFEST_SHA256];
    uint64_t bytes;
    const char *path;
};

struct fm_wire_manifest {
    const char *machine;        /* as uname -m says it */
    const char *cpu;            /* features, sorted, a space between; "" where none is known */
    struct fm_wire_file *files; /* sorted by path */
    size_t count;
    char *text; /* the decoder's own; the pointers above lead into it */
};

/* Sorts the files and writes the manifest to new memory, `length` bytes and a NUL. FASTMAP_ERR_PROGRAM,
   with a sentence, where they make no valid one. */
int fm_wire_manifest_encode(const struct fm_wire_manifest *manifest, char **text, size_t *length);

/* FASTMAP_ERR_PROGRAM, with a sentence naming the line, where the bytes are no valid manifest. Freed by
   fm_wire_manifest_free(). */
int fm_wire_manifest_decode(const char *text, size_t length, struct fm_wire_manifest *manifest);

void fm_wire_manifest_free(struct fm_wire_manifest *manifest);

const char *fm_wire_manifest_role(enum fm_wire_role role);

/* 64 digits and a NUL. */
void fm_wire_manifest_hex(const uint8_t sha256[FM_WIRE_MANIFEST_SHA256], char hex[65]);

#endif
