/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of open maps, and how one is closed.
 */
#include "maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "log.h"
#include "metrics.h"
#include "request.h"

struct fmd_maps {
    struct fmd_service *service;
    pthread_mutex_t mutex; /* protects the list, the users of its maps, and the forgotten */
    struct fmd_open *first;
    struct forgotten {
        char id[FMD_MAP_BYTES];
        struct forgotten *next;
    } * forgotten; /* to be closed in the ledger when that is to be had again */
};

struct fmd_maps *fmd_maps_new(struct fmd_service *service)
{
    struct fmd_maps *maps = calloc(1, sizeof *maps);
    if (maps == NULL)
        return NULL;
    maps->service = service;
    pthread_mutex_init(&maps->mutex, NULL);
    return maps;
}

void fmd_maps_free(struct fmd_maps *maps)
{
    for (struct forgotten *f = maps->forgotten, *next; f != NULL; f = next) {
        next = f->next;
        free(f);
    }
    pthread_mutex_destroy(&maps->mutex);
    free(maps);
}

/* ---- One map ---------------------------------------------------------------------------------------------
   */

static struct fmd_open *new_open(struct fmd_maps *maps, const struct fmd_token *token,
                                 const struct fmd_map_row *row, const char *key,
                                 const struct fmd_pool_terms *terms, struct fmd_map *map)
{
    struct fmd_open *open = calloc(1, sizeof *open);
    if (open == NULL)
        return NULL;
    open->spans = fmd_spans_new((uint64_t)maps->service->config->kept_bytes);
    if (open->spans == NULL) {
        free(open);
        return NULL;
    }
    strcpy(open->id, row->id);
    strcpy(open->account_name, token->name);
    strcpy(open->token, token->id);
    snprintf(open->key, sizeof open->key, "%s", key);
    open->account = token->account;
    open->in_size = terms->in_size;
    open->out_size = terms->out_size;
    open->vcpus = terms->vcpus;
    open->granted = fmd_pool_map_vcpus(map);
    open->map = map;
    open->users = 2; /* the list and the caller */
    open->used_ns = fmd_now_ns();
    pthread_rwlock_init(&open->gate, NULL);
    pthread_mutex_init(&open->mutex, NULL);
    pthread_mutex_init(&open->meter.mutex, NULL);
    pthread_cond_init(&open->changed, NULL);
    fmd_purse_open(&open->purse, row->hold, row->price);
    return open;
}

static void free_open(struct fmd_open *open)
{
    fmd_spans_free(open->spans);
    pthread_cond_destroy(&open->changed);
    pthread_mutex_destroy(&open->mutex);
    pthread_mutex_destroy(&open->meter.mutex);
    pthread_rwlock_destroy(&open->gate);
    free(open);
}

struct fmd_open *fmd_maps_add(struct fmd_maps *maps, const struct fmd_token *token,
                              const struct fmd_map_row *row, const char *key,
                              const struct fmd_pool_terms *terms, struct fmd_map *map)
{
    struct fmd_open *open = new_open(maps, token, row, key, terms, map);
    if (open == NULL)
        return NULL;
    pthread_mutex_lock(&maps->mutex);
    open->next = maps->first;
    maps->first = open;
    pthread_mutex_unlock(&maps->mutex);
    fmd_metrics_add(FMD_METRIC_maps_opened, 1);
    fmd_metrics_add(FMD_METRIC_maps_open, 1);
    fmd_metrics_add(FMD_METRIC_held_nano, row->hold);
    return open;
}

/* ---- The list --------------------------------------------------------------------------------------------
   */

struct fmd_open *fmd_maps_find(struct fmd_maps *maps, int64_t account, const char *id)
{
    pthread_mutex_lock(&maps->mutex);
    struct fmd_open *open = maps->first;
    while (open != NULL && (open->account != account || strcmp(open->id, id) != 0))
        open = open->next;
    if (open != NULL)
        open->users++;
    pthread_mutex_unlock(&maps->mutex);
    return open;
}

void fmd_maps_put(struct fmd_maps *maps, struct fmd_open *open)
{
    pthread_mutex_lock(&maps->mutex);
    const bool last = --open->users == 0;
    pthread_mutex_unlock(&maps->mutex);
    if (last)
        free_open(open);
}

size_t fmd_maps_count(struct fmd_maps *maps, int64_t account)
{
    size_t count = 0;
    pthread_mutex_lock(&maps->mutex);
    for (const struct fmd_open *open = maps->first; open != NULL; open = open->next)
        count += open->account == account;
    pthread_mutex_unlock(&maps->mutex);
    return count;
}

bool fmd_maps_has_key(struct fmd_maps *maps, int64_t account, const char *key)
{
    pthread_mutex_lock(&maps->mutex);
    const struct fmd_open *open = maps->first;
    while (open != NULL && (open->account != account || strcmp(open->key, key) != 0))
        open = open->next;
    pthread_mutex_unlock(&maps->mutex);
    return open != NULL;
}

static void take_off_list(struct fmd_maps *maps, struct fmd_open *open)
{
    pthread_mutex_lock(&maps->mutex);
    struct fmd_open **at = &maps->first;
    while (*at != open)
        at = &(*at)->next;
    *at = open->next;
    pthread_mutex_unlock(&maps->mutex);
    fmd_maps_put(maps, open);
}

/* While the ledger is away each host keeps what it has. */
void fmd_maps_share(struct fmd_maps *maps)
{
    const struct fmd_service *service = maps->service;
    struct fmd_pool_token token;
    for (uint64_t after = 0; fmd_pool_next_token(service->pool, after, &token);
         after = token.number) {
        struct fmd_share share = {.token = token.token,
                                  .host = atomic_load(&service->host),
                                  .wants = token.wants,
                                  .uses = token.uses};
        if (fmd_ledger_share(service->ledger, &share) != 0)
            return;
        fmd_pool_allot(service->pool, token.number, share.usable);
    }
}

size_t fmd_maps_busy(struct fmd_maps *maps)
{
    size_t busy = 0;
    pthread_mutex_lock(&maps->mutex);
    for (struct fmd_open *open = maps->first; open != NULL; open = open->next) {
        pthread_mutex_lock(&open->mutex);
        busy += open->in_flight;
        pthread_mutex_unlock(&open->mutex);
    }
    pthread_mutex_unlock(&maps->mutex);
    return busy;
}

/* ---- Closing ---------------------------------------------------------------------------------------------
   */

/* True for the one who closes it; the others wait until that is done. */
static bool begin_closing(struct fmd_open *open)
{
    pthread_mutex_lock(&open->mutex);
    const bool is_first = !open->closing;
    open->closing = true;
    pthread_cond_broadcast(&open->changed);
    while (!is_first && !open->closed)
        pthread_cond_wait(&open->changed, &open->mutex);
    pthread_mutex_unlock(&open->mutex);
    return is_first;
}

static void wait_for_settlements(struct fmd_open *open)
{
    pthread_mutex_lock(&open->mutex);
    while (open->committed > 0)
        pthread_cond_wait(&open->changed, &open->mutex);
    pthread_mutex_unlock(&open->mutex);
}

static void end_closing(struct fmd_open *open)
{
    pthread_mutex_lock(&open->mutex);
    open->closed = true;
    pthread_cond_broadcast(&open->changed);
    pthread_mutex_unlock(&open->mutex);
}

/* Without memory for it the hold is given back when the daemon's lease ends. */
void fmd_maps_forget(struct fmd_maps *maps, const char *id)
{
    struct forgotten *f = malloc(sizeof *f);
    if (f == NULL)
        return;
    snprintf(f->id, sizeof f->id, "%s", id);
    pthread_mutex_lock(&maps->mutex);
    f->next = maps->forgotten;
    maps->forgotten = f;
    pthread_mutex_unlock(&maps->mutex);
}

/* What fails again is forgotten again. */
static void close_forgotten(struct fmd_maps *maps)
{
    pthread_mutex_lock(&maps->mutex);
    struct forgotten *f = maps->forgotten;
    maps->forgotten = NULL;
    pthread_mutex_unlock(&maps->mutex);
    for (struct forgotten *next; f != NULL; f = next) {
        next = f->next;
        if (fmd_ledger_close_map(maps->service->ledger, f->id) != 0)
            fmd_maps_forget(maps, f->id);
        free(f);
    }
}

int fmd_maps_close(struct fmd_maps *maps, struct fmd_open *open)
{
    if (!begin_closing(open))
        return 0;
    pthread_rwlock_wrlock(&open->gate); /* whoever saw it open has committed */
    pthread_rwlock_unlock(&open->gate);
    fmd_pool_map_close(open->map);
    wait_for_settlements(open);
    const int rc = fmd_ledger_close_map(maps->service->ledger, open->id);
    if (rc != 0) {
        char quoted[FMD_LOG_QUOTED];
        fmd_log(FMD_LOG_ERROR, "ledger", "map=%s why=%s", open->id,
                fmd_log_quote(fm_base_last_error(), quoted));
        fmd_maps_forget(maps, open->id);
    }
    fmd_log(FMD_LOG_INFO, "map-closed", "map=%s account=%s spans=%zu cpu_ns=%llu charged=%lld",
            open->id, open->account_name, fmd_spans_count(open->spans),
            (unsigned long long)open->purse.cpu_ns, (long long)open->purse.spent);
    fmd_metrics_add(FMD_METRIC_maps_open, -1);
    fmd_metrics_add(FMD_METRIC_held_nano, -open->purse.hold);
    end_closing(open);
    take_off_list(maps, open);
    return rc;
}

static bool is_idle(struct fmd_open *open, int64_t idle_ns)
{
    pthread_mutex_lock(&open->mutex);
    const bool idle =
        !open->closing &&
        (idle_ns == 0 || (open->in_flight == 0 && fmd_now_ns() - open->used_ns > idle_ns));
    pthread_mutex_unlock(&open->mutex);
    return idle;
}

/* One that is idle, with a user more. */
static struct fmd_open *find_idle(struct fmd_maps *maps, int64_t idle_ns)
{
    pthread_mutex_lock(&maps->mutex);
    struct fmd_open *open = maps->first;
    while (open != NULL && !is_idle(open, idle_ns))
        open = open->next;
    if (open != NULL)
        open->users++;
    pthread_mutex_unlock(&maps->mutex);
    return open;
}

void fmd_maps_expire(struct fmd_maps *maps, int64_t idle_ns)
{
    for (struct fmd_open *open; (open = find_idle(maps, idle_ns)) != NULL;) {
        fmd_maps_close(maps, open);
        fmd_maps_put(maps, open);
    }
    close_forgotten(maps);
}
