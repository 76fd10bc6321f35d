/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tier from inside. call.c speaks HTTP, with attempt.c and reply.c; terms.c reads and writes the JSON;
 * account.c, upload.c, map.c and spans.c are the calls of the protocol, one subject each; cloud.c is the
 * table that the engine sees.
 */
#ifndef FM_TIER_CLOUD_CLOUD_H
#define FM_TIER_CLOUD_CLOUD_H

#include <pthread.h>

#include "program/program.h"
#include "tier/cloud.h"
#include "tier/cloud/call.h"

#define FM_CLOUD_CALL_S 30.0  /* that a small call may take */
#define FM_CLOUD_PART_S 300.0 /* a part of a blob */
#define FM_CLOUD_CLOSE_S 2.0  /* closing a map, where the caller has given up */
#define FM_CLOUD_FLIGHT_MOST 256

struct fm_cloud_limits {
    size_t span_bytes, part_bytes, blob_bytes;
    int spans_in_flight;
    double span_s;
};

/* The digest of the shared block, taken by a thread of its own while the program is looked at. */
struct fm_cloud_shared {
    const void *bytes; /* NULL: there is no shared block */
    size_t size;
    const struct fm_cloud_line *line; /* to see that the caller gives up */
    pthread_t thread;
    bool runs, failed;
    uint8_t sha256[FM_PROGRAM_SHA256];
    char name[FM_SERVICE_HEX_BYTES];
};

/* A span on its way. */
struct fm_cloud_flight {
    bool used;
    struct fm_tier_cloud_span span;
    double sent;
    struct fm_cloud_call call;
};

struct fm_cloud_map {
    bool open, over;
    bool rests;      /* nobody uses it at present */
    char *described; /* what it was opened for: terms.c */
    char id[FM_SERVICE_MAP_BYTES];
    char why_over[FM_TIER_CLOUD_WHY];
    size_t in_size, out_size;
    int vcpus_most; /* that were asked for */
    int64_t price, hold;
    int64_t spent;   /* the most that a receipt has told */
    int64_t charged; /* the sum of the receipts' charges; never above spent */
    int64_t before;  /* what was spent when it was taken up last */
    int in_flight, in_flight_most;
    size_t span_bytes;
    struct fm_service_press press; /* of inputs */
    struct fm_tier_cloud_grant grant;
    struct fm_cloud_flight flights[FM_CLOUD_FLIGHT_MOST];
};

struct fm_cloud {
    struct fm_cloud_line line;
    struct fm_cloud_limits limits;
    struct fm_cloud_map map;
    struct fm_cloud_call *warmers; /* calls that make connections */
    int warmer_count;
    double warm_s; /* when there were connections enough; 0: never */
};

/* account.c: the contract's account(). */
bool fm_cloud_account(struct fm_cloud *cloud, struct fm_tier_cloud_account *account,
                      char why[FM_TIER_CLOUD_WHY]);

/* terms.c: what JSON says. False where a member is missing, of another type, or out of its range. */
bool fm_cloud_terms_account(const json_t *json, struct fm_tier_cloud_account *account,
                            struct fm_cloud_limits *limits);
/* Whether the service packs bodies as we do. */
bool fm_cloud_terms_packs(const json_t *json);
bool fm_cloud_terms_grant(const json_t *json, const struct fm_tier_cloud_map *asked,
                          struct fm_cloud_map *map, struct fm_tier_cloud_grant *grant);
bool fm_cloud_terms_bill(const json_t *json, const struct fm_cloud_map *map,
                         struct fm_tier_cloud_bill *bill);
bool fm_cloud_terms_integer(const json_t *json, const char *member, int64_t least, int64_t most,
                            int64_t *value);
/* What a map is for: all but its key and its budget, as JSON in new memory, the same text for the same.
   NULL: no memory. */
char *fm_cloud_terms_describe(const struct fm_tier_cloud_map *map, const char *program,
                              const char *module, uint64_t offset, const char *shared_name);
/* The body that opens a map so described, in new memory. NULL: no memory. */
char *fm_cloud_terms_open(const char *described, int64_t budget);

/* shared.c. begin() starts the digest; wait() has it: false where it was given up. */
void fm_cloud_shared_begin(struct fm_cloud_shared *shared, const struct fm_cloud_line *line,
                           const void *bytes, size_t size);
bool fm_cloud_shared_wait(struct fm_cloud_shared *shared);

/* upload.c: sends what the service lacks of the program and the shared block, which may be none. */
bool fm_cloud_upload(struct fm_cloud *cloud, const struct fm_program *program,
                     struct fm_cloud_shared *shared, struct fm_tier_cloud_grant *grant,
                     char why[FM_TIER_CLOUD_WHY]);

/* warm.c. begin() sees to connections for the spans of so many vCPUs; end() stops those not there yet. */
void fm_cloud_warm_begin(struct fm_cloud *cloud, int vcpus);
void fm_cloud_warm_end(struct fm_cloud *cloud);

/* map.c */
bool fm_cloud_map_open(struct fm_cloud *cloud, const struct fm_tier_cloud_map *map,
                       struct fm_tier_cloud_grant *grant, char why[FM_TIER_CLOUD_WHY]);
void fm_cloud_map_close(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill);
bool fm_cloud_map_rest(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill);

/* spans.c */
bool fm_cloud_spans_send(struct fm_cloud *cloud, const struct fm_tier_cloud_span *span);
bool fm_cloud_spans_poll(struct fm_cloud *cloud, double seconds,
                         struct fm_tier_cloud_answer *answer);
void fm_cloud_spans_drop(struct fm_cloud_map *map);

#endif
