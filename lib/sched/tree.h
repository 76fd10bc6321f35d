/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who talks to whom: a tree over the ranks in which the ranks of a node stand together, so that no rank
 * hears from more than its few neighbours. Pure.
 */
#ifndef FM_SCHED_TREE_H
#define FM_SCHED_TREE_H

#include <stdbool.h>

/* Children that a rank has at most within its node, and a node's first rank again among the nodes. */
#define FM_SCHED_FANOUT 8

/*
 * Fills parent[0 .. size - 1]; the root is rank 0, whose parent is -1. node[i] names the node of rank i by
 * any number from 0 to size - 1. The first rank of each node leads it: the others stand below it as a heap
 * of the given fanout, and the leaders form such a heap in the order of their ranks. scratch: 3 * size
 * ints.
 */
void fm_sched_tree(int size, const int *node, int fanout, int *scratch, int *parent);

/*
 * Who comes next where one rank is to be found that can do something, and ranks of a node are likely to be
 * alike: the first rank of each node, in their order, then the second ones, and so on. The rank whose turn
 * that is, from 0 on; -1: there are not so many. scratch: 2 * size ints.
 */
int fm_sched_turn(int size, const int *node, int turn, int *scratch);

#endif
