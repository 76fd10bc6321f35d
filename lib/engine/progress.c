/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sentences. The closing line is honest: time saved is what the threads' busy time says the plain
 * loop would have taken, less the wall time; where that is nothing, it says so.
 */
#include "engine/progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/map.h"

#define LASTING_SECONDS 1.0 /* maps shorter than that are not worth a line */
#define TERMINAL_EVERY 0.2
#define FIRST_LINE 10.0 /* without a terminal */
#define EVERY_LINE 60.0
#define SAME_WITHIN 0.05

static const char *label_or_default(const char *label)
{
    return label != NULL ? label : "map";
}

void fm_engine_progress_text(const struct fm_engine_progress *progress, char *text, size_t size)
{
    char done[FM_BASE_UNITS_BYTES];
    char n[FM_BASE_UNITS_BYTES];
    char rate[FM_BASE_UNITS_BYTES];
    char left[FM_BASE_UNITS_BYTES];
    const double per_s = progress->seconds > 0 ? (double)progress->done / progress->seconds : 0;
    const double percent =
        progress->n > 0 ? 100.0 * (double)progress->done / (double)progress->n : 100.0;
    fm_base_units_count(progress->done, done);
    fm_base_units_count(progress->n, n);
    const int used = snprintf(text, size, "%s: %s of %s (%d%%)", label_or_default(progress->label),
                              done, n, (int)percent);
    if (progress->done == 0 || used < 0 || (size_t)used >= size)
        return;
    (void)snprintf(text + used, size - (size_t)used, ", %s, about %s left",
                   fm_base_units_rate(per_s, rate),
                   fm_base_units_seconds((double)(progress->n - progress->done) / per_s, left));
}

bool fm_engine_progress_wanted(const struct fastmap_session *session)
{
    return session->settings.progress != FASTMAP_PROGRESS_OFF &&
           session->settings.verbosity >= FASTMAP_VERBOSITY_NORMAL;
}

double fm_engine_progress_due(const struct fastmap_session *session, double last_seconds)
{
    if (session->terminal)
        return last_seconds < LASTING_SECONDS ? LASTING_SECONDS : last_seconds + TERMINAL_EVERY;
    return last_seconds < FIRST_LINE ? FIRST_LINE : last_seconds + EVERY_LINE;
}

void fm_engine_progress_gauge(const struct fm_engine_gauge *gauge,
                              struct fm_engine_progress *progress)
{
    progress->n = gauge->n;
    progress->done = atomic_load_explicit(&gauge->done, memory_order_relaxed);
    progress->seconds = fm_base_ticks_to_ns(fm_base_ticks() - gauge->begun_ticks) * 1e-9;
}

double fm_engine_progress_show(const struct fastmap_session *session,
                               const struct fm_engine_progress *progress)
{
    char text[256];
    fm_engine_progress_text(progress, text, sizeof text);
    if (session->terminal)
        fm_base_status_show(text);
    else
        fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_NORMAL, "%s", text);
    return fm_engine_progress_due(session, progress->seconds);
}

static void verdict(const struct fastmap_report *report, char *text, size_t size)
{
    char seconds[FM_BASE_UNITS_BYTES];
    const double saved = report->loop_seconds - report->seconds;
    const double margin = SAME_WITHIN * report->seconds;
    if (saved > margin)
        (void)snprintf(text, size, "%s saved against the plain loop, %.2f times as fast",
                       fm_base_units_seconds(saved, seconds),
                       report->loop_seconds / report->seconds);
    else if (saved >= -margin || report->ranks > 1)
        (void)snprintf(text, size,
                       report->ranks > 1 ? "the own elements alone would not have taken longer"
                                         : "about the same speed as the plain loop");
    else
        (void)snprintf(text, size, "slower by %s, consider the plain loop",
                       fm_base_units_seconds(-saved, seconds));
}

/* Where a map ran: on threads, or on ranks, and in the cloud; to the nano-dollar. */
static void place(const struct fastmap_report *report, char *text, size_t size)
{
    char away[FM_BASE_UNITS_BYTES];
    if (report->ranks > 1)
        (void)snprintf(text, size, "%d ranks (%s of them elsewhere)", report->ranks,
                       fm_base_units_count(report->away, away));
    else
        (void)snprintf(text, size, "%d thread%s", report->workers, report->workers == 1 ? "" : "s");
    const size_t used = strlen(text);
    if (report->cloud > 0 || report->dollars > 0)
        (void)snprintf(text + used, size - used, " and the cloud (%.0f%% for $%.9f)",
                       100.0 * (double)report->cloud /
                           (double)(report->elements > 0 ? report->elements : 1),
                       report->dollars);
}

void fm_engine_closing_text(const char *label, const struct fastmap_report *report, char *text,
                            size_t size)
{
    char elements[FM_BASE_UNITS_BYTES];
    char seconds[FM_BASE_UNITS_BYTES];
    char failed[64] = "";
    char speed[96];
    char where[128];
    verdict(report, speed, sizeof speed);
    place(report, where, sizeof where);
    if (report->failed > 0)
        (void)snprintf(failed, sizeof failed, " (%zu failed)", report->failed);
    (void)snprintf(text, size, "%s: %s element%s%s in %s on %s: %s", label_or_default(label),
                   fm_base_units_count(report->elements, elements),
                   report->elements == 1 ? "" : "s", failed,
                   fm_base_units_seconds(report->seconds, seconds), where, speed);
}

/* A line each, so that none is cut and each is fastmap's. */
static void say_why(const struct fastmap_session *session, const struct fastmap_report *report)
{
    char text[1024];
    char *rest = text;
    if (fm_engine_explain(report, text, sizeof text) != 0)
        return;
    for (const char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
        fm_base_log(session->settings.verbosity, FASTMAP_VERBOSITY_LOUD, "  %s", line);
}

void fm_engine_closing_say(const struct fastmap_session *session, const char *label,
                           const struct fastmap_report *report)
{
    const enum fastmap_verbosity level =
        report->seconds >= LASTING_SECONDS ? FASTMAP_VERBOSITY_NORMAL : FASTMAP_VERBOSITY_LOUD;
    if (session->settings.verbosity < level)
        return;
    char text[256];
    fm_engine_closing_text(label, report, text, sizeof text);
    fm_base_log(session->settings.verbosity, level, "%s", text);
    if (session->settings.verbosity >= FASTMAP_VERBOSITY_LOUD)
        say_why(session, report);
}
