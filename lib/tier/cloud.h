/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract of the cloud tier: it speaks the protocol of fastmapd (docs/PROTOCOL.md) and knows nothing of
 * scheduling. It is a plugin (tier/cloud), opened by engine/cloud.c when a token and a URL are set and a map
 * could gain, so that other programs never load curl or OpenSSL. A plugin exports one object, fm_cloud_tier,
 * and needs nothing of the library.
 *
 * To the tier, the cloud is a service that computes spans: connect to it, open a map, which uploads what
 * the service lacks and holds credit, send spans, several at once, and read their answers as they come,
 * close. Every failure is an answer with a sentence: the caller computes the elements elsewhere. The tier
 * repeats by itself what is safe to repeat (spans are idempotent), with back-off and jitter, until the
 * caller's patience is over.
 *
 * Threads: all calls come from one thread, the courier's, but wake(), which any thread may call, and the
 * flag `give_up`, which any thread may set and every call that waits looks at every 50 ms at least.
 * Money is in nano-dollars, times are in seconds unless a name says otherwise.
 */
#ifndef FM_TIER_CLOUD_H
#define FM_TIER_CLOUD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_TIER_CLOUD_VERSION 3
#define FM_TIER_CLOUD_WHY 256

/* Where the service is and who we are. Strings belong to the caller and last until disconnect(). */
struct fm_tier_cloud_service {
    const char *url;     /* https://host:port */
    const char *token;   /* never in a message, a log or a URL */
    const char *ca_file; /* NULL: the system's; a file of PEM certificates */
    const char
        *pin; /* NULL: none; sha256//BASE64 of the certificate's public key, as curl has it */
    const _Atomic bool *give_up;
    double patience;         /* seconds for which a call or a span is tried again */
    double connect_patience; /* the same for connect() */
};

/* What the account call says, believed only if its signature is right. */
struct fm_tier_cloud_account {
    int64_t balance;
    int64_t price;      /* of a vCPU-hour */
    int vcpus;          /* that a map may be granted at most */
    double round_trip;  /* of a small call on an open connection */
    bool unreachable;   /* connect() alone, where it fails: since nobody answers there */
    int64_t hold_least; /* the least budget that the service takes; not a charge */
    bool trail;         /* maps may have trails */
};

/* What a map needs. */
struct fm_tier_cloud_map {
    const void *function; /* where its code is in this process */
    bool is_block;
    bool stop; /* the first element that fails ends its span */
    /* Elements come in any order, with trails (wire/worker.h): inputs end in their indices, outputs in the
       time that they took. Only where the account says that they may, and not of blocks. */
    bool trail;
    size_t in_size; /* of an element; fm_wire_worker_trail_size() of its own where it has a trail */
    size_t out_size;
    const void *shared; /* NULL: none; stays until close() */
    size_t shared_size;
    const void *fenv; /* the caller's floating-point environment, struct fm_base_fenv */
    size_t fenv_bytes;
    int vcpus;      /* that could be used */
    int64_t budget; /* the most that it may cost */
    /* A map like it that rests is taken up again if its hold has so much left. */
    int64_t resting_least, resting_most;
};

struct fm_tier_cloud_grant {
    int vcpus; /* at first: answers say how many it has later */
    int64_t hold;
    size_t span_bytes;         /* inputs and outputs of a span, each, at most */
    int spans_in_flight;       /* at most */
    size_t uploaded;           /* bytes of the program and the shared block that had to be sent */
    double upload_bytes_per_s; /* while sending them; 0: too few to tell */
};

/* Elements of the map. Inputs and outputs stay the caller's and in place until the span is answered. */
struct fm_tier_cloud_span {
    uint64_t id;    /* different for every span of the map */
    uint64_t first; /* index of the first; with trails any number: failures count from it */
    size_t count;
    const void *in;
    void *out;
};

enum fm_tier_cloud_status {
    FM_TIER_CLOUD_DONE, /* all elements are computed */
    FM_TIER_CLOUD_CUT, /* the hold is used up: the first `computed` are computed, no more will be */
    FM_TIER_CLOUD_DIED, /* an element crashed or took too long; it is the last failure, if known */
    FM_TIER_CLOUD_LOST, /* nothing is computed; the map goes on */
    FM_TIER_CLOUD_OVER /* nothing is computed, and nothing more will be: the service is gone, lies, or
                           has closed the map; `why` of the answer says so */
};

struct fm_tier_cloud_failure {
    uint64_t index;
    size_t count; /* of a block that failed as a whole, else 1 */
    int code;     /* what the function returned */
    int signal;   /* that the element died of; 0: it did not */
};

#define FM_TIER_CLOUD_FAILURES 16

struct fm_tier_cloud_answer {
    uint64_t id;
    enum fm_tier_cloud_status status;
    size_t computed; /* elements from the first on, whose outputs are in place */
    size_t failed;   /* of these; the element that DIED is not among them, though it is listed */
    size_t failures_listed;
    struct fm_tier_cloud_failure failures[FM_TIER_CLOUD_FAILURES];
    unsigned raised; /* floating-point exceptions */
    double cpu_s;    /* the worker's, as charged */
    int64_t charge;
    int vcpus;      /* that the map has from now on; 0: nothing was said of them */
    int64_t spent;  /* by the map so far, since it was opened or taken up */
    double seconds; /* from send() to the answer, less what connecting has taken */
    char why[FM_TIER_CLOUD_WHY];
};

struct fm_tier_cloud_bill {
    int64_t charged; /* for the map, since it was opened or taken up */
    int64_t balance; /* afterwards */
    bool confirmed;  /* by the service; else what its last answer said */
};

struct fm_cloud;

struct fm_tier_cloud {
    int version;
    /* Connects, checks certificate and protocol, and asks for the account. NULL: why says what is wrong and
       what to do. */
    struct fm_cloud *(*connect)(const struct fm_tier_cloud_service *service,
                                struct fm_tier_cloud_account *account, char why[FM_TIER_CLOUD_WHY]);
    /* Asks again; for a connection that has been idle. */
    bool (*account)(struct fm_cloud *cloud, struct fm_tier_cloud_account *account,
                    char why[FM_TIER_CLOUD_WHY]);
    /* Opens a map: names the program, uploads what is missing, holds credit. One at a time. Where one that is
       like it rests, that is taken up without a word; any other that rests is closed first. */
    bool (*open)(struct fm_cloud *cloud, const struct fm_tier_cloud_map *map,
                 struct fm_tier_cloud_grant *grant, char why[FM_TIER_CLOUD_WHY]);
    /* Puts a span on its way. False: no memory, as many are on their way as may be, more bytes than a span
       may have, or the map is over. Outputs are written when the answer is, and believed, by poll(). */
    bool (*send)(struct fm_cloud *cloud, const struct fm_tier_cloud_span *span);
    /* Goes on with what is under way; waits up to so long for the next answer. True: *answer is filled. */
    bool (*poll)(struct fm_cloud *cloud, double seconds, struct fm_tier_cloud_answer *answer);
    /* Makes a poll() that waits return. Any thread. */
    void (*wake)(struct fm_cloud *cloud);
    /* Ends the map; spans under way are given up, and not paid for where the service can still stop them.
       Where `give_up` is set it still tries, once, for 2 s at most: what is held should come back. */
    void (*close)(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill);
    /* Ends the map for the caller, who may soon open one like it: the service keeps it, with its workers and
       its hold, until open() or close(). *bill is what its answers have said. False: spans are under way,
       or the map is over, so that it has to be closed. */
    bool (*rest)(struct fm_cloud *cloud, struct fm_tier_cloud_bill *bill);
    void (*disconnect)(struct fm_cloud *cloud);
};

#endif
