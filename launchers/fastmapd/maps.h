/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The maps that are open in this daemon: for each the pool's map, its purse, its spans. A map that is not
 * here
 * is closed, whatever else: after a restart none is open.
 *
 * Closing a map takes four steps, in this order: no span is committed any more; the pool gives up those that
 * are; these are settled; the ledger gives back what is left of the hold. Whoever asks to close it meanwhile
 * waits for the end of that.
 *
 * Locks: the list's mutex before a map's. A map's gate is held for reading from the look at `closing` to the
 * end
 * of fmd_span_commit(), and for writing before the pool closes its map.
 */
#ifndef FMD_MAPS_H
#define FMD_MAPS_H

#include "ledger.h"
#include "money.h"
#include "packing.h"
#include "pool.h"
#include "service.h"
#include "spans.h"

struct fmd_open {
    char id[FMD_MAP_BYTES];
    char account_name[FMD_NAME_BYTES];
    char token[FM_SERVICE_ID_BYTES];
    char key[FMD_KEY_BYTES]; /* the client's */
    int64_t account;
    uint64_t in_size, out_size;
    unsigned vcpus;   /* that it could use at most */
    unsigned granted; /* when it was opened */
    struct fmd_map *map;
    struct fmd_meter meter;
    pthread_rwlock_t gate;
    pthread_mutex_t mutex; /* protects what follows */
    pthread_cond_t changed;
    struct fmd_purse purse;
    struct fmd_spans *spans;
    struct fm_service_press press; /* of outputs; the link is told with each span */
    size_t in_flight;              /* spans from their headers to their answer */
    size_t committed;              /* from their promise to their settlement */
    int64_t used_ns;               /* when a span last began or ended */
    bool closing, closed;
    /* Protected by the list's mutex. */
    size_t users;
    struct fmd_open *next;
};

struct fmd_maps *fmd_maps_new(struct fmd_service *service);
void fmd_maps_free(struct fmd_maps *maps); /* all closed and put back */

/* Registers a map that ledger and pool have opened. NULL: no memory. One user. */
struct fmd_open *fmd_maps_add(struct fmd_maps *maps, const struct fmd_token *token,
                              const struct fmd_map_row *row, const char *key,
                              const struct fmd_pool_terms *terms, struct fmd_map *map);

/* One user more; NULL: not open here, or another account's. */
struct fmd_open *fmd_maps_find(struct fmd_maps *maps, int64_t account, const char *id);
void fmd_maps_put(struct fmd_maps *maps, struct fmd_open *open);

size_t fmd_maps_count(struct fmd_maps *maps, int64_t account);

/* Whether the account has an open map with the key. */
bool fmd_maps_has_key(struct fmd_maps *maps, int64_t account, const char *key);

/* 0, or the ledger's error: then the map is closed here, and in the ledger later. */
int fmd_maps_close(struct fmd_maps *maps, struct fmd_open *open);

/* The ledger is to close a map that is not, or not any more, open here, as soon as it can. */
void fmd_maps_forget(struct fmd_maps *maps, const char *id);

/* Closes those that have been idle for so long; 0: all. And the forgotten. */
void fmd_maps_expire(struct fmd_maps *maps, int64_t idle_ns);

/* Shares the vCPUs of tokens that have a limit with other hosts anew. To be called some times a second. */
void fmd_maps_share(struct fmd_maps *maps);

/* Spans in flight, of all maps. */
size_t fmd_maps_busy(struct fmd_maps *maps);

#endif
