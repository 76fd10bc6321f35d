/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why the cloud takes part in a map, or does not: what purse and courier decide is noted here with its
 * figures, said at LOUD where it changes, and ends up in the report.
 *
 * In the cloud's structure it is protected by the world's mutex, as all of that is.
 */
#ifndef FM_ENGINE_REASON_H
#define FM_ENGINE_REASON_H

#include <stdint.h>

#include "engine/engine.h"

struct fm_engine_cloud;
struct fm_engine_group;
struct fm_engine_map;

struct fm_engine_reason {
    enum fastmap_cloud_use use;
    double left_s; /* that the rest takes without the cloud, and ... */
    double with_s; /* ... with it, when that was decided */
    char said[FASTMAP_REPORT_SAID];
    bool opened;         /* the map, in the cloud */
    uint64_t told_ticks; /* of the last line about a change; 0: none yet */
};

/* A map begins. */
void fm_engine_reason_begin(struct fm_engine_cloud *cloud);

/* A decision, with the seconds that the rest takes without and with the cloud. Of those not to ask the one
   with the most left counts. */
void fm_engine_reason_note(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use, double left_s,
                           double with_s);

/* The end of its part, with a sentence. */
void fm_engine_reason_end(struct fm_engine_cloud *cloud, enum fastmap_cloud_use use,
                          const char *said);

/* At LOUD: the map is open in the cloud; elements are sent again, or no more for the time being, at most a
   line a second. */
void fm_engine_reason_opened(struct fm_engine_cloud *cloud);
void fm_engine_reason_sends(struct fm_engine_cloud *cloud, bool sends);

/* Its map has another number of vCPUs. */
void fm_engine_reason_vcpus(struct fm_engine_cloud *cloud);

/* Into the report of a map over ranks or with the cloud; of one that neither could take part in. */
void fm_engine_reason_report(const struct fm_engine_group *group, struct fastmap_report *report);
void fm_engine_reason_local(const struct fm_engine_map *run, struct fastmap_report *report);

#endif
