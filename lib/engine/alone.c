/* SPDX-License-Identifier: BSD-3-Clause */
/* A world of one, so that nobody asks whether there are others. See alone.h. */
#include "engine/alone.h"

#include <stdlib.h>

static int start(struct fm_tier_world *world, const int *comm, char *why, size_t why_bytes)
{
    static const int node = 0;
    (void)comm;
    (void)why;
    (void)why_bytes;
    *world = (struct fm_tier_world){.size = 1, .node = &node, .any_thread = true, .sharers = 1};
    return 0;
}

static void on_end(void (*ending)(void))
{
    (void)ending;
}

static bool yes(void)
{
    return true;
}

static bool is_flushed(size_t most_bytes)
{
    (void)most_bytes;
    return true;
}

static bool send(int to, int tag, char *bytes, size_t size)
{
    (void)to;
    (void)tag;
    (void)size;
    free(bytes);
    return true;
}

static bool poll(int tag, fm_tier_deliver *deliver, void *context)
{
    (void)tag;
    (void)deliver;
    (void)context;
    return false;
}

static bool gather(void *elements, size_t element_bytes, const int *count, const int *first)
{
    (void)elements;
    (void)element_bytes;
    (void)count;
    (void)first;
    return true;
}

static bool stirs(int tag)
{
    (void)tag;
    return false;
}

static void rest(uint64_t ns)
{
    (void)ns;
}

static void stop(void)
{
}

const struct fm_tier_ranks fm_engine_alone = {
    .version = FM_TIER_RANKS_VERSION,
    .start = start,
    .on_end = on_end,
    .is_up = yes,
    .send = send,
    .poll = poll,
    .stirs = stirs,
    .rest = rest,
    .is_flushed = is_flushed,
    .gather = gather,
    .gather_is_done = yes,
    .stop = stop,
};
