/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The promise, the wait for the worker, the charge.
 */
#include "span_run.h"

#include "metrics.h"

#define PROMISE_LEAST_NS UINT64_C(1000000000)

/* ---- Computing -------------------------------------------------------------------------------------------
   */

/* What is left of the hold and promised to nobody. The map's mutex is held. */
static uint64_t left_of(const struct fmd_purse *purse)
{
    return fmd_money_affords(purse->hold, purse->price) - purse->cpu_ns - purse->promised_ns;
}

static uint64_t promise(struct fmd_open *open)
{
    const uint64_t part = left_of(&open->purse) / (2 * open->vcpus);
    return fmd_purse_promise(&open->purse, part > PROMISE_LEAST_NS ? part : PROMISE_LEAST_NS);
}

/* Waits for a promise of CPU time. False where the map is closed; 0 ns where the hold is used up. The map's
   mutex is held. */
static bool wait_for_promise(struct fmd_open *open, uint64_t *promised_ns)
{
    for (;;) {
        if (open->closing)
            return false;
        if (left_of(&open->purse) >= PROMISE_LEAST_NS || open->committed == 0) {
            *promised_ns = promise(open);
            return true;
        }
        pthread_cond_wait(&open->changed, &open->mutex);
    }
}

/* It has used up its promise. */
static uint64_t on_more(void *user)
{
    const struct fmd_span_run *run = user;
    struct fmd_open *open = run->open;
    pthread_mutex_lock(&open->mutex);
    const uint64_t more_ns = promise(open);
    pthread_mutex_unlock(&open->mutex);
    return more_ns;
}

static void on_done(struct fmd_span *span, const struct fmd_span_result *result, void *user)
{
    struct fmd_span_run *run = user;
    (void)span;
    run->result = *result;
    run->promised_ns = result->granted_ns;
    sem_post(&run->done);
}

/* False where the map is closed, or the hold used up: nothing was promised. */
static bool commit(struct fmd_span_run *run)
{
    struct fmd_open *open = run->open;
    pthread_rwlock_rdlock(&open->gate);
    pthread_mutex_lock(&open->mutex);
    const bool go = !open->closing;
    pthread_mutex_unlock(&open->mutex);
    if (go)
        fmd_span_commit(run->span, run->promised_ns, on_more, on_done, run);
    pthread_rwlock_unlock(&open->gate);
    return go;
}

void fmd_span_run(struct fmd_span_run *run)
{
    struct fmd_open *open = run->open;
    pthread_mutex_lock(&open->mutex);
    const bool is_open = wait_for_promise(open, &run->promised_ns);
    run->is_promised = run->promised_ns > 0;
    open->committed += run->is_promised;
    pthread_mutex_unlock(&open->mutex);
    run->result.status = is_open ? FMD_SPAN_CUT : FMD_SPAN_CLOSED;
    if (!run->is_promised)
        return;
    if (!commit(run)) {
        run->result.status = FMD_SPAN_CLOSED;
        return;
    }
    while (sem_wait(&run->done) != 0)
        continue; /* a signal */
}

/* ---- Money -----------------------------------------------------------------------------------------------
   */

static bool is_charged(enum fmd_span_status status)
{
    return status != FMD_SPAN_LOST && status != FMD_SPAN_CLOSED;
}

bool fmd_span_is_final(enum fmd_span_status status)
{
    return status == FMD_SPAN_DONE || status == FMD_SPAN_DIED || status == FMD_SPAN_NONSENSE ||
           status == FMD_SPAN_LATE || status == FMD_SPAN_CUT;
}

/* The hold's side of it: what is paid for. Another thread's promise may wait for this. */
static int64_t settle_purse(struct fmd_span_run *run)
{
    struct fmd_open *open = run->open;
    const uint64_t used_ns = is_charged(run->result.status) ? run->result.cpu_ns : 0;
    pthread_mutex_lock(&open->mutex);
    const uint64_t before_ns = open->purse.cpu_ns;
    fmd_purse_settle(&open->purse, run->promised_ns, used_ns);
    const uint64_t paid_ns = open->purse.cpu_ns - before_ns;
    pthread_mutex_unlock(&open->mutex);
    return (int64_t)paid_ns;
}

/* A span that was promised nothing, or is not charged, says how the map stands. */
static void stand(struct fmd_open *open, struct fmd_settlement *settlement)
{
    pthread_mutex_lock(&open->mutex);
    settlement->spent = open->purse.spent;
    settlement->left = open->purse.hold - open->purse.spent;
    pthread_mutex_unlock(&open->mutex);
}

static void end_commitment(const struct fmd_span_run *run)
{
    struct fmd_open *open = run->open;
    pthread_mutex_lock(&open->mutex);
    open->committed -= run->is_promised;
    pthread_cond_broadcast(&open->changed);
    pthread_mutex_unlock(&open->mutex);
}

int fmd_span_settle(struct fmd_ledger *ledger, struct fmd_span_run *run,
                    struct fmd_settlement *settlement)
{
    struct fmd_open *open = run->open;
    const enum fmd_span_status status = run->result.status;
    const bool charges = is_charged(status) && run->is_promised;
    int rc = 0;
    *settlement = (struct fmd_settlement){
        .map = open->id,
        .account = open->account,
        .token = open->token,
        .span = fmd_span_is_final(status) ? (int64_t)run->name.number : -1,
        .cpu_ns = settle_purse(run),
    };
    if (charges)
        rc = fmd_ledger_settle(ledger, settlement);
    else
        stand(open, settlement);
    end_commitment(run);
    fmd_metrics_add(FMD_METRIC_cpu_ns, rc == 0 ? settlement->cpu_ns : 0);
    fmd_metrics_add(FMD_METRIC_charged_nano, rc == 0 ? settlement->charge : 0);
    return rc;
}
