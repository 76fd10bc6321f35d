/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cloud in this process: the contract of tier/cloud.h with threads for vCPUs and sleeps for the network, so
 * that tests of the engine's side need no service, and can provoke what a service would do wrong.
 */
#ifndef FM_TEST_STAND_IN_CLOUD_H
#define FM_TEST_STAND_IN_CLOUD_H

#include "tier/cloud.h"

/* What goes wrong. */
enum stand_in_fault {
    STAND_IN_FINE,
    STAND_IN_REFUSES,     /* to connect */
    STAND_IN_OPENS_NOT,   /* the map is not opened */
    STAND_IN_GOES,        /* after some spans all others are answered OVER */
    STAND_IN_LOSES,       /* every third span is answered LOST */
    STAND_IN_CUTS,        /* spans end half-way when the budget is used up */
    STAND_IN_KILLS,       /* an element dies in the tenth span */
    STAND_IN_LIES,        /* results have a wrong bit */
    STAND_IN_STALLS,      /* after some spans nothing is answered any more */
    STAND_IN_OPENS_SLOWLY /* half a second, unless it is told to give up */
};

struct stand_in {
    enum stand_in_fault fault;
    int vcpus;
    int first;         /* of these, that maps have at first; 0: all */
    int later;         /* that they have from the third span on; 0: as before */
    double round_trip; /* seconds */
    int64_t price;
    int64_t balance;
    bool is_old;      /* it knows nothing of trails */
    bool is_boastful; /* its elements took five hundred years, it says */
    /* What was seen: */
    _Atomic int connects;
    _Atomic int opens;
    _Atomic int closes; /* of maps that were open */
    _Atomic int spans;
    _Atomic int64_t spent;
    _Atomic int64_t budget;
    _Atomic int64_t first_index; /* of the first element with a trail, once this is set to -1 */
};

extern struct stand_in stand_in;
extern const struct fm_tier_cloud stand_in_tier;

#endif
