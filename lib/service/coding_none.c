/* SPDX-License-Identifier: BSD-3-Clause */
/* The build has no libzstd: bodies travel as they are. */
#include "service/coding.h"

bool fm_service_coding_is_there(void)
{
    return false;
}

size_t fm_service_coding_pack(const void *bytes, size_t count, void *to, size_t room)
{
    (void)bytes, (void)count, (void)to, (void)room;
    return 0;
}

struct fm_service_unpack *fm_service_unpack_new(uint64_t exact)
{
    (void)exact;
    return NULL;
}

bool fm_service_unpack_feed(struct fm_service_unpack *unpack, const void *bytes, size_t count,
                            fm_service_unpack_sink *sink, void *context)
{
    (void)unpack, (void)bytes, (void)count, (void)sink, (void)context;
    return false;
}

bool fm_service_unpack_is_whole(const struct fm_service_unpack *unpack)
{
    (void)unpack;
    return false;
}

void fm_service_unpack_free(struct fm_service_unpack *unpack)
{
    (void)unpack;
}
