/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Spans: the inputs are read into memory that the worker shares, the outputs are copied out of it once, and
 * are the same for everybody who asks for them again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "calls.h"
#include "log.h"
#include "metrics.h"
#include "service/receipt.h"
#include "span_run.h"
#include "text.h"

struct span {
    struct fmd_span_run run;
    bool is_running; /* in the table of spans: ends there by an outcome or by being forgotten */
};

/* ---- The headers -----------------------------------------------------------------------------------------
   */

static bool take_numbers(struct fmd_request *request, struct fmd_span_name *name)
{
    int64_t number, first, count;
    if (fmd_text_number(fmd_request_piece(request, 1), &number) &&
        fmd_target_number(&request->target, "first", &first) &&
        fmd_target_number(&request->target, "count", &count) && count > 0 &&
        first <= INT64_MAX - count) {
        *name = (struct fmd_span_name){(uint64_t)number, (uint64_t)first, (uint64_t)count, {0}};
        memcpy(name->digest, request->claim.digest, sizeof name->digest);
        return true;
    }
    fmd_answer_error(&request->answer, FMD_ERR_request,
                     "span, first and count must be numbers, count at least 1");
    return false;
}

static void refuse_unknown(struct fmd_request *request, const char *id)
{
    struct fmd_map_row row;
    const int found =
        fmd_ledger_find_map(request->service->ledger, request->token.account, id, &row);
    if (found == 1 && row.is_open && row.host != atomic_load(&request->service->host))
        fmd_answer_error(&request->answer, FMD_ERR_map,
                         "the map is open on another host; open one here");
    else if (found == 1)
        fmd_answer_error(&request->answer, FMD_ERR_closed, "the map is closed; open another");
    else if (found == 0)
        fmd_answer_error(&request->answer, FMD_ERR_map, "this account has no such map here");
    else
        fmd_request_refuse_ledger(request, found);
}

static bool check_sizes(struct fmd_request *request, const struct span *own)
{
    const uint64_t most = (uint64_t)request->service->config->span_bytes;
    uint64_t in, out;
    if (!__builtin_mul_overflow(own->run.name.count, own->run.open->in_size, &in) &&
        in == request->length &&
        !__builtin_mul_overflow(own->run.name.count, own->run.open->out_size, &out) && out <= most)
        return true;
    fmd_answer_error(
        &request->answer, FMD_ERR_size,
        "the body must have count * in_size bytes, and the outputs not more than %" PRIu64, most);
    fmd_answer_add(&request->answer, "most", json_integer((json_int_t)most));
    return false;
}

/* What the table of spans says; the map's mutex is not held. */
static bool refuse_begun(struct fmd_request *request, struct fmd_open *open,
                         enum fmd_spans_answer answer, struct fmd_outcome *outcome)
{
    switch (answer) {
    case FMD_SPANS_NEW: return false;
    case FMD_SPANS_KEPT:
        fmd_answer_outcome(&request->answer, outcome);
        fmd_outcome_drop(outcome);
        fmd_packing_answer(request, open);
        fmd_metrics_add(FMD_METRIC_spans_repeated, 1);
        break;
    case FMD_SPANS_RUNNING:
        fmd_answer_error(&request->answer, FMD_ERR_busy, "the span is being computed; ask again");
        request->answer.retry_s = 1;
        break;
    case FMD_SPANS_GONE:
        fmd_answer_error(&request->answer, FMD_ERR_gone,
                         "the span was computed, its outputs are kept no longer");
        break;
    case FMD_SPANS_CONFLICT:
        fmd_answer_error(&request->answer, FMD_ERR_conflict,
                         "the span's number was used for other inputs or another range");
        break;
    case FMD_SPANS_NO_MEMORY:
        fmd_answer_error(&request->answer, FMD_ERR_full, "no memory for another span");
        break;
    }
    return true;
}

static bool enter(struct fmd_request *request, struct span *own)
{
    const struct fmd_config *config = request->service->config;
    struct fmd_open *open = own->run.open;
    struct fmd_outcome *outcome = NULL;
    enum fmd_spans_answer answer = FMD_SPANS_NEW;
    pthread_mutex_lock(&open->mutex);
    const bool closing = open->closing;
    const bool full = open->in_flight >= (size_t)config->spans_in_flight;
    const bool over = fmd_spans_count(open->spans) >= (size_t)config->spans_map;
    if (!closing && !full && !over)
        answer = fmd_spans_begin(open->spans, &own->run.name, &outcome);
    own->is_running = !closing && !full && !over && answer == FMD_SPANS_NEW;
    open->in_flight += own->is_running;
    open->used_ns = fmd_now_ns();
    pthread_mutex_unlock(&open->mutex);
    if (closing || over)
        fmd_answer_error(&request->answer, FMD_ERR_closed,
                         "the map is closed, or has had all spans that it may have");
    else if (full)
        fmd_answer_error(&request->answer, FMD_ERR_spans,
                         "the map has as many spans in flight as it may");
    else
        refuse_begun(request, open, answer, outcome);
    if (own->is_running)
        fmd_metrics_add(FMD_METRIC_spans_running, 1);
    return own->is_running;
}

void fmd_call_span_begin(struct fmd_request *request)
{
    const char *id = fmd_request_piece(request, 0);
    struct span *own = calloc(1, sizeof *own);
    request->own = own;
    if (own == NULL) {
        fmd_answer_error(&request->answer, FMD_ERR_full, "no memory for another span");
        return;
    }
    sem_init(&own->run.done, 0, 0);
    if (!take_numbers(request, &own->run.name))
        return;
    own->run.open = fmd_maps_find(request->service->maps, request->token.account, id);
    if (own->run.open == NULL) {
        refuse_unknown(request, id);
        return;
    }
    if (!check_sizes(request, own) || !enter(request, own))
        return;
    own->run.span = fmd_span_reserve(own->run.open->map, own->run.name.first, own->run.name.count);
    request->meter = &own->run.open->meter;
    if (own->run.span == NULL) {
        fmd_answer_error(&request->answer, FMD_ERR_full, "no memory for another span; ask again");
        request->answer.retry_s = 1;
    }
}

void fmd_call_span_receive(struct fmd_request *request, const void *bytes, size_t count)
{
    const struct span *own = request->own;
    memcpy((char *)fmd_span_in(own->run.span) + request->received, bytes, count);
}

/* ---- The answer ------------------------------------------------------------------------------------------
   */

static const struct {
    enum fm_service_status status;
    enum fmd_metric metric;
} told[] = {
    [FMD_SPAN_DONE] = {FM_SERVICE_DONE, FMD_METRIC_spans_done},
    [FMD_SPAN_DIED] = {FM_SERVICE_DIED, FMD_METRIC_spans_died},
    [FMD_SPAN_NONSENSE] = {FM_SERVICE_DIED, FMD_METRIC_spans_died},
    [FMD_SPAN_LATE] = {FM_SERVICE_LATE, FMD_METRIC_spans_late},
    [FMD_SPAN_CUT] = {FM_SERVICE_CUT, FMD_METRIC_spans_cut},
    [FMD_SPAN_LOST] = {FM_SERVICE_LOST, FMD_METRIC_spans_lost},
};

static void add_failures(const struct fmd_span_result *result, struct fm_service_receipt *receipt)
{
    const bool died = result->status == FMD_SPAN_DIED && result->crash_index != FM_WIRE_WORKER_NONE;
    const size_t room = FM_SERVICE_FAILURES - died;
    for (uint32_t i = 0; i < result->listed && i < room; i++)
        receipt->failure[receipt->failures++] = (struct fm_service_failure){
            result->failures[i].first, result->failures[i].count, result->failures[i].code};
    if (died)
        receipt->failure[receipt->failures++] = (struct fm_service_failure){
            result->crash_index, 1,
            result->crash_signal != 0 ? -result->crash_signal : 256 + result->crash_status};
}

static char *receipt_of(const struct span *own, const struct fmd_settlement *s)
{
    char text[FM_SERVICE_RECEIPT_BYTES];
    const struct fmd_span_result *result = &own->run.result;
    struct fm_service_receipt receipt = {.span = own->run.name.number,
                                         .status = told[result->status].status,
                                         .computed = result->computed,
                                         .failed = result->failed,
                                         .raised = result->raised,
                                         .cpu_ns = (uint64_t)s->cpu_ns,
                                         .charge = s->charge,
                                         .spent = s->spent,
                                         .left = s->left,
                                         .vcpus = fmd_span_vcpus(own->run.span)};
    strcpy(receipt.map, own->run.open->id);
    add_failures(result, &receipt);
    fm_service_receipt_format(&receipt, text);
    return strdup(text);
}

static struct fmd_outcome *outcome_of(const struct span *own, const struct fmd_settlement *s)
{
    const size_t bytes = own->run.result.computed * own->run.open->out_size;
    struct fmd_outcome *outcome = fmd_outcome_new(bytes);
    if (outcome == NULL)
        return NULL;
    outcome->receipt = receipt_of(own, s);
    if (outcome->receipt == NULL) {
        fmd_outcome_drop(outcome);
        return NULL;
    }
    if (bytes > 0)
        memcpy(outcome->body, fmd_span_out(own->run.span), bytes);
    return outcome;
}

/* In the table: done, its outcome kept (NULL: gone already), or to be begun again. */
static void leave(struct span *own, bool is_over, struct fmd_outcome *outcome)
{
    struct fmd_open *open = own->run.open;
    pthread_mutex_lock(&open->mutex);
    if (is_over)
        fmd_spans_end(open->spans, own->run.name.number, outcome);
    else
        fmd_spans_forget(open->spans, own->run.name.number);
    open->in_flight--;
    open->used_ns = fmd_now_ns();
    pthread_mutex_unlock(&open->mutex);
    own->is_running = false;
    fmd_metrics_add(FMD_METRIC_spans_running, -1);
}

static void tell_outcome(struct fmd_request *request, struct span *own,
                         const struct fmd_settlement *s)
{
    struct fmd_outcome *outcome = outcome_of(own, s);
    fmd_metrics_add(told[own->run.result.status].metric, 1);
    fmd_span_release(own->run.span);
    own->run.span = NULL;
    leave(own, fmd_span_is_final(own->run.result.status) && own->run.is_promised, outcome);
    if (outcome == NULL) {
        fmd_answer_error(&request->answer, FMD_ERR_gone, "no memory for the outputs");
        return;
    }
    fmd_answer_outcome(&request->answer, outcome);
    fmd_outcome_drop(outcome);
    fmd_packing_answer(request, own->run.open);
}

/* The worker runs but cannot do it, or could not be started: no receipt, but a charge. */
static void tell_function(struct fmd_request *request, const struct span *own,
                          const struct fmd_settlement *s)
{
    fmd_answer_error(&request->answer, FMD_ERR_function, "%s", own->run.result.sentence);
    fmd_answer_add(&request->answer, "cpu_ns", json_integer(s->cpu_ns));
    fmd_answer_add(&request->answer, "charge", json_integer(s->charge));
    fmd_answer_add(&request->answer, "spent", json_integer(s->spent));
    fmd_answer_add(&request->answer, "left", json_integer(s->left));
}

/* It was closed behind this host's back, or the span was charged in an attempt whose end nobody learned
   of. */
static void tell_unsettled(struct fmd_request *request, struct span *own, int rc)
{
    if (rc == FMD_LEDGER_CLOSED) {
        fmd_maps_close(request->service->maps, own->run.open);
        fmd_answer_error(&request->answer, FMD_ERR_closed,
                         "the map was closed; the span is not charged");
    } else if (rc == FMD_LEDGER_TWICE)
        fmd_answer_error(
            &request->answer, FMD_ERR_gone,
            "the span was computed and charged before, its outputs are kept no longer");
    else
        fmd_request_refuse_ledger(request, rc);
}

void fmd_call_span_finish(struct fmd_request *request)
{
    struct span *own = request->own;
    struct fmd_settlement s;
    const int64_t begun_ns = fmd_now_ns();
    fmd_span_run(&own->run);
    fmd_metrics_add(FMD_METRIC_wait_ns, fmd_now_ns() - begun_ns);
    const int rc = fmd_span_settle(request->service->ledger, &own->run, &s);
    if (rc != 0)
        tell_unsettled(request, own, rc);
    else if (own->run.result.status == FMD_SPAN_CLOSED)
        fmd_answer_error(&request->answer, FMD_ERR_closed,
                         "the map was closed; the span is not charged");
    else if (own->run.result.status == FMD_SPAN_REFUSED ||
             own->run.result.status == FMD_SPAN_FAILED)
        tell_function(request, own, &s);
    else
        tell_outcome(request, own, &s);
}

/* Whatever has become of it. */
void fmd_call_span_forget(struct fmd_request *request)
{
    struct span *own = request->own;
    if (own == NULL)
        return;
    if (own->run.span != NULL)
        fmd_span_release(own->run.span);
    if (own->is_running)
        leave(own, false, NULL);
    if (own->run.open != NULL)
        fmd_maps_put(request->service->maps, own->run.open);
    sem_destroy(&own->run.done);
    free(own);
}
