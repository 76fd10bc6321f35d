/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The recurrence, for query position j and target position i, with s the substitution score:
 *
 *     H(i,j) = max(0, H(i-1,j-1) + s(i,j), E(i,j), F(i,j))      best alignment that ends here
 *     E(i,j) = max(H(i-1,j) - open - extend, E(i-1,j) - extend)  ... ending in a gap in the query
 *     F(i,j) = max(H(i,j-1) - open - extend, F(i,j-1) - extend)  ... ending in a gap in the target
 *
 * Both functions walk it row by row and keep one row of H and of E, and the one F. sw_score() keeps the
 * scores; to open a gap right after one never pays, so it takes F from an H that leaves F out, and the
 * processor waits less from one j to the next. sw_align() keeps with each score where its alignment began
 * and what it has counted so far, which spares the traceback and the matrix that one needs. Ties go to the
 * diagonal, then E, then F, and to the end that comes first, so that the answer is the same everywhere.
 */
#include "smith_waterman.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "ARNDCQEGHILKMFPSTWYVBZX";

/* clang-format off: a table */
static const signed char blosum62[SW_LETTERS][SW_LETTERS] = {
    /*       A   R   N   D   C   Q   E   G   H   I   L   K   M   F   P   S   T   W   Y   V   B   Z   X */
    /* A */ {4, -1, -2, -2, 0, -1, -1, 0, -2, -1, -1, -1, -1, -2, -1, 1, 0, -3, -2, 0, -2, -1, 0},
    /* R */ {-1, 5, 0, -2, -3, 1, 0, -2, 0, -3, -2, 2, -1, -3, -2, -1, -1, -3, -2, -3, -1, 0, -1},
    /* N */ {-2, 0, 6, 1, -3, 0, 0, 0, 1, -3, -3, 0, -2, -3, -2, 1, 0, -4, -2, -3, 3, 0, -1},
    /* D */ {-2, -2, 1, 6, -3, 0, 2, -1, -1, -3, -4, -1, -3, -3, -1, 0, -1, -4, -3, -3, 4, 1, -1},
    /* C */ {0,  -3, -3, -3, 9,  -3, -4, -3, -3, -1, -1, -3,
             -1, -2, -3, -1, -1, -2, -2, -1, -3, -3, -2},
    /* Q */ {-1, 1, 0, 0, -3, 5, 2, -2, 0, -3, -2, 1, 0, -3, -1, 0, -1, -2, -1, -2, 0, 3, -1},
    /* E */ {-1, 0, 0, 2, -4, 2, 5, -2, 0, -3, -3, 1, -2, -3, -1, 0, -1, -3, -2, -2, 1, 4, -1},
    /* G */ {0,  -2, 0,  -1, -3, -2, -2, 6,  -2, -4, -4, -2,
             -3, -3, -2, 0,  -2, -2, -3, -3, -1, -2, -1},
    /* H */ {-2, 0, 1, -1, -3, 0, 0, -2, 8, -3, -3, -1, -2, -1, -2, -1, -2, -2, 2, -3, 0, 0, -1},
    /* I */ {-1, -3, -3, -3, -1, -3, -3, -4, -3, 4, 2, -3, 1, 0, -3, -2, -1, -3, -1, 3, -3, -3, -1},
    /* L */ {-1, -2, -3, -4, -1, -2, -3, -4, -3, 2, 4, -2, 2, 0, -3, -2, -1, -2, -1, 1, -4, -3, -1},
    /* K */ {-1, 2, 0, -1, -3, 1, 1, -2, -1, -3, -2, 5, -1, -3, -1, 0, -1, -3, -2, -2, 0, 1, -1},
    /* M */ {-1, -1, -2, -3, -1, 0, -2, -3, -2, 1, 2, -1, 5, 0, -2, -1, -1, -1, -1, 1, -3, -1, -1},
    /* F */ {-2, -3, -3, -3, -2, -3, -3, -3, -1, 0, 0, -3, 0, 6, -4, -2, -2, 1, 3, -1, -3, -3, -1},
    /* P */ {-1, -2, -2, -1, -3, -1, -1, -2, -2, -3, -3, -1,
             -2, -4, 7,  -1, -1, -4, -3, -2, -2, -1, -2},
    /* S */ {1, -1, 1, 0, -1, 0, 0, 0, -1, -2, -2, 0, -1, -2, -1, 4, 1, -3, -2, -2, 0, 0, 0},
    /* T */ {0, -1, 0, -1, -1, -1, -1, -2, -2, -1, -1, -1, -1, -2, -1, 1, 5, -2, -2, 0, -1, -1, 0},
    /* W */ {-3, -3, -4, -4, -2, -2, -3, -2, -2, -3, -2, -3,
             -1, 1,  -4, -3, -2, 11, 2,  -3, -4, -3, -2},
    /* Y */ {-2, -2, -2, -3, -2, -1, -2, -3, 2,  -1, -1, -2,
             -1, 3,  -3, -2, -2, 2,  7,  -1, -3, -2, -1},
    /* V */ {0, -3, -3, -3, -1, -2, -2, -3, -3, 3, 1, -2, 1, -1, -2, -2, 0, -3, -1, 4, -3, -2, -1},
    /* B */ {-2, -1, 3, 4, -3, 0, 1, -1, 0, -3, -4, 0, -3, -3, -2, 0, -1, -4, -3, -3, 4, 1, -1},
    /* Z */ {-1, 0, 0, 1, -3, 3, 4, -2, 0, -3, -3, 1, -1, -3, -1, 0, -1, -3, -2, -2, 1, 4, -1},
    /* X */ {0,  -1, -1, -1, -2, -1, -1, -1, -1, -1, -1, -1,
             -1, -1, -2, 0,  0,  -2, -1, -1, -1, -1, -1}};
/* clang-format on */

int sw_code(char letter)
{
    int upper = toupper((unsigned char)letter);
    const char *found = upper ? strchr(letters, upper) : NULL;
    return found ? (int)(found - letters) : -1;
}

int sw_substitution(unsigned char a, unsigned char b)
{
    return blosum62[a][b];
}

static inline int larger(int a, int b)
{
    return a > b ? a : b;
}

int sw_score(const struct sw_pair *pair, int *work)
{
    const int open = SW_GAP_OPEN + SW_GAP_EXTEND;
    int *restrict h_row = work, *restrict e_row = work + pair->query_length;
    int best = 0;
    memset(work, 0,
           2 * pair->query_length * sizeof *work); /* E = 0 adds nothing that H = 0 has not */
    for (size_t i = 0; i < pair->target_length; i++) {
        const signed char *substitution = blosum62[pair->target[i]];
        int diagonal = 0, f = 0;
        for (size_t j = 0; j < pair->query_length; j++) {
            int h_but_f = larger(larger(0, diagonal + substitution[pair->query[j]]), e_row[j]);
            int h = larger(h_but_f, f);
            f = larger(h_but_f - open, f - SW_GAP_EXTEND);
            best = larger(best, h);
            e_row[j] = larger(h - open, e_row[j] - SW_GAP_EXTEND);
            diagonal = h_row[j];
            h_row[j] = h;
        }
    }
    return best;
}

/* The best alignment that ends in a certain way at a certain place. */
struct path {
    int score;
    size_t query_first, target_first, columns, identical;
};

static struct path extend_gap(struct path path, int cost)
{
    path.score -= cost;
    path.columns++;
    return path;
}

static struct path better(struct path a, struct path b)
{
    return b.score > a.score ? b : a;
}

/* The path before, and the pair of positions i and j. */
static struct path add_pair(struct path path, const struct sw_pair *pair, size_t i, size_t j)
{
    if (path.score == 0)
        path = (struct path){.query_first = j + 1, .target_first = i + 1};
    path.score += blosum62[pair->target[i]][pair->query[j]];
    path.columns++;
    path.identical += pair->target[i] == pair->query[j];
    return path;
}

static struct sw_alignment end_at(struct path path, size_t i, size_t j)
{
    return (struct sw_alignment){.score = path.score,
                                 .query_first = path.query_first,
                                 .query_last = j + 1,
                                 .target_first = path.target_first,
                                 .target_last = i + 1,
                                 .columns = path.columns,
                                 .identical = path.identical};
}

int sw_align(const struct sw_pair *pair, struct sw_alignment *alignment)
{
    const int open = SW_GAP_OPEN + SW_GAP_EXTEND;
    const struct path none = {0};
    struct path *h_row = calloc(pair->query_length + 1, 2 * sizeof *h_row);
    if (!h_row)
        return -1;
    struct path *e_row = h_row + pair->query_length;
    struct sw_alignment best = {0};
    for (size_t i = 0; i < pair->target_length; i++) {
        struct path diagonal = none, f = none;
        for (size_t j = 0; j < pair->query_length; j++) {
            struct path h = better(add_pair(diagonal, pair, i, j), e_row[j]);
            h = better(better(h, f), none);
            if (h.score <= 0)
                h = none; /* a path of score 0 is no alignment: the next one begins afresh */
            if (h.score > best.score)
                best = end_at(h, i, j);
            e_row[j] = better(extend_gap(h, open), extend_gap(e_row[j], SW_GAP_EXTEND));
            f = better(extend_gap(h, open), extend_gap(f, SW_GAP_EXTEND));
            diagonal = h_row[j];
            h_row[j] = h;
        }
    }
    free(h_row);
    *alignment = best;
    return 0;
}
