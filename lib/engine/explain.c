/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A report in words. Pure: everything comes from the report's figures, so that a program can ask for the same
 * lines at any time that LOUD prints after a map. A line for each that computed, and one for the cloud's
 * reason, which is a row of a table: the sentence before the figures, and which figures belong to it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/units.h"
#include "engine/check.h"
#include "engine/engine.h"

/* Text that grows; what does not fit is left out. */
struct lines {
    char *text;
    size_t bytes;
    size_t used;
};

static __attribute__((format(printf, 2, 3))) void put(struct lines *to, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(to->text + to->used, to->bytes - to->used, fmt, args);
    va_end(args);
    if (length > 0)
        to->used +=
            (size_t)length < to->bytes - to->used ? (size_t)length : to->bytes - to->used - 1;
}

/* "here:  2 threads, 1.0 k/s, 580 elements (58%)" */
static void put_part(struct lines *to, const char *who, size_t elements, double rate,
                     const struct fastmap_report *report)
{
    char count[FM_BASE_UNITS_BYTES];
    char per_s[FM_BASE_UNITS_BYTES];
    const double all = (double)(report->elements > 0 ? report->elements : 1);
    put(to, "%s, %s, %s element%s (%.0f%%)", who, fm_base_units_rate(rate, per_s),
        fm_base_units_count(elements, count), elements == 1 ? "" : "s",
        100 * (double)elements / all);
}

/* Why it was so many. */
static void put_vcpus(struct lines *to, const struct fastmap_report *report)
{
    if (report->cloud_vcpus < report->cloud_vcpus_wished)
        put(to, "%d of %d wished: the service has no more free", report->cloud_vcpus,
            report->cloud_vcpus_wished);
    else if (report->cloud_vcpus_wished < report->cloud_vcpus_account)
        put(to, "%d as max_cloud_workers says, of the account's %d", report->cloud_vcpus,
            report->cloud_vcpus_account);
    else
        put(to, "%d, all that the account may have", report->cloud_vcpus);
}

static void put_link(struct lines *to, const struct fastmap_report *report)
{
    char text[FM_BASE_UNITS_BYTES];
    put(to, "round trip %s", fm_base_units_seconds(report->cloud_round_trip, text));
    if (report->cloud_bytes_per_s > 0)
        put(to, ", %s/s carried", fm_base_units_bytes((uint64_t)report->cloud_bytes_per_s, text));
}

static void put_tiers(struct lines *to, const struct fastmap_report *report)
{
    char who[48];
    const size_t away = report->away < report->elements ? report->away : report->elements;
    const size_t cloud = report->cloud < away ? report->cloud : away;
    (void)snprintf(who, sizeof who, "here: %d thread%s", report->workers,
                   report->workers == 1 ? "" : "s");
    put_part(to, who, report->elements - away, report->local_rate, report);
    if (report->ranks > 1) {
        (void)snprintf(who, sizeof who, "\nother ranks: %d", report->ranks - 1);
        put_part(to, who, away - cloud, report->ranks_rate, report);
    }
    if (report->cloud_vcpus <= 0)
        return;
    put_part(to, "\nthe cloud", cloud, report->cloud_rate, report);
    put(to, " for $%.9f; vCPUs: ", report->dollars);
    put_vcpus(to, report);
    put(to, "; ");
    put_link(to, report);
}

/* ---- The reason ---- */

enum figures { NOTHING, LEFT, GAIN, BOTH, SAID };

static const struct row {
    const char *sentence;
    enum figures figures;
} rows[] = {
    [FASTMAP_CLOUD_UNSET] = {"not asked, since there is no token or no cloud_url", NOTHING},
    [FASTMAP_CLOUD_POLICY] = {"not asked, since exec_policy is LOCAL", NOTHING},
    [FASTMAP_CLOUD_ELSEWHERE] = {"not asked from here, where the map was inside an element or "
                                 "beside another, or on a rank that does not talk to the cloud",
                                 NOTHING},
    [FASTMAP_CLOUD_SHORT] = {"not asked, since the map would have been over before it could help",
                             LEFT},
    [FASTMAP_CLOUD_NO_GAIN] = {"asked and not used, since it would not have helped enough", BOTH},
    [FASTMAP_CLOUD_DECLINED] = {"", SAID},
    [FASTMAP_CLOUD_NO_MONEY] = {"", SAID},
    [FASTMAP_CLOUD_FAILED] = {"", SAID},
    [FASTMAP_CLOUD_LATE] = {"wanted, but the map was over before its first result", GAIN},
    [FASTMAP_CLOUD_USED] = {"used", GAIN},
};

static void put_gain(struct lines *to, const struct fastmap_report *report)
{
    char left[FM_BASE_UNITS_BYTES];
    char with[FM_BASE_UNITS_BYTES];
    (void)fm_base_units_seconds(report->cloud_left_seconds, left);
    (void)fm_base_units_seconds(report->cloud_with_seconds, with);
    if (report->cloud_left_seconds <= 0) /* the policy leaves nothing to this side */
        put(to, ", since exec_policy is CLOUD");
    else
        put(to, ": the rest would have taken %s without it, %s with it", left, with);
}

static void put_reason(struct lines *to, const struct fastmap_report *report)
{
    char left[FM_BASE_UNITS_BYTES];
    const struct row *row = &rows[report->cloud_use];
    put(to, "\nthe cloud was %s", row->sentence);
    if (row->figures == GAIN || row->figures == BOTH)
        put_gain(to, report);
    if (row->figures == BOTH) {
        put(to, " by %d vCPU%s, ", report->cloud_vcpus_wished,
            report->cloud_vcpus_wished == 1 ? "" : "s");
        put_link(to, report);
    }
    if (row->figures == LEFT && report->cloud_left_seconds > 0)
        put(to, ": the rest was %s of work here",
            fm_base_units_seconds(report->cloud_left_seconds, left));
    if (row->figures == SAID)
        put(to, "%s: %s", report->cloud > 0 ? "used no more" : "not used", report->cloud_said);
}

int fm_engine_explain(const struct fastmap_report *report, char *text, size_t bytes)
{
    if (report == NULL || report->size != sizeof *report ||
        (unsigned)report->cloud_use >= sizeof rows / sizeof *rows || text == NULL || bytes == 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the report or the text is NULL, has size 0, or no map has filled the "
                            "report: pass one that started as FASTMAP_REPORT()");
    struct lines lines = {.text = text, .bytes = bytes};
    text[0] = '\0';
    put_tiers(&lines, report);
    put_reason(&lines, report);
    return 0;
}
