/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receipt of a span: the value of the header Fastmap-Receipt, words of the form name=value. The service
 * writes it, the client reads it; docs/PROTOCOL.md, part 9, says what each word means. Pure.
 */
#ifndef FM_SERVICE_RECEIPT_H
#define FM_SERVICE_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FM_SERVICE_FAILURES 16
#define FM_SERVICE_RECEIPT_BYTES 1536 /* enough for every receipt, its NUL included */
#define FM_SERVICE_MAP_BYTES 17       /* of a map's name: 16 hexadecimal digits and a NUL */

enum fm_service_status {
    FM_SERVICE_DONE, /* all computed */
    FM_SERVICE_CUT,  /* the hold was used up */
    FM_SERVICE_LATE, /* it took longer than a span may */
    FM_SERVICE_DIED, /* the worker crashed, ended, or said what cannot be */
    FM_SERVICE_LOST, /* the service's fault; costs nothing */
    FM_SERVICE_STATUSES
};

struct fm_service_failure {
    uint64_t index; /* from the map's first element */
    uint64_t count; /* 1, or the length of a block that failed as a whole */
    int32_t code;   /* non-zero: what the function returned, or the negative of a signal's number */
};

struct fm_service_receipt {
    char map[FM_SERVICE_MAP_BYTES];
    uint64_t span;
    enum fm_service_status status;
    uint64_t computed; /* elements from the first one on */
    uint64_t failed;   /* of which so many returned non-zero */
    size_t failures;   /* how many of those are told */
    struct fm_service_failure failure[FM_SERVICE_FAILURES];
    uint32_t raised; /* floating-point exceptions, in the architecture's bits */
    uint64_t cpu_ns;
    int64_t charge, spent, left; /* nano-dollars, none negative */
    uint32_t vcpus;              /* that the map has from now on; 0: nothing is said of them */
};

const char *fm_service_status_word(enum fm_service_status status);

/* The length of the text; the receipt must be one that parse() could have read. */
size_t fm_service_receipt_format(const struct fm_service_receipt *receipt,
                                 char text[FM_SERVICE_RECEIPT_BYTES]);

/* False, and *receipt untouched, unless every word of the struct stands in the text once and well formed;
   vcpus may be missing. Words that are not known are skipped. */
bool fm_service_receipt_parse(const char *text, struct fm_service_receipt *receipt);

#endif
