/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans on their way, and what their receipts are worth. Outputs are put in place only when all of the
 * answer is right, so that a span whose answer is not leaves inputs (which may be the same memory) and
 * outputs as they were.
 *
 * A receipt is believed if and only if
 * (1) it is signed as the answer to this very request (call.c), and names the map and the span;
 * (2) it tells of no more elements than were sent, of all of them if it says done, and the body has the
 *     outputs of just these;
 * (3) each failure it lists lies in the span, and there are no more than it counts;
 * (4) its charge is not above the price of its CPU time, rounded up, and 0 where nothing was computed for us;
 * (5) what the map has cost is within what was held, and not below the sum of all charges that were told;
 * (6) the map has no more vCPUs, if it tells of them, than were asked for.
 * One that breaks a rule ends the map: the service lies.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tier/cloud/cloud.h"
#include "tier/cloud/say.h"

#define NS_PER_VCPU_HOUR UINT64_C(3600000000000)

/* ---- Receipts ---------------------------------------------------------------------------------------- */

static bool is_ours(const struct fm_cloud_map *map, const struct fm_cloud_flight *flight,
                    const struct fm_service_receipt *receipt)
{
    const bool is_lost = receipt->status == FM_SERVICE_LOST;
    return strcmp(receipt->map, map->id) == 0 && receipt->span == flight->span.id &&
           receipt->computed <= flight->span.count && receipt->failed <= receipt->computed &&
           (receipt->status != FM_SERVICE_DONE || receipt->computed == flight->span.count) &&
           (is_lost || flight->call.answer_bytes == receipt->computed * map->out_size);
}

static bool failures_fit(const struct fm_cloud_flight *flight,
                         const struct fm_service_receipt *receipt)
{
    const uint64_t first = flight->span.first;
    const uint64_t end = first + flight->span.count;
    for (size_t i = 0; i < receipt->failures; i++) {
        const struct fm_service_failure *failure = &receipt->failure[i];
        if (failure->index < first || failure->index >= end || failure->count == 0 ||
            failure->count > end - failure->index || failure->code == 0)
            return false;
    }
    return receipt->failures <= receipt->failed + (receipt->status == FM_SERVICE_DIED);
}

/* CPU time times price, rounded up; a second rounding may be in the difference that a charge is. */
static bool charge_is_fair(const struct fm_cloud_map *map, const struct fm_service_receipt *receipt)
{
    const unsigned __int128 exact = (unsigned __int128)receipt->cpu_ns * (uint64_t)map->price;
    const unsigned __int128 most = exact / NS_PER_VCPU_HOUR + 2;
    return (unsigned __int128)receipt->charge <= most &&
           (receipt->status != FM_SERVICE_LOST || receipt->charge == 0);
}

static bool sums_fit(const struct fm_cloud_map *map, const struct fm_service_receipt *receipt)
{
    const int64_t spent = receipt->spent > map->spent ? receipt->spent : map->spent;
    return receipt->spent <= map->hold && receipt->charge <= receipt->spent &&
           receipt->charge <= spent - map->charged && receipt->left <= map->hold - receipt->spent;
}

static bool take_receipt(struct fm_cloud_map *map, const struct fm_cloud_flight *flight,
                         struct fm_service_receipt *receipt)
{
    if (!fm_service_receipt_parse(flight->call.receipt, receipt) ||
        !is_ours(map, flight, receipt) || !failures_fit(flight, receipt) ||
        !charge_is_fair(map, receipt) || !sums_fit(map, receipt) ||
        receipt->vcpus > (uint32_t)map->vcpus_most)
        return false;
    if (receipt->vcpus > 0)
        map->grant.vcpus = (int)receipt->vcpus;
    map->charged += receipt->charge;
    if (receipt->spent > map->spent)
        map->spent = receipt->spent;
    return true;
}

/* ---- Answers ----------------------------------------------------------------------------------------- */

static const enum fm_tier_cloud_status statuses[FM_SERVICE_STATUSES] = {
    [FM_SERVICE_DONE] = FM_TIER_CLOUD_DONE, [FM_SERVICE_CUT] = FM_TIER_CLOUD_CUT,
    [FM_SERVICE_LATE] = FM_TIER_CLOUD_DIED, [FM_SERVICE_DIED] = FM_TIER_CLOUD_DIED,
    [FM_SERVICE_LOST] = FM_TIER_CLOUD_LOST,
};

static const char *const sentences[FM_SERVICE_STATUSES] = {
    [FM_SERVICE_DONE] = "",
    [FM_SERVICE_CUT] = "what the map may cost is used up; raise max_charge, or go on here",
    [FM_SERVICE_LATE] = "the span took longer than the service allows; send smaller ones",
    [FM_SERVICE_DIED] = "an element has ended its worker; see what it does that others do not",
    [FM_SERVICE_LOST] =
        "the service has lost the span, and not charged it; it is computed elsewhere",
};

/* The element that ended its worker is the last listed, the first that is not computed. */
static void copy_failures(const struct fm_cloud_flight *flight,
                          const struct fm_service_receipt *receipt,
                          struct fm_tier_cloud_answer *answer)
{
    const bool died = receipt->status == FM_SERVICE_DIED;
    const uint64_t fatal = flight->span.first + receipt->computed;
    answer->failures_listed = receipt->failures;
    for (size_t i = 0; i < receipt->failures; i++) {
        const struct fm_service_failure *from = &receipt->failure[i];
        const bool is_signal =
            died && i + 1 == receipt->failures && from->index == fatal && from->code < 0;
        answer->failures[i] =
            (struct fm_tier_cloud_failure){.index = from->index,
                                           .count = (size_t)from->count,
                                           .code = is_signal ? 0 : (int)from->code,
                                           .signal = is_signal ? (int)-from->code : 0};
    }
}

static void take_answer(struct fm_cloud_map *map, struct fm_cloud_flight *flight,
                        const struct fm_service_receipt *receipt,
                        struct fm_tier_cloud_answer *answer)
{
    answer->status = statuses[receipt->status];
    answer->computed = receipt->status == FM_SERVICE_LOST ? 0 : (size_t)receipt->computed;
    answer->failed = answer->computed > 0 ? (size_t)receipt->failed : 0;
    answer->raised = receipt->raised;
    answer->cpu_s = (double)receipt->cpu_ns * 1e-9;
    answer->charge = receipt->charge;
    answer->vcpus = (int)receipt->vcpus;
    copy_failures(flight, receipt, answer);
    fm_cloud_say(answer->why, "%s", sentences[receipt->status]);
    if (answer->computed > 0 && map->out_size > 0)
        memcpy(flight->span.out, flight->call.answer, answer->computed * map->out_size);
}

/* No more is sent, and what is under way is stopped. */
static void end_map(struct fm_cloud_map *map, const char *why)
{
    if (!map->over)
        fm_cloud_say(map->why_over, "%s", why);
    map->over = true;
}

/* After these refusals the map may go on: they are about one span. */
static bool is_about_span(const struct fm_cloud_call *call)
{
    static const char *const words[] = {"gone", "conflict", "busy",  "spans",
                                        "full", "internal", "digest"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(call->word, words[i]) == 0)
            return true;
    return false;
}

static void take_failure(struct fm_cloud_map *map, const struct fm_cloud_call *call,
                         struct fm_tier_cloud_answer *answer)
{
    const bool lost = call->end == FM_CLOUD_REFUSED && is_about_span(call);
    answer->status = lost ? FM_TIER_CLOUD_LOST : FM_TIER_CLOUD_OVER;
    fm_cloud_say(answer->why, "%s", call->why);
    if (!lost)
        end_map(map, call->why);
}

static void land(struct fm_cloud *cloud, struct fm_cloud_flight *flight,
                 struct fm_tier_cloud_answer *answer)
{
    struct fm_cloud_map *map = &cloud->map;
    struct fm_service_receipt receipt;
    *answer = (struct fm_tier_cloud_answer){.id = flight->span.id};
    if (flight->call.end == FM_CLOUD_RUNS) {
        answer->status = FM_TIER_CLOUD_OVER;
        fm_cloud_say(answer->why, "%s", map->why_over);
    } else if (flight->call.end != FM_CLOUD_GOOD) {
        take_failure(map, &flight->call, answer);
    } else if (take_receipt(map, flight, &receipt)) {
        take_answer(map, flight, &receipt, answer);
    } else {
        answer->status = FM_TIER_CLOUD_OVER;
        fm_cloud_say(answer->why,
                     "the service at %s has sent a receipt that cannot be true; do not use it, and "
                     "report it",
                     cloud->line.url);
        end_map(map, answer->why);
    }
    answer->spent = map->spent - map->before;
    answer->seconds = fm_cloud_now() - flight->sent - flight->call.connecting;
    fm_cloud_call_drop(&flight->call);
    flight->used = false;
    map->in_flight--;
}

/* ---- The calls --------------------------------------------------------------------------------------- */

static struct fm_cloud_flight *free_flight(struct fm_cloud_map *map)
{
    for (size_t i = 0; i < FM_CLOUD_FLIGHT_MOST; i++)
        if (!map->flights[i].used)
            return &map->flights[i];
    return NULL;
}

bool fm_cloud_spans_send(struct fm_cloud *cloud, const struct fm_tier_cloud_span *span)
{
    struct fm_cloud_map *map = &cloud->map;
    size_t in_bytes, out_bytes;
    if (!map->open || map->over || map->in_flight >= map->in_flight_most || span->count == 0 ||
        __builtin_mul_overflow(span->count, map->in_size, &in_bytes) ||
        in_bytes > map->span_bytes ||
        __builtin_mul_overflow(span->count, map->out_size, &out_bytes) ||
        out_bytes > map->span_bytes)
        return false;
    struct fm_cloud_flight *flight = free_flight(map);
    *flight =
        (struct fm_cloud_flight){.used = true,
                                 .span = *span,
                                 .sent = fm_cloud_now(),
                                 .call = {.method = "POST",
                                          .body = span->in,
                                          .body_bytes = in_bytes,
                                          .is_span = true,
                                          .most_bytes = out_bytes,
                                          .out_size = map->out_size,
                                          .seconds = cloud->limits.span_s + 2 * FM_CLOUD_CALL_S}};
    snprintf(flight->call.target, sizeof flight->call.target,
             "/v1/maps/%s/spans/%" PRIu64 "?first=%" PRIu64 "&count=%zu", map->id, span->id,
             span->first, span->count);
    flight->used = fm_cloud_call_begin(&cloud->line, &flight->call, &map->press);
    map->in_flight += flight->used;
    return flight->used;
}

static struct fm_cloud_flight *landed(struct fm_cloud_map *map)
{
    for (size_t i = 0; i < FM_CLOUD_FLIGHT_MOST; i++)
        if (map->flights[i].used && (map->over || map->flights[i].call.end != FM_CLOUD_RUNS))
            return &map->flights[i];
    return NULL;
}

bool fm_cloud_spans_poll(struct fm_cloud *cloud, double seconds,
                         struct fm_tier_cloud_answer *answer)
{
    struct fm_cloud_flight *flight = landed(&cloud->map);
    if (flight == NULL)
        fm_cloud_call_drive(&cloud->line, fm_cloud_now() + (seconds > 0 ? seconds : 0));
    if (flight == NULL)
        flight = landed(&cloud->map);
    if (flight == NULL)
        return false;
    land(cloud, flight, answer);
    return true;
}

void fm_cloud_spans_drop(struct fm_cloud_map *map)
{
    for (size_t i = 0; i < FM_CLOUD_FLIGHT_MOST; i++)
        if (map->flights[i].used) {
            fm_cloud_call_drop(&map->flights[i].call);
            map->flights[i].used = false;
        }
    map->in_flight = 0;
}
