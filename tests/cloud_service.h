/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A service that speaks the protocol of fastmapd in this very process and fails on demand: at every point
 * of a request, and by every kind of wrong answer. It keeps blobs, one map at a time, and the answers of its
 * spans, which it computes by a function of the test's.
 *
 *     struct cloud_service *service = cloud_service_start(compute);
 *     cloud_service_fault(service, (struct cloud_fault){"/v1/maps/", CLOUD_CUT_ANSWER, .times = 1});
 *     ...
 *     cloud_service_stop(service);
 */
#ifndef FM_TESTS_CLOUD_SERVICE_H
#define FM_TESTS_CLOUD_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cloud_fault_kind {
    CLOUD_NO_FAULT,
    /* The connection is cut: */
    CLOUD_CUT_HELLO,   /* before TLS; counts all connections, whatever is asked */
    CLOUD_CUT_HEADERS, /* when the headers have been read */
    CLOUD_CUT_BODY,    /* when half of the body has been read */
    CLOUD_CUT_ANSWER,  /* when all has been done, before the answer */
    CLOUD_CUT_STATUS,  /* in the answer's headers */
    CLOUD_CUT_OUTPUTS, /* in the answer's body */
    /* Nothing moves any more: */
    CLOUD_STALL_BODY,    /* the body is not read */
    CLOUD_STALL_ANSWER,  /* no answer */
    CLOUD_STALL_OUTPUTS, /* half of the answer's body */
    /* The answer is wrong: */
    CLOUD_WRONG_BODY,      /* another body than was signed */
    CLOUD_WRONG_SIGNATURE, /* signed by another key */
    CLOUD_NO_SIGNATURE,
    CLOUD_OTHER_REQUEST, /* signed as the answer to another request */
    CLOUD_SHORT_OUTPUTS, /* some outputs are missing, whole and signed */
    CLOUD_LONG_OUTPUTS,  /* there are more than were asked for */
    CLOUD_NO_JSON,       /* signed nonsense */
    CLOUD_CUT_FRAME,     /* packed outputs whose frame has no end, in an answer that has */
    CLOUD_OTHER_FRAME,   /* outputs said to be packed that are not */
    CLOUD_RECEIPT,       /* the receipt's word `word` has the value `value` */
    CLOUD_REFUSE,        /* status and word; an unsigned body of JSON */
    CLOUD_REDIRECT,      /* to another address */
    CLOUD_HTML,          /* status, and a page as gateways have it */
    CLOUD_SLOW           /* `seconds` later; right otherwise */
};

/* Bytes that its host takes at most while it reads none: more of them wait at the client. */
#define CLOUD_UNREAD_MOST (256 << 10)

struct cloud_fault {
    const char *target; /* how the target begins; NULL: all */
    enum cloud_fault_kind kind;
    unsigned skip;  /* requests that are spared first */
    unsigned times; /* requests that fail then; 0: all */
    unsigned status;
    const char *word;
    const char *value;
    double seconds;
};

/* What elements do: the outputs, and for each element the code that the function returns. */
typedef int cloud_compute(const void *in, void *out, uint64_t index);

/* What has happened. */
struct cloud_counts {
    unsigned connections, requests, accounts, manifests, parts, opens, closes;
    unsigned spans;                 /* requests */
    unsigned computed;              /* spans that were computed and charged, once each */
    uint64_t blob_bytes;            /* of parts, unpacked */
    uint64_t blob_carried;          /* as they came */
    unsigned packed_in, packed_out; /* spans whose inputs came packed, whose outputs went so */
    unsigned bad_signatures;
    int64_t spent;
};

struct cloud_service;

struct cloud_service *cloud_service_start(cloud_compute *compute);
void cloud_service_stop(struct cloud_service *service);

const char *cloud_service_url(const struct cloud_service *service);
const char *cloud_service_token(const struct cloud_service *service);
const char *cloud_service_ca_file(const struct cloud_service *service);
const char *cloud_service_pin(const struct cloud_service *service);

/* From now on; CLOUD_NO_FAULT ends it. */
void cloud_service_fault(struct cloud_service *service, struct cloud_fault fault);

/* The service's clock is so many seconds ahead of this machine's. */
void cloud_service_clock(struct cloud_service *service, int ahead);

/* CPU time that an element is said to take, and what the map may have; 0: what is asked. */
void cloud_service_cost(struct cloud_service *service, uint64_t element_ns);

/* vCPUs that receipts tell of from now on; 0, as at first: nothing. */
void cloud_service_vcpus(struct cloud_service *service, unsigned vcpus);

/* From the next account call on, bodies may be packed, and inputs are said to come with so many bytes a
   second; 0: as at first, neither. */
void cloud_service_pack(struct cloud_service *service, unsigned rate);

/* From the next account call on, maps may have trails. */
void cloud_service_trail(struct cloud_service *service);

/* Forgets programs and blobs, or the map. */
void cloud_service_forget(struct cloud_service *service);

/* The span that begins here ends as `status` ("died", "cut", "late", "lost") after so many elements. */
void cloud_service_end_span(struct cloud_service *service, const char *status, uint64_t computed,
                            int signal);

struct cloud_counts cloud_service_counts(struct cloud_service *service);

/* The last body that opened a map. */
const char *cloud_service_opening(const struct cloud_service *service);

#endif
