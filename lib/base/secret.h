/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Secrets: the rule that a file with one in it is for its owner's eyes only, and the reading of such a
 * file. No sentence made here contains any part of a secret.
 */
#ifndef FM_BASE_SECRET_H
#define FM_BASE_SECRET_H

#include <stddef.h>
#include <sys/stat.h>

#define FM_BASE_SECRET_MAX 4096 /* bytes of a secret file, its newline included */

/* Refuses, with the code given, a text that cannot be a token: empty, too long, or with anything in it
   but printable ASCII. `where` begins the sentence. */
int fm_base_secret_check_text(int code, const char *where, const char *text, size_t length);

/* SECRET unless the opened file that `status` describes is a regular file, owned by the user or by root,
   and closed to group and others. */
int fm_base_secret_check_file(const char *path, const struct stat *status);

/* Reads the one line of a secret file into *secret, to be wiped and freed by fm_base_secret_free().
   SECRET or MEMORY with *secret untouched. */
int fm_base_secret_read(const char *path, char **secret);

/* A copy, to be ended likewise; NULL where memory ran out, with the MEMORY error recorded. */
char *fm_base_secret_copy(const char *text, size_t length);

void fm_base_secret_free(char *secret);

#endif
