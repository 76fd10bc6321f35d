/* SPDX-License-Identifier: BSD-3-Clause */
/* What runs inside the sandbox in the tests of fastmapd: see prisoner.c. */
#ifndef PRISONER_H
#define PRISONER_H

#include <stddef.h>

#define PRISONER_IN 128   /* bytes of an element's input: text */
#define PRISONER_OUT 1024 /* bytes of its output: text */

typedef int prisoner_element(const char *in, char *out);

/* The attacks, and what else there is. */
extern const struct prisoner_entry {
    const char *name;
    prisoner_element *element;
} prisoner_entries[];
extern const size_t prisoner_count;

/* How the answer to the span that is being computed is given. */
enum prisoner_answer {
    PRISONER_PROPER,
    PRISONER_GARBAGE,     /* bytes that are no frame */
    PRISONER_LONG,        /* a packet longer than any frame */
    PRISONER_CUT,         /* a frame without its end */
    PRISONER_SEQUENCE,    /* a number that was used before */
    PRISONER_OTHER_SPAN,  /* the result of a span that it never had */
    PRISONER_TOO_MANY,    /* more elements than there are */
    PRISONER_FAILURES,    /* failures outside of the span */
    PRISONER_TWICE,       /* the result, and again */
    PRISONER_HELLO,       /* a second greeting */
    PRISONER_HOST_FRAME,  /* a frame that only the host may send */
    PRISONER_DESCRIPTORS, /* descriptors along with the result */
    PRISONER_FLOOD,       /* results without end */
    PRISONER_SILENT,      /* nothing */
    PRISONER_CLOSED,      /* its end of the channel is closed */
    PRISONER_FORGED       /* the result, with no time at all */
};
extern enum prisoner_answer prisoner_answer;

#endif
