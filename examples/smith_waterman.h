/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local alignment of two proteins: T. F. Smith and M. S. Waterman, J. Mol. Biol. 147:195 (1981), in the
 * quadratic-time form for affine gaps of O. Gotoh, J. Mol. Biol. 162:705 (1982), scored by BLOSUM62 (S. and
 * J. G. Henikoff, PNAS 89:10915 (1992)). A gap of k residues costs 11 + k.
 */
#ifndef SMITH_WATERMAN_H
#define SMITH_WATERMAN_H

#include <stddef.h>

enum { SW_LETTERS = 23, SW_UNKNOWN = 22, SW_GAP_OPEN = 11, SW_GAP_EXTEND = 1 };

/* Code of a residue's letter, either case, from 0 to 22; -1 where BLOSUM62 does not know it. */
int sw_code(char letter);

/* What two codes score when aligned. */
int sw_substitution(unsigned char a, unsigned char b);

/* Two proteins, as codes. */
struct sw_pair {
    const unsigned char *query, *target;
    size_t query_length, target_length;
};

/* One best alignment; positions count from 1. All zero where nothing scores above 0. */
struct sw_alignment {
    int score;
    size_t query_first, query_last, target_first, target_last;
    size_t columns;   /* aligned pairs and gap positions */
    size_t identical; /* of these, pairs of the same letter */
};

/* The score alone, fast. work: room for 2 * query_length ints, overwritten. */
int sw_score(const struct sw_pair *pair, int *work);

/* The same score with where it comes from, in memory linear in the query. 0, or -1: no memory. */
int sw_align(const struct sw_pair *pair, struct sw_alignment *alignment);

#endif
