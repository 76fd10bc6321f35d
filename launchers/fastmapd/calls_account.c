/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Health, metrics, account: what a client or an operator asks before anything else.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "calls.h"
#include "cpu.h"
#include "metrics.h"
#include "service/coding.h"

/* How bodies and outputs may be packed. */
static json_t *encodings(void)
{
    return fm_service_coding_is_there() ? json_pack("[s]", FM_SERVICE_CODING) : json_array();
}

void fmd_call_health(struct fmd_request *request)
{
    const bool draining = atomic_load(&request->service->draining);
    fmd_answer_json(&request->answer, draining ? 503 : 200,
                    json_pack("{s:s, s:[i], s:I, s:o}", "status", draining ? "draining" : "ok",
                              "versions", 1, "now",
                              (json_int_t)fmd_clock_now_s(&request->service->clock), "encodings",
                              encodings()));
}

/* ---- Metrics ---------------------------------------------------------------------------------------------
   */

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return address->sa_family == AF_INET6 &&
           (IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127));
}

void fmd_call_metrics(struct fmd_request *request)
{
    const int64_t who = request->service->config->metrics;
    if (who == FMD_METRICS_OFF || (who == FMD_METRICS_LOOPBACK && !is_loopback(request->address))) {
        fmd_answer_error(&request->answer, FMD_ERR_route, "there is no such call");
        return;
    }
    request->answer.text = fmd_metrics_text(request->service->pool, &request->answer.text_bytes);
    request->answer.status = request->answer.text != NULL ? 200 : 500;
}

/* ---- Account ---------------------------------------------------------------------------------------------
   */

static json_t *limits_of(const struct fmd_config *config)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "span_bytes",
        (json_int_t)config->span_bytes, "spans_in_flight", (json_int_t)config->spans_in_flight,
        "blob_bytes", (json_int_t)config->blob_bytes, "part_bytes", (json_int_t)config->part_bytes,
        "hold_least", (json_int_t)config->hold_least, "skew_s", (json_int_t)config->skew_s,
        "idle_s", (json_int_t)config->map_idle_s, "worker_bytes", (json_int_t)config->worker_bytes,
        "span_s", (json_int_t)config->span_s);
}

static json_t *cpu(void)
{
    json_t *features = json_array();
    const char *at = fmd_cpu_features();
    while (*at != '\0') {
        const size_t length = strcspn(at, " ");
        if (length > 0)
            json_array_append_new(features, json_stringn(at, length));
        at += length + (at[length] == ' ');
    }
    return json_pack("{s:s, s:s, s:o}", "architecture", fmd_cpu_architecture(), "model",
                     fmd_cpu_model(), "features", features);
}

int64_t fmd_call_vcpus(const struct fmd_request *request)
{
    const int64_t limit = request->token.limits.vcpus, all = request->service->vcpus;
    return limit >= 0 && limit < all ? limit : all;
}

void fmd_call_account(struct fmd_request *request)
{
    const struct fmd_service *service = request->service;
    const int64_t day_limit = request->token.limits.day_nano;
    struct fmd_standing standing;
    const int rc = fmd_ledger_standing(service->ledger, &request->token, &standing);
    if (rc != 0) {
        fmd_request_refuse_ledger(request, rc);
        return;
    }
    fmd_answer_json(&request->answer, 200,
                    json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:o, s:I, s:o, s:b}",
                              "account", request->token.name, "balance",
                              (json_int_t)standing.balance, "held", (json_int_t)standing.held,
                              "price", (json_int_t)service->config->price, "vcpus",
                              (json_int_t)fmd_call_vcpus(request), "day_limit",
                              day_limit < 0 ? json_null() : json_integer(day_limit), "day_spent",
                              (json_int_t)standing.day_spent, "limits", limits_of(service->config),
                              "cpu", cpu(), "page_bytes", (json_int_t)sysconf(_SC_PAGESIZE),
                              "encodings", encodings(), "trail", true));
}
