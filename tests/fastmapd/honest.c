/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ordinary program with fastmap in it, for the tests of workers in the sandbox: its elements, and a
 * main(), which never runs in a worker, that lists their offsets.
 */
#include <dlfcn.h>
#include <fastmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Text in, text out, as in cage.h. */
enum { IN = 128, OUT = 1024 };

static int echo(const void *in, void *out, const void *shared)
{
    (void)shared;
    memcpy(out, in, IN);
    return strcmp(in, "fail") == 0 ? -7 : 0;
}

static int index_of(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    snprintf(out, OUT, "%zu", fastmap_index());
    return 0;
}

/* The text of the shared block behind its own. */
static int join(const void *in, void *out, const void *shared)
{
    snprintf(out, OUT, "%s%s", (const char *)in, (const char *)shared);
    return 0;
}

static volatile int *volatile nowhere;

/* Crashes where its index is 3 more than a multiple of 10. */
static int crash(const void *in, void *out, const void *shared)
{
    (void)in;
    (void)shared;
    strcpy(out, "fine");
    if (fastmap_index() % 10 == 3)
        *nowhere = 1;
    return 0;
}

static int descend(volatile char *above)
{
    volatile char frame[4096];
    frame[0] = above[0];
    return frame[0] == 'x' ? 0 : descend(frame) + frame[0]; /* no input is x */
}

static int overflow(const void *in, void *out, const void *shared)
{
    volatile char start = *(const char *)in;
    (void)shared;
    snprintf(out, OUT, "%d", descend(&start));
    return 0;
}

static int leave(const void *in, void *out, const void *shared)
{
    (void)shared;
    (void)out;
    exit(atoi(in));
}

static int square(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(double *)out = *(const double *)in * *(const double *)in;
    return 0;
}

/* A map inside an element. */
static int nested(const void *in, void *out, const void *shared)
{
    double values[100], squares[100], sum = 0;
    (void)in;
    (void)shared;
    for (int i = 0; i < 100; i++)
        values[i] = i;
    const int rc = fastmap(square, values, sizeof *values, squares, sizeof *squares, 100, NULL, 0);
    for (int i = 0; i < 100; i++)
        sum += squares[i];
    snprintf(out, OUT, "%d %.0f", rc, sum);
    return 0;
}

#define ENTRY(name) \
    {               \
#name, name \
    }
static const struct entry {
    const char *name;
    fastmap_func *func;
} entries[] = {ENTRY(echo),     ENTRY(index_of), ENTRY(join),  ENTRY(crash),
               ENTRY(overflow), ENTRY(leave),    ENTRY(nested)};

int main(void)
{
    Dl_info own;
    if (dladdr((const void *)entries, &own) == 0)
        return 1;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const void *function;
        memcpy(&function, &entries[i].func, sizeof function);
        printf("%s %zu\n", entries[i].name,
               (size_t)((const char *)function - (const char *)own.dli_fbase));
    }
    return 0;
}
