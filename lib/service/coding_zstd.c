/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bodies by libzstd. Its fastest regular level, since a body is packed while somebody waits for it. What a
 * frame gives passes through memory of our own: the place where it goes in the end may be shared with a
 * process that nobody trusts, and the decoder reads back what it has written.
 */
#include <stdlib.h>
#include <zstd.h>

#include "service/coding.h"

#define LEVEL 1
#define STEP ((size_t)32 << 10)

struct fm_service_unpack {
    ZSTD_DStream *stream;
    uint64_t left; /* bytes that the frame is yet to give */
    bool ended;
    bool failed;
    unsigned char bytes[STEP];
};

bool fm_service_coding_is_there(void)
{
    return true;
}

size_t fm_service_coding_pack(const void *bytes, size_t count, void *to, size_t room)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (context == NULL)
        return 0;
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, FM_SERVICE_CODING_WINDOW_LOG);
    const size_t packed = ZSTD_compress2(context, to, room, bytes, count);
    ZSTD_freeCCtx(context);
    return ZSTD_isError(packed) ? 0 : packed;
}

struct fm_service_unpack *fm_service_unpack_new(uint64_t exact)
{
    struct fm_service_unpack *unpack = malloc(sizeof *unpack);
    if (unpack == NULL)
        return NULL;
    unpack->stream = ZSTD_createDStream();
    unpack->left = exact;
    unpack->ended = false;
    unpack->failed = unpack->stream == NULL ||
                     ZSTD_isError(ZSTD_DCtx_setParameter(unpack->stream, ZSTD_d_windowLogMax,
                                                         FM_SERVICE_CODING_WINDOW_LOG));
    if (!unpack->failed)
        return unpack;
    fm_service_unpack_free(unpack);
    return NULL;
}

/* One byte of room beyond what is left shows a frame that would give more. */
static bool step(struct fm_service_unpack *unpack, ZSTD_inBuffer *in, fm_service_unpack_sink *sink,
                 void *context, size_t *given)
{
    ZSTD_outBuffer out = {unpack->bytes, unpack->left < STEP ? (size_t)unpack->left + 1 : STEP, 0};
    const size_t hint = ZSTD_decompressStream(unpack->stream, &out, in);
    if (ZSTD_isError(hint) || out.pos > unpack->left)
        return false;
    unpack->left -= out.pos;
    unpack->ended = hint == 0;
    *given = out.pos;
    return out.pos == 0 || sink(context, unpack->bytes, out.pos);
}

bool fm_service_unpack_feed(struct fm_service_unpack *unpack, const void *bytes, size_t count,
                            fm_service_unpack_sink *sink, void *context)
{
    ZSTD_inBuffer in = {bytes, count, 0};
    size_t given = 0;
    while (!unpack->failed && !unpack->ended && (in.pos < in.size || given == STEP))
        unpack->failed = !step(unpack, &in, sink, context, &given);
    unpack->failed = unpack->failed || in.pos < in.size;
    return !unpack->failed;
}

bool fm_service_unpack_is_whole(const struct fm_service_unpack *unpack)
{
    return unpack->ended && !unpack->failed && unpack->left == 0;
}

void fm_service_unpack_free(struct fm_service_unpack *unpack)
{
    if (unpack == NULL)
        return;
    ZSTD_freeDStream(unpack->stream);
    free(unpack);
}
