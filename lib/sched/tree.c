/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two kinds of heap, one over the nodes and one in each node. A heap's entry number k > 0 stands below
 * entry (k - 1) / fanout; entries are numbered in the order of ranks, so both are known in one pass.
 */
#include "sched/tree.h"

void fm_sched_tree(int size, const int *node, int fanout, int *scratch, int *parent)
{
    int *const members = scratch;          /* of each node, so far */
    int *const leaders = scratch + size;   /* the nodes' first ranks */
    int *const place = scratch + 2 * size; /* a rank's number within its node */
    int nodes = 0;
    for (int rank = 0; rank < size; rank++)
        members[rank] = 0;
    for (int rank = 0; rank < size; rank++)
        place[rank] = members[node[rank]]++;
    /* From here on members[n] is the rank that a node's next entry hangs below, found by going along. */
    for (int rank = 0; rank < size; rank++)
        if (place[rank] == 0) {
            parent[rank] = nodes == 0 ? -1 : leaders[(nodes - 1) / fanout];
            leaders[nodes++] = rank;
            members[node[rank]] = rank;
        } else {
            int above = members[node[rank]];
            const int entry = (place[rank] - 1) / fanout;
            while (place[above] < entry || node[above] != node[rank])
                above++;
            members[node[rank]] = above;
            parent[rank] = above;
        }
}

int fm_sched_turn(int size, const int *node, int turn, int *scratch)
{
    int *const members = scratch;      /* of each node, so far */
    int *const place = scratch + size; /* a rank's number within its node */
    if (turn < 0 || turn >= size)
        return -1;
    for (int rank = 0; rank < size; rank++)
        members[rank] = 0;
    for (int rank = 0; rank < size; rank++)
        place[rank] = members[node[rank]]++;
    for (int layer = 0;; layer++)
        for (int rank = 0; rank < size; rank++)
            if (place[rank] == layer && turn-- == 0)
                return rank;
}
