/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The promise, the wait for the worker, the charge.
 */
#include "span_run.h"

#include "metrics.h"

#define PROMISE_LEAST_NS UINT64_C(1000000000)

/* ---- Computing -------------------------------------------------------------------------------------------
   */

/* Waits for a promise of CPU time. False where the map is closed; 0 ns where the hold is used up. The map's
   mutex is held. */
static bool wait_for_promise(struct fmd_open *open, uint64_t *promised_ns)
{
    for (;;) {
        const struct fmd_purse *purse = &open->purse;
        const uint64_t left =
            fmd_money_affords(purse->hold, purse->price) - purse->cpu_ns - purse->promised_ns;
        const uint64_t part = left / (2 * open->vcpus);
        const uint64_t want = part > PROMISE_LEAST_NS ? part : PROMISE_LEAST_NS;
        if (open->closing)
            return false;
        if (left >= PROMISE_LEAST_NS || open->committed == 0) {
            *promised_ns = fmd_purse_promise(&open->purse, want);
            return true;
        }
        pthread_cond_wait(&open->changed, &open->mutex);
    }
}

static void on_done(struct fmd_span *span, const struct fmd_span_result *result, void *user)
{
    struct fmd_span_run *run = user;
    (void)span;
    run->result = *result;
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
        fmd_span_commit(run->span, run->promised_ns, on_done, run);
    pthread_rwlock_unlock(&open->gate);
    return go;
}

void fmd_span_run(struct fmd_span_run *run)
{
    struct fmd_open *open = run->open;
    pthread_mutex_lock(&open->mutex);
    const bool is_open = wait_for_promise(open, &run->promised_ns);
    open->committed += run->promised_ns > 0;
    pthread_mutex_unlock(&open->mutex);
    run->result.status = is_open ? FMD_SPAN_CUT : FMD_SPAN_CLOSED;
    if (run->promised_ns == 0)
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
    return status == FMD_SPAN_DONE || status == FMD_SPAN_DIED || status == FMD_SPAN_LATE ||
           status == FMD_SPAN_CUT;
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
    open->committed -= run->promised_ns > 0;
    pthread_cond_broadcast(&open->changed);
    pthread_mutex_unlock(&open->mutex);
}

int fmd_span_settle(struct fmd_ledger *ledger, struct fmd_span_run *run,
                    struct fmd_settlement *settlement)
{
    struct fmd_open *open = run->open;
    const enum fmd_span_status status = run->result.status;
    const bool charges = is_charged(status) && run->promised_ns > 0;
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
