/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proteins from files, FASTA or Swiss-Prot flat files: which of them, the first line tells. All sequences of
 * a set lie one after the other in one array of residue codes (smith_waterman.h).
 */
#ifndef PROTEINS_H
#define PROTEINS_H

#include <stddef.h>

struct protein {
    char name[48]; /* Swiss-Prot: ID; FASTA: first word, or NAME of sp|ACCESSION|NAME */
    char accession
        [24];       /* Swiss-Prot: first AC; FASTA: ACCESSION of sp|ACCESSION|NAME, or the name */
    char title[96]; /* Swiss-Prot: full name; FASTA: what follows the first word */
    size_t first;   /* of its residues, in the set's array */
    size_t length;  /* residues, at least 1 */
};

/* Start from all zero. */
struct proteins {
    struct protein *entry;
    size_t count, room;
    unsigned char *residues;
    size_t residue_count, residue_room;
    size_t unknown;  /* letters that BLOSUM62 does not know, read as X */
    size_t empty;    /* entries without residues, left out */
    char error[320]; /* after a failure: what was wrong, where, and what to do */
};

/* Adds a file's proteins to a set. 0, or -1 with the set's error filled. */
int proteins_read(struct proteins *set, const char *path);

/* The entry of that name or accession; NULL if there is none. */
const struct protein *proteins_find(const struct proteins *set, const char *name);

void proteins_free(struct proteins *set);

#endif
