/* SPDX-License-Identifier: BSD-3-Clause */
/* What a person is told about maps that last: a progress line while they run, a closing line after. */
#ifndef FM_ENGINE_PROGRESS_H
#define FM_ENGINE_PROGRESS_H

#include <fastmap.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/engine.h"

/* How far a map is. */
struct fm_engine_progress {
    const char *label;
    size_t done;
    size_t n;
    double seconds; /* since it began */
};

/* "align: 1,234 of 5,000 (24%), 410/s, about 9 s left" in text. Pure. */
void fm_engine_progress_text(const struct fm_engine_progress *progress, char *text, size_t size);

/* Whether the session shows progress at all. */
bool fm_engine_progress_wanted(const struct fastmap_session *session);

/* Seconds after which the next line is due: a few times a second on a terminal, else rarely. */
double fm_engine_progress_due(const struct fastmap_session *session, double last_seconds);

struct fm_engine_gauge;

/* What a gauge says. */
void fm_engine_progress_gauge(const struct fm_engine_gauge *gauge,
                              struct fm_engine_progress *progress);

/* Shows it; returns after how many seconds the next line is due. */
double fm_engine_progress_show(const struct fastmap_session *session,
                               const struct fm_engine_progress *progress);

/* What a map did, in one line. Pure. */
void fm_engine_closing_text(const char *label, const struct fastmap_report *report, char *text,
                            size_t size);

/* Says it where the session's verbosity and the map's length ask for it. */
void fm_engine_closing_say(const struct fastmap_session *session, const char *label,
                           const struct fastmap_report *report);

#endif
